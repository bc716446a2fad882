"""End to end through the commands: a workload, `capture` into a .mapsnap, `report --json` of it, against the truth."""

from __future__ import annotations

import json
import stat
import subprocess
import sys

import pytest

import mapcount
from live.captured import large_view
from live.conftest import undisturbed
from live.oracle import smaps_rollup
from live.view import differences, sizes


def mapcount_command(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "mapcount", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="module")
def saved(held_settings, tmp_path_factory):
    """A workload of anonymous 64 KiB folios in three processes, and a capture of it on disk: for all tests here."""
    try:
        held_settings.thp(anon=(64,))
    except LookupError as error:
        pytest.skip(str(error))
    path = tmp_path_factory.mktemp("saved") / "fork.mapsnap"
    try:
        with undisturbed(held_settings, "fork.py") as running:
            pids = [argument for pid in running.pids.values() for argument in ("--pid", pid)]
            mapcount_command("capture", *pids, "-o", path)
            yield running, path
    finally:
        held_settings.restore()


def test_report_of_a_saved_snapshot(saved):
    running, path = saved
    report = json.loads(mapcount_command("report", path, "--json").stdout)
    truth = sizes(running.view())
    (row,) = [row for row in report["sizes"] if (row["kind"], row["order"]) == ("anon", 4)]
    expected = truth["anon", 4]
    for name in ("folios", "bytes", "mapped_bytes", "fully_mapped", "partially_mapped", "unmapped_bytes"):
        assert row[name] == expected[name], name
    for name in ("wasted_bytes", "exclusive", "shared", "unknown", "pmd_mapped_bytes"):
        assert row[name] == expected[name], name
    processes = {row["pid"]: row for row in report["processes"]}
    assert processes.keys() == set(running.pids.values())
    for pid, row in processes.items():
        assert row["rss_bytes"] == smaps_rollup(pid)["Rss"] * 1024
    assert {check["verdict"] for check in report["checks"]} <= {"equal", "bounded", "unexplained"}


def test_saved_snapshot_is_the_snapshot(saved):
    running, path = saved
    snapshot = mapcount.Snapshot.load(path)
    view = large_view(snapshot, running.pids, running.areas)
    assert differences(running.view().select(large=True), view) == []
    assert snapshot.folios.pfn is None
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.iterdir()} == {0o600}


def test_existing_output_is_left_alone(saved):
    running, path = saved
    before = {file.name: file.read_bytes() for file in path.iterdir()}
    done = mapcount_command("capture", "--pid", running.pids["parent"], "-o", path, code=2)
    assert "--force" in done.stderr
    assert {file.name: file.read_bytes() for file in path.iterdir()} == before


def test_report_of_this_machine(workload, thp):
    """The live report as a person gets it: it names the program that holds the large folios."""
    thp(anon=(64,))
    running = workload("anon.py", 4)
    done = mapcount_command("report", "--pid", running.pids["parent"], "--no-pager")
    assert str(running.pids["parent"]) in done.stdout and "64K" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
