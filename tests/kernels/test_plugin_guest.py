"""Which function an instruction belongs to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kernels.guest_ram import NEW
from mapcount.errors import KernelFeatureError
from mapcount.kernels.plugin_guest import Functions, _in_second_page, parse_kallsyms

KALLSYMS = """\
0000000000000000 A fixed_percpu_data
ffffffff81001000 T folio_remove_rmap_ptes
ffffffff81000500 t copy_present_ptes
ffffffff81002000 D init_task
ffffffff81003000 W weak_one
ffffffffc0000000 t of_a_module	[brd]
"""


def test_an_instruction_is_in_the_function_that_begins_last_before_it():
    functions = parse_kallsyms(KALLSYMS)

    told = [functions.at(address) for address in (0xFFFFFFFF81000500, 0xFFFFFFFF81000FFF, 0xFFFFFFFF81001000)]
    assert told == ["copy_present_ptes", "copy_present_ptes", "folio_remove_rmap_ptes"]
    assert functions.at(0xFFFFFFFF81002FFF) == "folio_remove_rmap_ptes", "data is no function"
    assert functions.at(0xFFFFFFFF81003000) == "weak_one"
    assert functions.at(0xFFFFFFFFC0000010) == "weak_one", "modules are left out"
    assert functions.at(0xFFFFFFFF81000000) == ""


def test_without_symbols_nothing_has_a_name():
    assert Functions([]).at(0xFFFFFFFF81000000) == ""


def test_words_of_the_second_page_are_found_by_any_of_their_names():
    layout = replace(NEW, folio={"_large_mapcount": 80, "_folio_nr_pages": 124, "_nr_pages": 140})
    assert _in_second_page(layout, "_large_mapcount") == 16
    assert _in_second_page(layout, "_nr_pages", "_folio_nr_pages") == 60
    with pytest.raises(KernelFeatureError, match=r"no _entire_mapcount .* 6\.10"):
        _in_second_page(layout, "_entire_mapcount")
