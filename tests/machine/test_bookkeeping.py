"""The machine's books against its page tables, entry by entry, wherever random steps lead."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from machine import walked
from mapcount.machine.page_tables import NONE, PmdEntry, Table
from mapcount.machine.rmap import places_of
from mapcount.mapping.schema import Level
from mapcount.schemes.eras import era_of, parse_release

RELEASES = [
    ("4.19", None),
    ("5.10", None),
    ("6.1", None),
    ("6.5", None),
    ("6.11", None),
    ("6.12", None),
    ("6.16", None),
    ("6.18", True),
    ("7.3", True),
    ("7.3", False),
]
"""All ways of counting that kernels had, and the releases whose guests were recorded."""
SINCE = {"mixed": (6, 8), "shmem-64k": (6, 11)}

heads = st.sampled_from(sorted(walked.HEADS))
seeds = st.integers(0, 1 << 20)
slow = settings(max_examples=7, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def test_every_way_of_counting_that_kernels_had_is_walked():
    counted = {era_of(release, page_mapcount=page_mapcount).scheme for release, page_mapcount in RELEASES}
    assert counted == {
        "double-map:before-5.19",
        "double-map",
        "nr-pages-mapped",
        "large-mapcount:unbatched",
        "large-mapcount",
        "mm-id",
        "no-page-mapcount",
    }


@pytest.mark.parametrize(("release", "page_mapcount"), RELEASES)
@slow
@given(head=heads, seed=seeds)
def test_books_and_readers_agree_with_the_page_tables(release, page_mapcount, head, seed):
    if parse_release(release) < SINCE.get(head, (0, 0)):
        head = "huge"
    backend, steps = walked.begin(release, page_mapcount, head, seed, 29)
    asked = 0
    for number, step in enumerate(steps):
        backend.do(step)
        if number % 3 == 0:
            found = walked.check(backend.machine)
        if number % 9 == 0:
            asked += walked.check_readers(backend.machine, found)
    assert asked
    backend.end()
    assert not backend.machine.folios
    assert not backend.machine.swap.entries


@pytest.mark.parametrize("release", ["5.10", "6.16", "7.3"])
@slow
@given(head=heads, seed=seeds)
def test_the_places_of_a_folio_are_all_its_entries(release, head, seed):
    if parse_release(release) < SINCE.get(head, (0, 0)):
        head = "huge"
    backend, steps = walked.begin(release, None, head, seed, 31)
    for step in steps:
        backend.do(step)
    machine = backend.machine
    for number, folio in machine.folios.items():
        listed = []
        for place in places_of(machine, folio):
            assert place.vma.first <= place.page and place.page + place.nr_pages <= place.vma.end
            pages = range(place.nr_pages)
            listed += [(place.mm.number, place.page + i, place.first + i, place.level) for i in pages]
        assert sorted(listed) == sorted(entries_of(machine, number))


def entries_of(machine, number):
    """(mm, page number, page of the folio, level) by looking at every entry."""
    for mm in machine.mms.values():
        for pmd, entry in mm.tables.items():
            if isinstance(entry, PmdEntry):
                if entry.folio == number:
                    yield from ((mm.number, pmd * 512 + i, i, Level.PMD) for i in range(512))
                continue
            for at in range(512):
                if entry.folio[at] == number:
                    yield mm.number, pmd * 512 + at, int(entry.page[at]), Level.PTE


@pytest.mark.parametrize(
    "spoil",
    [
        lambda machine, folio, table: setattr(folio, "ptes", folio.ptes + 1),
        lambda machine, folio, table: table.folio.__setitem__(3, NONE),
        lambda machine, folio, table: table.folio.__setitem__(3, 10_007),
        lambda machine, folio, table: machine.rows.pop(),
        lambda machine, folio, table: machine.new_folio(folio.kind, 0),
        lambda machine, folio, table: machine.counts.count(4, Level.PTE, folio.number, 3, 1, 0),
    ],
    ids=["a count", "an entry", "a dead folio", "a row", "a leak", "the scheme"],
)
def test_a_machine_whose_books_are_wrong_is_found_out(spoil):
    backend, steps = walked.begin("6.12", None, "huge", 3, 1)
    for step in [*steps[:2], *walked.parse("p: mmap a 2M huge\np: touch a\np: mprotect a[5] ro").steps[2:]]:
        backend.do(step)
    machine = backend.machine
    (folio,) = machine.folios.values()
    (table,) = machine.mms["p"].tables.values()
    assert isinstance(table, Table)
    walked.check_readers(machine, walked.check(machine))
    spoil(machine, folio, table)
    with pytest.raises((AssertionError, KeyError)):
        walked.check_readers(machine, walked.check(machine))
