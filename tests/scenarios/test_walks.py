"""Random walks: the same for a seed, over what is mapped, and mostly of some effect."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapcount.machine.backend import ModelBackend
from mapcount.scenarios.run import run
from mapcount.scenarios.standing import Standing
from mapcount.scenarios.steps import Access, Exit, Fork, Mmap, Mprotect, Munmap, Span
from mapcount.scenarios.text import step_text, text
from mapcount.scenarios.walks import DRAWS, PROCESSES, PROFILES, WEIGHTS, walk, walk_scenario
from scenarios.page_machine import PageMachine

MODELLED = ("small", "2M", "64k", "mixed", "shmem", "hugetlb")
"""Profiles of which the model knows every verb."""
FIRST_STEPS = [
    "p: mmap a 2196k huge",
    "p: mmap b[5] 52k",
    "p: write b[6]",
    "p: munmap a[0:549]",
    "p: munmap b[6:8]",
    "p: mprotect b[5] none",
    "p: fork c",
]
DIGEST = "46f2b38bcada90dd"


def test_a_walk_is_the_same_on_every_python():
    scenario = walk_scenario("mixed", 7, 997)
    assert [step_text(step) for step in scenario.steps[:7]] == FIRST_STEPS
    assert hashlib.sha256(text(scenario).encode()).hexdigest()[:16] == DIGEST


def test_seeds_differ():
    assert len({text(walk_scenario("2M", seed, 31)).partition("\n")[2] for seed in range(11)}) == 11


@pytest.mark.parametrize("profile", PROFILES)
def test_length_and_processes(profile):
    scenario = walk_scenario(profile, 3, 499)
    assert len(scenario.steps) == 499 + len(PROFILES[profile].opening)
    alive = {"p"}
    for step in scenario.steps:
        if isinstance(step, Fork):
            alive.add(step.child)
        if isinstance(step, Exit):
            alive.remove(step.process)
        assert 1 <= len(alive) <= len(PROCESSES)
    drawn = set(PROFILES[profile].weights) - {"renew", "apart"}
    if "apart" in PROFILES[profile].weights:
        drawn |= {"dontneed", "reclaim", "free", "pageout", "collapse", "mprotect", "mremap"}
    verbs = {step_text(step).rpartition(": ")[2].split()[0] for step in scenario.steps}
    assert drawn <= verbs


def test_weights_name_what_can_be_drawn():
    assert set(WEIGHTS) <= set(DRAWS)
    assert all(set(profile.weights) <= set(DRAWS) for profile in PROFILES.values())


@pytest.mark.parametrize("profile", MODELLED)
def test_most_steps_have_an_effect(profile):
    before, effective, refused = None, 0, 0
    scenario = walk_scenario(profile, 5, 307)
    for step, seen in run(scenario, ModelBackend("6.18")):
        refused += seen.result < 0
        effective += isinstance(step, Mmap | Mprotect | Fork | Exit) or seen.mappings != before
        before = seen.mappings
    assert effective > 0.6 * 307
    assert refused < 0.02 * 307


@given(st.integers(0, 1 << 32))
def test_the_standing_is_what_is_mapped_page_by_page(seed):
    standing, machine = Standing(), PageMachine()
    opening = [Mmap("p", Span("a", 3, 32)), Mmap("p", Span("b", 0, 7))]
    machine.begin(None)
    for step in opening:
        standing.apply(step)
        machine.do(step)
    for step in walk(seed, 61, standing):
        assert machine.do(step) >= 0, step
    assert set(standing.processes) == set(machine.mms)
    for name, process in standing.processes.items():
        pages = {}
        for stretch in process.stretches:
            for page in range(stretch.span.first, stretch.span.end):
                assert pages.setdefault((stretch.span.area, page), stretch.protection) is stretch.protection
        assert pages == {page: entry[0] for page, entry in machine.mms[name].items()}


def test_a_walk_where_nothing_is_left_begins_anew():
    standing = Standing()
    standing.apply(Mmap("p", Span("a", 0, 7)))
    standing.apply(Munmap("p", Span("a", 0, 7)))
    steps = list(walk(1, 23, standing, {"write": 1, "munmap": 1}))
    assert steps[0] == Mmap("p", Span("a", 0, 7))
    assert any(isinstance(step, Access) for step in steps)
