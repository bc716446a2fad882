"""The model beside every kernel that was recorded, after every step: nothing differs but what is allowed."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from agreement.untaken import UNTAKEN
from mapcount.agreement.allowed import ALLOWED, allowance_for
from mapcount.agreement.branches import BranchTrace
from mapcount.agreement.conform import conform
from mapcount.agreement.coverage import OUT_OF_REACH, Coverage
from mapcount.agreement.golden import missing
from mapcount.agreement.golden_file import load
from mapcount.agreement.pair import Pair
from mapcount.agreement.record_golden import wanted, with_proc
from mapcount.agreement.recorded import RecordedBackend
from mapcount.machine.backend import ModelBackend
from mapcount.scenarios.text import step_text
from mapcount.schemes.catalogue import find_scheme
from mapcount.schemes.eras import era_of

GOLDEN = Path(__file__).parent.parent / "golden"
KERNELS = sorted(path.stem for path in GOLDEN.glob("*.json"))
BEHIND: tuple[str, ...] = ()
"""Recorded before the walks `pieces` and the longer walks `file`: `make record ARGS="--missing KERNEL"` completes them."""
TOO_FEW = {"5.10": {"collapse": "MADV_COLLAPSE came with 6.1"}}
"""Operations that had an effect less than 100 times on a kernel that is up to date, and why."""


@cache
def trace_of(kernel):
    return load(GOLDEN / f"{kernel}.json")


def compared(kernel):
    """Compare the scenarios in which /proc was not read, and those in which it was; also return what was covered."""
    trace = trace_of(kernel)
    model, found = ModelBackend(trace.kernel, page_mapcount=trace.page_mapcount), []
    coverage = Coverage.of(model.scheme)
    with coverage.branches.tracing():
        for proc in (False, True):
            pair = Pair(model, RecordedBackend(trace), proc=proc, allows=lambda one: allowance_for(one, trace.kernel))
            chosen = [one.scenario for one in trace.recorded if any(seen.proc for seen in one.observations) == proc]
            found.append(conform(chosen, pair, shrink_limit_s=0))
    return found, coverage


def told(found):
    return [
        f"{one.scenario.name}: `{step_text(one.scenario.steps[one.differences[0].step])}`: {one.differences[0]}"
        for one in found.differing
    ]


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_model_is_the_kernel_after_every_step(kernel):
    found, coverage = compared(kernel)
    assert [line for one in found for line in told(one)] == []
    assert not any(one.skipped for one in found), "whatever a kernel can do, its model can"
    assert sum(one.steps for one in found) == trace_of(kernel).steps
    words = set().union(*(one.tally.compared for one in found))
    assert set(trace_of(kernel).fields) <= words, "every word that was recorded was compared"
    known = {one for one in ALLOWED if one.since <= era(kernel).version < one.until}
    assert set().union(*(one.allowed for one in found)) == known, "each that is allowed is needed"
    untaken = coverage.branches_not_taken()
    assert Counter(name_of(branch) for branch, _ in untaken) == UNTAKEN[era(kernel).scheme]
    assert [name_of(branch) for branch, why in untaken if not why] == []


def name_of(branch):
    return f"{branch.function}: {branch.source}"


def test_every_reason_is_needed_and_no_branch_that_has_none_is_let_off():
    every = {branch for scheme in UNTAKEN for branch in BranchTrace(find_scheme(scheme)).all}
    untaken = {branch for branch in every if any(name_of(branch) in one for one in UNTAKEN.values())}
    assert {name_of(branch) for branch in untaken} == set().union(*UNTAKEN.values())
    needed = {
        (function, part) for branch in untaken for function, part, _ in OUT_OF_REACH if is_about(branch, function, part)
    }
    assert needed == {(function, part) for function, part, _ in OUT_OF_REACH}


def is_about(branch, function, part):
    return function in {"", branch.function} and part in branch.source


def era(kernel):
    return era_of(trace_of(kernel).kernel, page_mapcount=trace_of(kernel).page_mapcount)


def test_there_are_kernels_of_every_scheme_that_one_can_boot():
    assert {era(kernel).scheme for kernel in KERNELS} == {
        "double-map:before-5.19",
        "double-map",
        "large-mapcount",
        "mm-id",
        "no-page-mapcount",
    }
    assert len(KERNELS) >= 7


def test_the_model_of_another_kernel_is_not_this_one():
    trace = trace_of("6.12")
    pair = Pair(ModelBackend("6.18"), RecordedBackend(trace))
    found = conform([one.scenario for one in trace.recorded], pair, shrink_limit_s=0)
    assert found.mismatches["page tables"], "6.12 copies where 6.18 reuses"


def test_a_scheme_that_counts_otherwise_is_caught(monkeypatch):
    trace = trace_of("6.18")
    model = ModelBackend(trace.kernel)
    count = model.machine.counts.__class__.count

    def one_page_less(self, op, level, folio, first, nr_pages, *where):
        count(self, op, level, folio, first, max(1, nr_pages - (nr_pages == 7)), *where)

    monkeypatch.setattr(model.machine.counts.__class__, "count", one_page_less)
    found = conform([one.scenario for one in trace.recorded], Pair(model, RecordedBackend(trace)), shrink_limit_s=0)
    assert found.mismatches["_large_mapcount"] or found.mismatches["_mapcount"]


def test_much_was_recorded():
    traces = [trace_of(kernel) for kernel in KERNELS]
    assert sum(trace.steps for trace in traces) > 10_000
    with_proc = [trace for trace in traces if any(seen.proc for one in trace.recorded for seen in one.observations)]
    assert with_proc, "/proc was read on some"


def test_files_hold_no_frame_numbers_and_are_small():
    for kernel in KERNELS:
        size = (GOLDEN / f"{kernel}.json").stat().st_size
        assert size / trace_of(kernel).steps < 1 << 10
        assert "pfn" not in (GOLDEN / f"{kernel}.json").read_text().lower()


@pytest.mark.parametrize("kernel", KERNELS)
def test_all_that_is_wanted_was_recorded_but_on_kernels_that_are_said_to_be_behind(kernel):
    trace = trace_of(kernel)
    lacking = [one.name for one in missing(trace, wanted(), proc=with_proc) if one.name not in trace.skipped]
    assert bool(lacking) == (kernel in BEHIND), lacking


@pytest.mark.parametrize("kernel", [kernel for kernel in KERNELS if kernel not in BEHIND])
def test_every_operation_had_an_effect_often_enough(kernel):
    """Counted from what the kernel showed, without the model."""
    coverage = Coverage.of(find_scheme(era(kernel).scheme))
    for one in trace_of(kernel).recorded:
        before = None
        for step, seen in zip(one.scenario.steps, one.observations, strict=True):
            coverage.watch(step, before, seen)
            before = seen
    assert coverage.too_few().keys() == TOO_FEW.get(kernel, {}).keys(), coverage.too_few()
