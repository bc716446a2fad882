"""The whole survey: of nothing, of a snapshot without PFNs, of counters since boot, and its cost."""

from __future__ import annotations

import dataclasses
import sys

import numpy as np
import pytest
from hypothesis import given

import mapcount
from builders import SnapshotBuilder
from mapcount.mapping import schema
from mapcount.mapping.snapshot import Metadata, Snapshot, empty_tables
from mapcount.survey.facts import Facts
from mapcount.survey.owners import process_rows
from mapcount.survey.run import survey, survey_folios, survey_vmas
from mapcount.survey.sizes import size_rows
from mapcount.survey.sorting import order_of
from survey.strategies import snapshots


def test_an_empty_snapshot_has_an_empty_survey():
    empty = Snapshot(meta=Metadata(), **empty_tables())
    result = survey(empty)
    assert not any(getattr(result, field.name) for field in dataclasses.fields(result) if field.name != "meta")
    assert survey_folios(empty) == survey_vmas(empty) == []


def test_without_pfns_there_is_a_process_but_nothing_to_check():
    b = SnapshotBuilder()
    b.add_vma(b.add_mm())
    b.add_stat("smaps_rollup", "mm 0", "Rss", 4096)
    result = survey(b.build(tier="no-pfn"))
    assert len(result.processes) == 1
    assert result.checks == result.sizes == []


def test_the_package_can_be_called():
    assert mapcount.survey(SnapshotBuilder().build()).meta.scope == "all"


@given(snapshots())
def test_any_snapshot_can_be_surveyed(snapshot):
    result = survey(snapshot)
    wasted = sum(row.wasted_bytes for row in result.sizes)
    for owners in (result.processes, result.programs, result.cgroups):
        assert sum(row.wasted_bytes for row in owners) <= wasted


def test_since_boot_has_a_row_per_size_in_order_of_size():
    b = SnapshotBuilder()
    for size, value in (("1024kB", 7), ("64kB", 11)):
        b.add_stat("mthp", size, "split_deferred", value - 1, value, unit="events")
    rows = survey(b.build()).since_boot
    assert [(row.size, row.split_deferred, row.swpout) for row in rows] == [("64kB", 11, -1), ("1024kB", 7, -1)]


@pytest.mark.parametrize("bits", [1, 15, 16, 17, 40, 62])
def test_order_of_sorts_and_is_stable(bits):
    keys = np.random.default_rng(bits).integers(0, 1 << bits, 997)
    assert order_of(keys).tolist() == sorted(range(997), key=lambda i: keys[i])


def test_no_line_of_python_runs_for_each_folio_run_or_page():
    """100 times the folios and runs, of more than two million pages: next to no more lines, so no loop over them."""
    small, large = large_snapshot(folios=1_009), large_snapshot(folios=100_003)
    assert large.runs.nr_pages.sum() > 2_000_000
    lines_executed(small)  # what is imported when called for the first time is no part of it
    assert lines_executed(large) < lines_executed(small) + 101


def lines_executed(snapshot):
    """Count what sys.settrace calls a line: an iteration of a loop or comprehension is one at least."""
    lines, before = 0, sys.gettrace()

    def trace(frame, event, argument):
        nonlocal lines
        lines += event == "line"
        return trace

    sys.settrace(trace)
    try:
        facts = Facts(snapshot)
        size_rows(facts), process_rows(facts)
    finally:
        sys.settrace(before)
    return lines


def large_snapshot(folios):
    """Three mms map every folio in different order; one run in twenty is a part of its folio."""
    random = np.random.default_rng(7)
    order = random.choice(np.array([2, 4, 9], np.uint8), folios, p=[0.6, 0.398, 0.002])
    folio = np.concatenate([random.permutation(folios) for _ in range(3)])
    pages = (1 << order.astype(np.int64))[folio]
    part = random.random(len(folio)) < 0.05
    first = np.where(part, pages // 2, 0)
    mm = np.repeat(np.arange(3, dtype=np.uint32), folios)
    address = (np.cumsum(pages) + (1 << 20)) * 4096
    b = SnapshotBuilder()
    for _ in range(3):
        b.add_vma(b.add_mm())
    small = b.build()
    parts = {name: getattr(small, name) for name in empty_tables()} | {
        "folios": schema.Folios(
            np.arange(folios, dtype=np.uint32), order,
            kind=np.zeros(folios, np.uint8), charge_cgroup=np.zeros(folios, np.int32), node=np.zeros(folios, np.int16),
            swapcache=np.zeros(folios, np.bool_), consistency=np.zeros(folios, np.uint8), pfn=None,
        ),
        "runs": schema.Runs(
            mm, mm, address.astype(np.uint64), folio.astype(np.uint32), first.astype(np.uint32),
            (pages - first).astype(np.uint32), np.zeros(len(mm), np.uint8),
        ),
    }  # fmt: skip
    return Snapshot(meta=small.meta, **parts)
