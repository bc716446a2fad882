"""A trace played back: it does what was recorded, also the beginning of it, and refuses anything else."""

from __future__ import annotations

import pytest

from agreement.page_machine import ForgetsOnePage, PageMachine
from mapcount.agreement.conform import conform
from mapcount.agreement.golden import record
from mapcount.agreement.pair import Pair
from mapcount.agreement.recorded import RecordedBackend
from mapcount.errors import KernelFeatureError
from mapcount.scenarios.parser import parse
from mapcount.scenarios.scenario import Settings
from mapcount.scenarios.walks import walk_scenario

ONE = parse("p: mmap a 64k\np: write a[0:3]\np: fork c\nc: write a[1]\n", name="one")
OTHER = parse("p: mmap a 64k\np: write a[0:3]\np: dontneed a[0:2]\n", name="other")
WALKS = [walk_scenario(profile, 5, 41) for profile in ("small", "2M", "shmem")]


def played(*scenarios, machine=PageMachine, proc=True):
    return RecordedBackend(record(machine(release="6.12.7"), scenarios, proc=lambda _: proc))


def test_it_is_what_was_recorded():
    found = conform([ONE, OTHER, *WALKS], Pair(PageMachine(), played(ONE, OTHER, *WALKS), proc=True))
    assert found.agrees and not found.skipped and found.scenarios == 5
    assert found.tally.compared["Rss"] > 50


def test_it_names_itself():
    backend = played(ONE)
    assert (backend.name, backend.release, backend.page_mapcount) == ("recorded 6.12.7", "6.12.7", True)


def test_a_recorded_mistake_differs_and_its_beginning_is_what_can_be_played():
    found = conform([OTHER], Pair(PageMachine(), played(ONE, OTHER, machine=ForgetsOnePage)))
    assert found.mismatches["page tables"] == 1
    assert found.shortest[0].scenario.steps == OTHER.steps, "what was not recorded cannot be tried"


def test_scenarios_that_begin_alike_are_told_apart_as_they_go_on():
    backend = played(ONE, OTHER)
    backend.begin(Settings())
    results = [backend.do(step) for step in OTHER.steps]
    assert results == [0, 3, 0]
    assert [row.page for row in backend.observe(0).mappings] == [2]


def test_another_step_is_refused():
    backend = played(ONE)
    backend.begin(Settings())
    backend.do(ONE.steps[0])
    with pytest.raises(KernelFeatureError, match="`p: fork c` was not recorded"):
        backend.do(ONE.steps[2])


def test_more_steps_than_were_recorded_are_refused():
    backend = played(ONE)
    backend.begin(Settings())
    for step in ONE.steps:
        backend.do(step)
    with pytest.raises(KernelFeatureError):
        backend.do(ONE.steps[-1])


def test_other_settings_are_refused():
    with pytest.raises(KernelFeatureError, match="no scenario was recorded"):
        played(ONE).begin(Settings(thp="always"))


def test_proc_only_when_it_is_asked_for():
    backend = played(ONE)
    backend.begin(Settings())
    backend.do(ONE.steps[0])
    assert backend.observe(0, proc=True).proc and not backend.observe(0).proc
