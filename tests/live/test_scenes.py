"""Each workload captured and surveyed: every mapped page, every number of the size rows, each process's own."""

from __future__ import annotations

import contextlib
from collections import Counter

import pytest

import mapcount
from live.captured import broken_rules, large_view, only, small_counts
from live.conftest import undisturbed
from live.scenes import SCENES
from live.view import differences, sizes
from live.view import small_counts as true_small_counts
from mapcount.mapping.schema import Consistency


@pytest.fixture(scope="module", params=SCENES, ids=str)
def taken(request, held_settings):
    """A workload that runs, and a snapshot of its processes."""
    scene = request.param
    with contextlib.ExitStack() as stack:
        stack.callback(held_settings.restore)
        try:
            held_settings.thp(anon=scene.anon_kb, shmem=scene.shmem_kb)
        except LookupError as error:
            pytest.skip(str(error))
        workload = stack.enter_context(undisturbed(held_settings, scene.script, *scene.arguments))
        yield workload, mapcount.capture(pids=list(workload.pids.values()))


def test_every_page_of_large_folios(taken):
    workload, snapshot = taken
    assert differences(workload.view().select(large=True), large_view(snapshot, workload.pids, workload.areas)) == []


def test_small_pages(taken):
    workload, snapshot = taken
    assert small_counts(snapshot, workload.pids, workload.areas) == true_small_counts(workload.view())


def test_size_rows(taken):
    workload, snapshot = taken
    survey = mapcount.survey(only(snapshot, workload.pids, workload.areas))
    truth = sizes(workload.view().select(large=True))
    rows = {(row.kind, row.order): row for row in survey.sizes if row.order > 0 and row.folios}
    assert rows.keys() == truth.keys()
    for key, expected in truth.items():
        assert {name: getattr(rows[key], name) for name in expected} == expected


def test_process_rows(taken):
    """Of each process: large folios it maps, those wasted in part, those of which it merely sees a part."""
    workload, snapshot = taken
    survey = mapcount.survey(only(snapshot, workload.pids, workload.areas))
    view = workload.view().select(large=True)
    mapped = view.mapped()
    for name, pid in workload.pids.items():
        row = next(row for row in survey.processes if str(pid) in row.pids.split())
        anon = {folio for folio, (kind, _) in view.folios.items() if kind == "anon"}
        seen: dict[str, set[int]] = {}
        mappings: Counter[bool] = Counter()  # by "is anonymous"; a page mapped twice counts twice, as in Rss
        for entry in view.pages[name].values():
            seen.setdefault(entry.folio, set()).add(entry.page)
            mappings[entry.folio in anon] += 1
        nr_pages = {folio: 1 << view.folios[folio][1] for folio in seen}
        partial = {f for f in seen if f in anon and len(mapped[f]) < nr_pages[f]}
        partial_view = {f for f in seen if f in anon and len(seen[f]) < nr_pages[f]} - partial
        assert row.large_folios == len(seen)
        assert row.partially_mapped == len(partial)
        assert row.partial_view == len(partial_view)
        assert row.anon_large_bytes == 4096 * mappings[True]
        assert row.file_large_bytes == 4096 * mappings[False]


def test_nothing_moved(taken):
    """A workload that holds still: its folios agree with the kernel's counts, and nobody unseen maps them."""
    workload, snapshot = taken
    mine = only(snapshot, workload.pids, workload.areas)
    assert set(mine.folios.consistency.tolist()) <= {Consistency.CHECKED}
    assert len(mine.unseen) == 0
    assert snapshot.meta.scope == "pids" and snapshot.meta.tier == "pfn" and snapshot.meta.partial == ""


def test_rules(taken):
    _, snapshot = taken
    assert broken_rules(snapshot) == []
