"""The report for people: exact text of what matters, 80 columns, words beside colours."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from rich.cells import cell_len

from mapcount.report import checks, cuts, matrix, provenance, since_boot, terminal
from mapcount.report.table import View
from mapcount.survey.types import CutRow
from mapcount.views.outlook import OutlookRow
from report.samples import GIB, MIB, check, folio_row, metadata, owner_row, sample, size_row, vma_row

VIEW = View()
OUTLOOK = [
    OutlookRow("AnonPages", "bytes", 97 << 20, 97 << 20, 101 << 20),
    OutlookRow("bit 56 set", "pages", 1009, 1013, 997),
    OutlookRow("Shmem", "bytes", 7 << 20, 7 << 20, 7 << 20),
]
BY = ("size", "process", "cgroup", "program", "vma", "folio")
EXTRA = {"vma": [vma_row(i) for i in range(13)], "folio": [folio_row(i * 10_007) for i in range(13)]}


def text(parts, width=80, *, colour=False):
    return terminal.render(parts, width=width, colour=colour)


def test_the_first_screen():
    assert text(matrix.section(sample(), VIEW)) == (
        """\
4.0 GiB in 40,123 large anon folios; 1.7% wasted (68.0 MiB) by partial mapping.
84.2 MiB in 5,006 large file and shmem folios; 11.0 MiB of it not mapped, which
is cache and no waste.
Seen: the mappings of 32 address spaces.

Folios by size and state (mappings seen)
kind, size    folios     size   mapped      full  part      excl shared   wasted
────────────────────────────────────────────────────────────────────────────────
anon 4K    1,299,709  5.0 GiB  5.0 GiB 1,299,709     0 1,299,709      0        0
anon 64K      39,296  2.4 GiB  2.3 GiB    34,387 4,909    38,287  1,009 53.0 MiB
anon 2M          827  1.6 GiB  1.6 GiB       810    17       814     13 15.0 MiB
file 16K       5,003 78.2 MiB 67.2 MiB     3,000 2,003         4  4,999        0
shmem 2M           3  6.0 MiB  6.0 MiB         3     0         3      0        0
────────────────────────────────────────────────────────────────────────────────
total      1,344,838  9.1 GiB  9.0 GiB 1,337,909 6,929 1,338,817  6,021 68.0 MiB
full, part, excl, shared count folios. mapped: pages with a mapping, each once.
full, part: all pages are mapped, or only some. excl: mapped by one address
space. wasted: anon pages that nothing maps, of folios not in the swap cache.
"""
    )


def test_unknown_has_a_column_only_if_something_is_unknown():
    assert "unknown" not in text(matrix.matrix(sample(), VIEW))

    some = sample(sizes=[size_row("anon", 4, 101, unknown=53)])

    assert text(matrix.matrix(some, VIEW)).splitlines()[0].split()[-2:] == ["unknown", "wasted"]
    assert " 53 " in text(matrix.matrix(some, VIEW))
    assert "full, part, excl, shared, unknown count folios." in text(matrix.section(some, VIEW))


def test_partial_captures_and_scopes_are_said_first():
    some = sample(meta=metadata(partial="interrupted", scope="pids"))

    assert list(matrix.headline(some))[-2:] == [
        "Seen: the mappings of 32 address spaces named by --pid.",
        "PARTIAL: the capture ended before it saw everything (interrupted).",
    ]


def test_no_large_folios_is_said_and_not_shown_as_zero_percent():
    assert next(iter(matrix.headline(sample(sizes=[size_row("anon", 0, 7)])))) == "No large anon folio is mapped."


def test_what_is_all_mapped_is_not_called_cache():
    lines = list(matrix.headline(sample(sizes=[size_row("file", 2, 7)])))

    assert lines[1] == "112 KiB in 7 large file and shmem folios; all mapped."


def cut(order, freed, wasted=11 * MIB):
    return CutRow(order, 4096 << order, 7, wasted - freed, freed)


def test_cuts_that_free_no_more_are_left_out():
    freed = {9: 0, 8: 0, 7: 3, 6: 3, 5: 3, 4: 5, 3: 11, 2: 11, 1: 11, 0: 11}
    lines = text(cuts.section(sample(cuts=[cut(k, f * MIB) for k, f in freed.items()]), VIEW)).splitlines()

    assert [line.split()[0] for line in lines[4:8]] == ["2M", "512K", "64K", "32K"]
    assert lines[8].startswith("This is the half of waste")


def test_cuts_that_free_nothing_are_one_sentence():
    for wasted, words in ((0, "Nothing is wasted, so"), (7 * MIB, "None of the 7.0 MiB wasted would be free")):
        shown = text(cuts.section(sample(cuts=[cut(k, 0, wasted) for k in range(5)]), VIEW))
        assert shown.splitlines()[2].startswith(words)
        assert "─" not in shown and "cannot\nbe seen from /proc" in shown


def test_the_order_of_the_report():
    headings = ["Folios by size", "Processes that hold most waste", "Since boot", "What if", "Where memory is"]
    headings += ["Self-checks", "How this was obtained"]
    whole = text(terminal.report(sample(), OUTLOOK, VIEW))

    places = [whole.index(heading) for heading in headings]

    assert places == sorted(places)
    assert "cannot\nbe seen from /proc" in whole
    assert "... 21 more (--top 0 for all)" in whole


def test_top_0_shows_all():
    whole = text(terminal.report(sample(), OUTLOOK, View(top=0)))

    assert "more (" not in whole
    assert all(f"worker-{i} " in whole for i in range(31))


@pytest.mark.parametrize("width", [80, 60, 41])
@pytest.mark.parametrize("by", [None, *BY])
def test_lines_fit_and_numbers_are_whole(by, width):
    survey = sample()
    parts = (
        terminal.one_table(survey, by, View(width), EXTRA.get(by, ()), 13)
        if by
        else terminal.report(survey, OUTLOOK, View(width))
    )

    lines = text(parts, width).splitlines()

    assert max(map(cell_len, lines)) <= width
    # An ellipsis beside a digit would be a number that was cut (names of the sample have no digit in their middle).
    assert not [line for line in lines if re.search(r"\d…|…\d[\d,]* *$", line) and "/" not in line]


def test_longest_numbers_of_a_large_machine_are_all_there():
    huge = size_row("hugetlb", 18, 98_765_432, part=12_345_678, shared=23_456_789, unknown=34_567_891)
    whole = text(matrix.matrix(sample(sizes=[huge]), VIEW))

    for number in ("98,765,432", "86,419,754", "12,345,678", "40,740,752", "23,456,789", "34,567,891"):
        assert number in whole
    assert max(map(cell_len, whole.splitlines())) <= 80


def test_no_escape_sequence_without_colour_and_the_same_words_with_it():
    plain = text(terminal.report(sample(), OUTLOOK, VIEW))
    coloured = text(terminal.report(sample(), OUTLOOK, VIEW), colour=True)

    assert "\x1b" not in plain
    assert "\x1b[" in coloured
    assert [line.rstrip() for line in re.sub(r"\x1b\[[\d;]*m", "", coloured).splitlines()] == plain.splitlines()


def test_checks_of_processes_are_one_line_and_what_is_not_equal():
    shown = text(checks.section(sample(), VIEW))

    assert "Rss of 41 processes: 39 equal, 1 bounded, 1 unexplained" in shown
    assert shown.count("Rss of pid 1") == 3  # 139 and 140 in the table, 139 with its note
    assert shown.index("! unexplained") < shown.index("Rss of pid 139 (firefox)")
    assert re.search(r"PMD-mapped bytes vs AnonHugePages +1,693,696 1,693,696 +0 = equal", shown)
    assert re.search(r"Rss of pid 140 \(bash\) +7,168 +8,192 +-1,024 ! unexplained", shown)


def test_verbose_shows_every_check():
    assert text(checks.section(sample(), View(verbose=True))).count("Rss of pid 1") == 42


def test_checks_that_compare_nothing_with_nothing_are_counted():
    idle = [check(f"anon folios of {size}kB", 0, 0, unit="folios") for size in (16, 32, 128)]
    shown = text(checks.section(sample(checks=[*idle, check("anon folios of 64kB", 7, 7, unit="folios")]), VIEW))

    assert "3 checks in which both are 0: equal (-v shows them)" in shown
    assert "128kB" not in shown


def test_provenance_names_what_changes_the_meaning_of_numbers():
    whole = text(terminal.report(sample(), OUTLOOK, VIEW))

    assert "kernel     6.18.44, pages of 4 KiB" in whole
    assert "counts     exact: kpagecount keeps one count per page" in whole
    assert "thp        enabled=madvise; sizes 64kB always" in whole
    assert "verdicts   40,123 checked, 7 moved" in whole
    assert "own cost   750 ms CPU, 97.0 MiB peak memory, 40,009 reads of 31.0 MiB" in whole


def test_races_are_said_in_words():
    races = {"pages_under": 1, "pages_read_again": 1_009, "pages_over": 0, "pages_of_tomorrow": 7}
    lines = text(provenance.facts(metadata(races=races), View(width=300)), 300).splitlines()

    (line,) = [line for line in lines if line.startswith("races")]
    assert line.split(maxsplit=1)[1] == (
        "1 page that somebody maps whom we did not read; 1,009 pages read again; 7 pages of tomorrow"
    )


def test_who_may_not_be_read_is_named_with_the_reason():
    unreadable = [{"pid": pid, "comm": "work", "error": "Permission denied"} for pid in range(7)]
    shown = " ".join(text(provenance.facts(metadata(unreadable=unreadable), VIEW)).split())

    assert "unreadable 7 processes: 0 (work): Permission denied, 1 (work)" in shown
    assert shown.endswith("4 (work): Permission denied, ... 2 more")


def test_sizes_since_boot_are_spelled_as_in_the_first_table():
    assert "64K   1,000,003" in text(since_boot.section(sample(), VIEW))


def test_vmas_without_a_name_are_anon():
    (row,) = [replace(vma_row(0), path="")]
    assert text(terminal.one_table(sample(), "vma", VIEW, [row])).splitlines()[2].split()[-1] == "anon"


def test_owners_are_ranked_by_waste():
    rows = [replace(owner_row(name, 3), wasted_bytes=waste) for name, waste in (("a", 7), ("b", 11 * MIB), ("", GIB))]
    lines = text(terminal.one_table(sample(cgroups=rows), "cgroup", VIEW)).splitlines()

    assert [line.split()[0] for line in lines[2:5]] == ["(none)", "b", "a"]


def test_what_would_change_without_counts_per_page():
    whole = text(terminal.report(sample(), OUTLOOK, VIEW))
    part = whole.partition("If this kernel stopped counting per page")[2].partition("Where memory is")[0]

    assert ["AnonPages", "97.0", "MiB", "97.0", "MiB", "101", "MiB", "+4.0", "MiB", "+4.1%"] in map(
        str.split, part.splitlines()
    )
    assert ["bit", "56", "set", "1,009", "1,013", "997", "-16", "-1.6%"] in map(str.split, part.splitlines())
    assert "Shmem" not in part


def test_what_is_not_known_of_another_way_of_counting_is_not_shown():
    assert "counting per page (CONFIG" not in text(terminal.report(sample(), None, VIEW))
    assert "No number of /proc would change" in text(terminal.report(sample(), OUTLOOK[2:], VIEW))
