"""The example that ships with the package: what a survey says of it is what its workloads wrote down; no name is in it."""

from __future__ import annotations

import dataclasses
import json
import re
from importlib.resources import files
from pathlib import Path

import pytest

import mapcount
from mapcount.mapping.schema import ADDED_TABLES, SNAPSHOT_TABLES

EXAMPLE = Path(str(files("mapcount") / "data" / "example.mapsnap"))
TRUTH = json.loads((Path(__file__).parent.parent / "data" / "example_truth.json").read_text())
MAX_BYTES = 300 << 10
# What a text of a redacted snapshot may be, besides nothing.
TOKEN = re.compile(r"(comm|path|cgroup)-\d+|/memfd:path-\d+ \(deleted\)|\[\w+\]|/dev/zero \(deleted\)|/")
DEVICE = re.compile(r"00:[0-9a-f]{2}")
PERMS = re.compile(r"[r-][w-][x-][ps]")
IN_META = ("host", "boot_id", "command_line", "scope_detail")


@pytest.fixture(scope="module")
def example():
    return mapcount.Snapshot.load(EXAMPLE)


@pytest.fixture(scope="module")
def survey(example):
    return mapcount.survey(example)


def test_large_folios_are_those_of_the_workloads(survey):
    rows = {
        f"{row.kind} {row.order}": row
        for row in survey.sizes
        if row.order and row.folios and row.kind in {"anon", "shmem"}
    }
    assert rows.keys() == TRUTH["sizes"].keys()
    for key, expected in TRUTH["sizes"].items():
        assert {name: getattr(rows[key], name) for name in expected} == expected, key


def test_each_process_maps_what_it_wrote_down(survey):
    rows = {str(row.pid): row for row in survey.processes}
    assert rows.keys() == TRUTH["processes"].keys()
    for pid, expected in TRUTH["processes"].items():
        assert {name: getattr(rows[pid], name) for name in expected} == expected, pid


def test_it_shows_what_the_report_is_about(survey):
    """Sizes, PMD and PTE mappings, full and partial, shared and not, waste and memory that is unmapped but no waste."""
    rows = {(row.kind, row.order): row for row in survey.sizes}
    for key in (("anon", 4), ("anon", 9), ("shmem", 4)):
        assert min(rows[key].fully_mapped, rows[key].partially_mapped, rows[key].exclusive, rows[key].shared) > 0
    assert min(rows["anon", 9].pmd_only, rows["anon", 9].pte_only, rows["anon", 9].pmd_and_pte) > 0
    assert rows["anon", 4].wasted_bytes > 0
    assert rows["shmem", 4].unmapped_bytes > rows["shmem", 4].wasted_bytes == 0


def test_kernel_agreed(survey):
    assert {check.verdict for check in survey.checks} <= {"equal", "bounded"}
    assert {check.verdict for check in survey.checks if check.name.startswith(("Rss", "mappings"))} == {"equal"}


def test_no_name_is_in_it(example):
    meta = example.meta
    assert meta.redacted
    assert {getattr(meta, name) for name in IN_META} == {"redacted"}
    assert re.fullmatch(r"[\d.]+", meta.kernel_release)
    assert (meta.kernel_version, meta.unreadable, meta.notes, meta.partial) == ("", [], [], "")
    for text in (*example.cgroups, *example.mms.comm, *example.mms.task_cgroup, *example.vmas.path):
        assert not text or TOKEN.fullmatch(text), text
    assert all(map(DEVICE.fullmatch, example.vmas.dev))
    assert all(map(PERMS.fullmatch, example.vmas.perms))
    assert example.folios.pfn is None
    stats = example.observed_stats
    for source, subject in zip(stats.source, stats.subject, strict=True):
        assert re.fullmatch(r"cgroup-\d+|/" if source == "memcg" else r"|\d+kB|mm \d+", subject), (source, subject)


def test_no_text_is_left_out_of_that_search(example):
    """All text columns of all tables: those judged above, and what has no names."""
    texts = {
        f"{table}.{field.name}"
        for table in SNAPSHOT_TABLES
        for field in dataclasses.fields(getattr(example, table))
        if field.metadata["dtype"].hasobject
    }
    searched = {"mms.comm", "mms.task_cgroup", "vmas.path", "vmas.dev", "vmas.perms", "observed_stats.subject"}
    kernels_own = {"observed_stats.source", "observed_stats.name", "observed_stats.unit", "observed_words.word"}
    assert texts - searched == {"mms.pids", *kernels_own}
    assert all(re.fullmatch(r"[\d ]+", pids) for pids in example.mms.pids)


def test_no_path_is_in_its_bytes():
    assert {path.name for path in EXAMPLE.iterdir()} == {
        "meta.json",
        *(f"{name}.parquet" for name in SNAPSHOT_TABLES if name not in ADDED_TABLES),
    }
    for path in EXAMPLE.iterdir():
        assert not re.search(rb"/[a-z]{3,}/[a-z]{3,}", path.read_bytes()), path.name


def test_small_enough_to_ship():
    assert sum(path.stat().st_size for path in EXAMPLE.iterdir()) <= MAX_BYTES
