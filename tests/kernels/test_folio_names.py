"""Names of folios: the same as long as it is the same folio, judged by a machine that knows which folio each frame holds."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mapcount.kernels.folio_names import Entries, Folio, FolioNames
from mapcount.mapping.schema import Kind
from mapcount.scenarios.steps import Mremap, Munmap, Span, area_address

A, B = (area_address(area) >> 12 for area in "ab")
SMALL = Folio(0, Kind.ANON)


def entries(rows):
    """Of {page: (pfn, head)}."""
    page = np.array(sorted(rows), np.uint64)
    return Entries(page, *(np.array([rows[int(at)][i] for at in page], np.uint64) for i in (0, 1)))


def look(names, tables, folios=None):
    """Tables are {process: {page: (pfn, head)}}."""
    heads = {head for table in tables.values() for _, head in table.values()}
    return names.name({name: entries(table) for name, table in tables.items()}, folios or dict.fromkeys(heads, SMALL))


def test_names_are_given_process_by_process_and_page_by_page():
    tables = {"p": {A + 3: (700, 700), A + 5: (90, 90)}, "c": {A: (41, 41), A + 5: (90, 90)}}
    assert look(FolioNames(), tables) == {700: "f0", 90: "f1", 41: "f2"}


def test_a_frame_that_was_given_out_again_is_another_folio():
    names = FolioNames()
    look(names, {"p": {A: (41, 41), A + 1: (42, 42)}})
    # Page 0 was copied to 43, 41 freed, page 1 copied to it: two copies in one step.
    assert look(names, {"p": {A: (43, 43), A + 1: (41, 41)}}) == {43: "f2", 41: "f3"}


def test_one_entry_that_stays_is_enough_whoever_has_it():
    names = FolioNames()
    head = {page: (96 + page - A, 96) for page in range(A, A + 16)}
    whole = {96: Folio(4, Kind.ANON)}
    look(names, {"p": head, "c": head}, whole)
    assert look(names, {"c": {A + 7: (103, 96)}}, whole) == {96: "f0"}


def test_a_folio_that_was_split_or_changed_its_kind_is_another_one():
    names = FolioNames()
    large = {page: (96 + page - A, 96) for page in range(A, A + 4)}
    assert look(names, {"p": large}, {96: Folio(2, Kind.ANON)}) == {96: "f0"}
    pieces = {page: (96 + page - A, 96 + page - A) for page in range(A, A + 4)}
    assert look(names, {"p": pieces}) == {96: "f1", 97: "f2", 98: "f3", 99: "f4"}
    assert look(names, {"p": {A + 1: (97, 97)}}, {97: Folio(0, Kind.KSM)}) == {97: "f5"}


def test_entries_that_mremap_moved_are_followed():
    names = FolioNames()
    look(names, {"p": {A + 3: (41, 41), A + 9: (42, 42), B + 7: (50, 50)}})
    names.moved(Mremap("p", Span("a", 2, 5), "b", 6))
    # Page 3 went to page 7 of b, over what was there; its old frame 50 was freed.
    assert look(names, {"p": {A + 9: (42, 42), B + 7: (41, 41)}}) == {42: "f1", 41: "f0"}
    names.moved(Munmap("p", Span("a", 9, 10)))
    names.moved(Mremap("q", Span("b", 7, 8), "a", 0))
    assert look(names, {"p": {B + 7: (41, 41)}}) == {41: "f0"}


def test_who_is_lost_from_sight_is_met_anew():
    names = FolioNames()
    look(names, {"p": {A: (41, 41)}})
    assert look(names, {"p": {}}) == {}
    assert look(names, {"p": {A: (41, 41)}}) == {41: "f1"}


class Machine:
    """Small pages of two processes; a frame is given out again as soon as it is free, the lowest first."""

    def __init__(self):
        self.tables = {"p": {}, "c": {}}
        self.holds = {}
        self.made = 0

    def free(self):
        used = {frame for table in self.tables.values() for frame in table.values()}
        return min(set(range(1, 99)) - used)

    def write(self, process, page):
        """A private page is kept; a shared one, or none, is replaced by a new folio, before the old one is let go."""
        table = self.tables[process]
        mapped = sum(frame == table.get(page) for other in self.tables.values() for frame in other.values())
        if page not in table or mapped > 1:
            frame = self.free()
            table[page] = frame
            self.holds[frame] = self.made
            self.made += 1


STEPS = st.lists(
    st.tuples(
        st.sampled_from("pc"),
        st.sampled_from(["write", "unmap", "move", "share"]),
        st.integers(0, 10),
        st.integers(1, 5),
    ),
    max_size=31,
)


@given(STEPS)
def test_names_and_folios_are_one_to_one(steps):
    machine, names = Machine(), FolioNames()
    name_of, folio_of, last = {}, {}, set()
    for process, verb, first, nr_pages in steps:
        table = machine.tables[process]
        span = range(A + first, A + first + nr_pages)
        if verb == "write":
            for page in span:
                machine.write(process, page)
        elif verb == "unmap":
            for page in span:
                table.pop(page, None)
        elif verb == "share":
            machine.tables["c" if process == "p" else "p"] = dict(table)
        else:
            taken = {page - A + B: table.pop(page) for page in span if page in table}
            for page in span:
                table.pop(page - A + B, None)
            table |= taken
            names.moved(Mremap(process, Span("a", first, first + nr_pages), "b", first))
        shown = look(
            names, {name: {page: (pfn, pfn) for page, pfn in of.items()} for name, of in machine.tables.items()}
        )
        seen = {machine.holds[pfn]: name for pfn, name in shown.items()}
        assert len(set(seen.values())) == len(seen)
        for folio, name in seen.items():
            if folio in last:
                assert name_of[folio] == name
            assert folio_of.setdefault(name, folio) == folio
        name_of, last = seen, set(seen)


def test_the_machine_of_these_tests_gives_frames_out_again():
    machine = Machine()
    machine.write("p", A)
    machine.tables["c"] = dict(machine.tables["p"])
    held = defaultdict(set)
    for page in (A, A + 1):
        machine.write("p", page)
        machine.tables["c"].clear()
        held[machine.tables["p"][page]].add(machine.made)
    assert machine.tables["p"] == {A: 2, A + 1: 1}
