"""The library: every scenario reads, says what it shows, and what it expects holds on the model of every kernel."""

from __future__ import annotations

import pytest

from mapcount.errors import UsageError
from mapcount.machine.backend import ModelBackend
from mapcount.scenarios.expectations import judge
from mapcount.scenarios.library import load, load_all, names
from mapcount.scenarios.run import run
from mapcount.scenarios.steps import Advice, Expect, Fallocate, Madvise

KERNELS = [("5.10", None), ("6.1", None), ("6.12", None), ("6.16", None), ("7.3", None), ("7.3", False)]
NOT_MODELLED = {Advice.COLLAPSE, Advice.MERGEABLE}
ASKED_FOR = (
    "fork-partial-unmap-2M",
    "mremap-part-2M",
    "dontneed-part-2M",
    "pmd-split-by-mprotect-2M",
    "two-vmas-mprotect-64k",
    "three-mms-2M",
    "pmd-split-transient-2M",
    "split-owner-2M",
    "child-only-partial-2M",
)
"""Situations that the discussion on the mailing list speaks of."""


def modelled(scenario):
    return not any(
        (isinstance(step, Madvise) and step.advice in NOT_MODELLED) or (isinstance(step, Fallocate) and step.punch)
        for step in scenario.steps
    )


def test_names():
    assert set(ASKED_FOR) <= set(names())
    assert len(names()) > 50


@pytest.mark.parametrize("scenario", load_all(), ids=lambda scenario: scenario.name)
def test_each_says_what_it_shows(scenario):
    assert scenario.says.endswith((".", "?"))
    assert len(scenario.says) < 200
    assert scenario.steps


def test_no_two_show_the_same():
    assert (
        len({scenario.steps for scenario in load_all()})
        == len({scenario.says for scenario in load_all()})
        == len(names())
    )


@pytest.mark.parametrize(("release", "page_mapcount"), KERNELS)
def test_what_is_expected_holds_on_the_model(release, page_mapcount):
    told = untold = 0
    for scenario in load_all():
        machine = ModelBackend(release, page_mapcount=page_mapcount)
        if machine.era.version < scenario.needs or not modelled(scenario):
            continue
        for step, seen in run(scenario, machine):
            if isinstance(step, Expect):
                told += judge(step, seen).holds is True
                untold += judge(step, seen).holds is None
    assert told > 80
    assert untold < 40


def test_all_can_be_told_on_the_newest():
    for scenario in filter(modelled, load_all()):
        for step, seen in run(scenario, ModelBackend("7.3")):
            assert not isinstance(step, Expect) or judge(step, seen).holds, (scenario.name, step)


def test_walks_take_a_seed():
    assert load("walk-2M", seed=23) != load("walk-2M")


def test_one_that_is_not_there():
    with pytest.raises(UsageError, match="did you mean walk-2M"):
        load("walk-2m")
