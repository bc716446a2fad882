"""Machines that change between the looks: what is stale goes, what stands still stays, and who comes later wins."""

import shutil

import numpy as np
import pytest

from capture.fake_machine import FIRST_PID, FakeMachine, FakeMm, stat_line
from capture.machines import BASE
from mapcount.capture import stale
from mapcount.capture.agree import whole_folios
from mapcount.capture.gathered import MmCapture
from mapcount.capture.maps import parse_maps
from mapcount.capture.physical import PhysicalPages
from mapcount.capture.runs import RawBits, RawRuns
from mapcount.capture.stale import claimed_twice, settle_stale
from mapcount.capture.walk import MmPages, WalkPlan, walk
from mapcount.mapping.schema import Level

VMAS = [(BASE, BASE + 2048)]


def u64(values):
    return np.array(list(values), np.uint64)


class Look:
    """A fake machine, and what a first look at it found."""

    def __init__(self, machine, *mms, folios):
        self.machine = machine
        self.change(*mms, folios=folios)
        self.files = machine.files()
        self.physical = PhysicalPages(self.files)
        self.plan = WalkPlan(self.physical, False, True, True, 1, lambda: None)
        self.mms = [self.first_look(space, machine.mms[number]) for number, space in enumerate(machine.spaces())]

    def change(self, *mms, folios=None, counts=None):
        """Let the machine be another one from now on; `counts` (pfn -> difference) is what kpagecount is off by."""
        if folios is not None:
            self.machine.folios.clear()
            for folio in folios:
                self.machine.add_folio(*folio)
        old = [mm.pmds for mm in self.machine.mms]
        self.machine.mms = [FakeMm(VMAS, dict(pages)) for pages in mms]
        for mm, pmds in zip(self.machine.mms, old, strict=False):
            mm.pmds = pmds
        self.machine.unseen.clear()
        self.machine.unseen.update(counts or {})
        self.machine.write()

    def first_look(self, space, mm):
        home = self.machine.directory / str(space.leader.pid)
        vmas, pages = parse_maps((home / "maps").read_bytes()), MmPages()
        with (home / "pagemap").open("rb") as pagemap:
            walk(self.plan, pagemap.fileno(), vmas, pages)
        runs = RawRuns.join(pages.runs)
        whole = np.isin(runs.page, u64(mm.pmds)) & (runs.nr_pages == 512)
        pages.runs = [
            RawRuns(runs.page, runs.pfn, runs.nr_pages, np.where(whole, Level.PMD, Level.PTE).astype(np.uint8))
        ]
        pages.bits = [RawBits.join(pages.bits)]
        return MmCapture(space, vmas, pages, "", complete=True)

    def settle(self, frames):
        frames = whole_folios(self.physical, u64(sorted(frames)))
        return settle_stale(self.mms, self.plan, frames)

    def pages(self, number):
        runs = self.mms[number].pages.runs[0]
        rows = zip(runs.page.tolist(), runs.pfn.tolist(), runs.nr_pages.tolist(), strict=True)
        return {page + i: pfn + i for page, pfn, nr_pages in rows for i in range(nr_pages)}

    def vanished(self):
        return [mm.pages.vanished for mm in self.mms]


@pytest.fixture
def look(tmp_path):
    made = []

    def make(*mms, folios, pmds=()):
        machine = FakeMachine(tmp_path, 2048)
        machine.mms = [FakeMm(VMAS, pmds=set(pmds)) for _ in mms]
        made.append(Look(machine, *mms, folios=folios))
        return made[-1]

    yield make
    for one in made:
        one.files.close()


@pytest.fixture
def between_looks(monkeypatch):
    """`between_looks[n] = action`: done when the n-th mapping process is about to be looked at, counted from 0."""
    actions, calls, real = {}, iter(range(1000)), stale.is_there

    def is_there(process):
        actions.get(next(calls), lambda: None)()
        return real(process)

    monkeypatch.setattr(stale, "is_there", is_there)
    return actions


def mapped(first_pfn, count, at=0):
    return {BASE + at + i: first_pfn + i for i in range(count)}


FOLIO = [(64, 4, "anon")]


def test_what_stands_still_stays(look):
    seen = look(mapped(64, 16), mapped(64, 7), folios=FOLIO)
    decided, shared = seen.settle(range(64, 80))
    assert (seen.pages(0), seen.pages(1)) == (mapped(64, 16), mapped(64, 7))
    assert (len(decided), shared, seen.vanished()) == (0, 0, [0, 0])


def test_pages_that_are_gone_are_dropped_and_counted(look):
    seen = look(mapped(64, 16), folios=FOLIO)
    left = {page: pfn for page, pfn in mapped(64, 16).items() if pfn not in (64, 70, 71, 72)}
    seen.change(left)
    decided, _ = seen.settle([64])
    assert (seen.pages(0), seen.vanished(), len(decided)) == (left, [4], 0)
    assert len(seen.mms[0].pages.runs[0]) == 2


def test_pages_of_other_folios_are_not_looked_at(look):
    seen = look(mapped(64, 16) | mapped(96, 8, at=100), folios=[*FOLIO, (96, 3, "anon")])
    seen.change({})
    seen.settle([64])
    assert seen.pages(0) == mapped(96, 8, at=100)


def test_a_page_that_came_back_as_another_frame_is_dropped(look):
    seen = look(mapped(64, 16), folios=[*FOLIO, (96, 4, "anon")])
    seen.change(mapped(96, 16))
    seen.settle([64])
    assert (seen.pages(0), seen.vanished()) == ({}, [16])


def test_a_pmd_goes_or_stays_as_a_whole(look):
    page = 512 * (BASE // 512 + 1)
    pages = {page + i: 512 + i for i in range(512)}
    seen = look(pages, folios=[(512, 9, "anon")], pmds=[page])
    assert seen.mms[0].pages.runs[0].level.tolist() == [Level.PMD]
    seen.settle([512])
    assert seen.pages(0) == pages
    seen.change({p: pfn for p, pfn in pages.items() if pfn != 900})
    seen.settle([512])
    assert (seen.pages(0), seen.vanished()) == ({}, [512])


def test_of_two_owners_of_a_reused_frame_the_later_stays(look, between_looks):
    """GIVEN a frame that goes to the second process after the first has been looked at for the last time."""
    seen = look(mapped(64, 16), mapped(64, 16, at=50), folios=FOLIO)
    between_looks[3] = lambda: seen.change({}, mapped(64, 16, at=50))
    decided, _ = seen.settle([64])
    assert (seen.pages(0), seen.pages(1)) == ({}, mapped(64, 16, at=50))
    assert decided.tolist() == list(range(64, 80))


def test_a_frame_that_moves_between_two_looks_has_its_second_owner_alone(look, between_looks):
    seen = look(mapped(64, 16), mapped(64, 16, at=50), folios=FOLIO)
    between_looks[1] = lambda: seen.change({}, mapped(64, 16, at=50))
    decided, _ = seen.settle([64])
    assert (seen.pages(0), seen.pages(1), len(decided)) == ({}, mapped(64, 16, at=50), 0)
    assert seen.vanished() == [16, 0]


def test_pages_counted_less_than_found_go_from_the_first(look):
    """Shared memory: page by page, and only as many as are too many."""
    seen = look(mapped(64, 16), mapped(64, 16), mapped(64, 16), folios=[(64, 4, "shmem")])
    seen.change(*[mapped(64, 16)] * 3, counts={66: -1, 67: -2})
    decided, _ = seen.settle([64])
    assert decided.tolist() == [66, 67]
    lost = [set(mapped(64, 16).values()) - set(seen.pages(number).values()) for number in range(3)]
    assert lost == [{66, 67}, {67}, set()]


def test_an_anon_folio_that_another_claims_goes_as_a_whole(look):
    """GIVEN pages of which one mapping is too many, and others of the folio that the first owner alone maps."""
    first, second = mapped(64, 16), {BASE + i: 64 + i for i in range(8, 32)}
    seen = look(first, second, folios=[(64, 5, "anon")])
    seen.change(first, second, counts=dict.fromkeys(range(72, 80), -1))
    decided, _ = seen.settle([64])
    assert decided.tolist() == list(range(72, 80))
    assert (seen.pages(0), seen.pages(1)) == ({}, second)


def test_hugetlb_pages_in_a_shared_table_are_kept(look):
    seen = look(mapped(64, 16), mapped(64, 16), folios=[(64, 4, "hugetlb")])
    seen.change(mapped(64, 16), mapped(64, 16), counts=dict.fromkeys(range(64, 80), -1))
    decided, shared = seen.settle([64])
    assert (len(decided), shared) == (0, 16)
    assert seen.pages(0) == seen.pages(1) == mapped(64, 16)


def test_a_folio_that_was_split_is_cut_anew(look):
    seen = look(mapped(64, 16), folios=FOLIO)
    assert len(seen.mms[0].pages.runs[0]) == 1
    seen.change(mapped(64, 16), folios=[(64, 3, "anon"), (72, 2, "anon"), (76, 1, "anon"), (78, 1, "anon")])
    seen.settle([64])
    runs = seen.mms[0].pages.runs[0]
    assert (runs.pfn.tolist(), runs.nr_pages.tolist()) == ([64, 72, 76, 78], [8, 4, 2, 2])
    assert seen.physical.orders_of(u64([64, 72, 76])).tolist() == [3, 2, 1]


@pytest.mark.parametrize("how", ["exited", "pid reused", "zombie"])
def test_a_process_that_is_gone_has_no_mappings(look, how):
    seen = look(mapped(64, 16), mapped(64, 16), folios=FOLIO)
    seen.machine.mms[0].pages.clear()
    seen.machine.write()
    home = seen.machine.directory / str(FIRST_PID)
    seen.machine.write_mm(0, FakeMm(VMAS, mapped(64, 16)), [1] * 2048)
    if how == "exited":
        shutil.rmtree(home)
    else:
        (home / "stat").write_text(
            stat_line(FIRST_PID, state="Z") if how == "zombie" else stat_line(FIRST_PID, start_time=43)
        )
    seen.settle([64])
    assert (seen.pages(0), seen.pages(1)) == ({}, mapped(64, 16))


def test_an_anon_folio_shared_by_fork_and_unmapped_in_parts_keeps_both_owners(look):
    """Each maps other pages than the other, and it stood still: that is believed."""
    first, second = mapped(64, 8), {BASE + i: 64 + i for i in range(8, 16)}
    seen = look(first, second, folios=FOLIO)
    decided, _ = seen.settle([64])
    assert (seen.pages(0), seen.pages(1), len(decided)) == (first, second, 0)


def test_an_anon_folio_that_moved_belongs_to_who_was_looked_at_last(look, between_looks):
    """GIVEN two mms with other pages of one folio each, pages counted that neither has, and a change while we looked."""
    first, second = mapped(64, 8), {BASE + i: 64 + i for i in range(8, 13)}
    seen = look(first, second, folios=FOLIO)
    between_looks[3] = lambda: seen.change(first, {BASE + i: 64 + i for i in range(8, 12)}, counts={77: 1})
    decided, _ = seen.settle([64])
    assert seen.pages(0) == {}
    assert seen.pages(1) == {BASE + i: 64 + i for i in range(8, 12)}
    assert decided.tolist() == [64]


def test_folios_that_several_claim(look):
    folios = [(64, 2, "anon"), (68, 2, "shmem"), (72, 2, "anon"), (76, 0, "anon")]
    both = mapped(64, 1) | mapped(68, 4, at=10) | mapped(76, 1, at=30)
    seen = look(both, mapped(66, 2) | mapped(68, 4, at=10) | mapped(72, 4, at=20) | mapped(76, 1, at=30), folios=folios)
    frames = u64(range(64, 77))
    assert claimed_twice(seen.mms, seen.physical, frames).tolist() == [64, 76]
    assert claimed_twice(seen.mms, seen.physical, u64([73, 68])).tolist() == []
