"""Which function an instruction belongs to."""

from __future__ import annotations

from mapcount.kernels.plugin_guest import Functions, parse_kallsyms

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
