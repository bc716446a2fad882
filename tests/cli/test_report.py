"""`mapcount report SNAPSHOT`: formats, files, colour, refusals."""

from __future__ import annotations

import csv
import io
import json
import os
import stat
import subprocess
import sys

import polars as pl
import pytest

from builders import SnapshotBuilder
from report.json_schema import faults


def test_a_saved_snapshot(mapcount, snapshot):
    ran = mapcount("report", snapshot)

    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith("2.7 MiB in 12 large anon folios; 4.8% wasted (132 KiB) by partial mapping.\n")
    assert max(map(len, ran.stdout.splitlines())) <= 80


def test_json_is_valid_and_nothing_else_is_on_stdout(mapcount, snapshot):
    schema = json.loads(mapcount("report", "--json-schema").stdout)
    ran = mapcount("report", snapshot, "--json")
    document = json.loads(ran.stdout)

    assert ran.stderr == ""
    assert faults(document, schema, schema) == []
    anon = {row["order"]: row for row in document["sizes"] if row["kind"] == "anon"}
    assert (anon[4]["folios"], anon[4]["partially_mapped"], anon[4]["wasted_bytes"]) == (11, 11, 11 * 3 * 4096)
    assert (anon[9]["shared"], anon[9]["pmd_mapped_bytes"]) == (1, 2 << 20)


@pytest.mark.parametrize("by", ["vma", "folio"])
def test_json_of_vmas_and_folios(mapcount, snapshot, by):
    schema = json.loads(mapcount("report", "--json-schema").stdout)
    document = json.loads(mapcount("report", snapshot, "--json", "--by", by).stdout)

    assert faults(document, schema, schema) == []
    assert len(document[f"{by}s"]) == {"vma": 2, "folio": 13}[by]


@pytest.mark.parametrize("by", ["size", "process", "cgroup", "program", "vma", "folio"])
def test_every_table_in_every_format(mapcount, snapshot, tmp_path, by):
    table = mapcount("report", snapshot, "--by", by)
    from_csv = list(csv.DictReader(io.StringIO(mapcount("report", snapshot, "--by", by, "--format", "csv").stdout)))
    ndjson = [
        json.loads(line) for line in mapcount("report", snapshot, "--by", by, "--format", "ndjson").stdout.splitlines()
    ]
    saved = mapcount("report", snapshot, "--by", by, "--format", "parquet", "-o", "t.parquet")
    frame = pl.read_parquet(tmp_path / "t.parquet")

    assert table.returncode == saved.returncode == 0
    assert max(map(len, table.stdout.splitlines())) <= 80
    assert len(from_csv) == len(ndjson) == len(frame) > 0
    assert {row["row"] for row in ndjson} == {by}
    assert set(from_csv[0]) == set(frame.columns)


def test_top_limits_lists_and_says_so(mapcount, snapshot):
    assert "... 8 more (--top 0 for all)" in mapcount("report", snapshot, "--by", "folio", "--top", 5).stdout
    assert "more (" not in mapcount("report", snapshot, "--by", "folio", "--top", 0).stdout


def test_colour(mapcount, snapshot):
    assert "\x1b" not in mapcount("report", snapshot).stdout
    assert "\x1b[" in mapcount("report", snapshot, "--color", "always").stdout
    assert "\x1b" not in mapcount("report", snapshot, "--color", "never").stdout


def test_a_file_is_written_whole_private_and_never_over_another(mapcount, snapshot, tmp_path):
    assert mapcount("report", snapshot, "-o", "r.txt").returncode == 0
    first = (tmp_path / "r.txt").read_text()
    assert stat.S_IMODE(os.stat(tmp_path / "r.txt").st_mode) == 0o600
    assert "\x1b" not in first

    refused = mapcount("report", snapshot, "--json", "-o", "r.txt")

    assert refused.returncode == 2
    assert "r.txt already exists" in refused.stderr
    assert (tmp_path / "r.txt").read_text() == first

    assert mapcount("report", snapshot, "--json", "-o", "r.txt", "--force").returncode == 0
    assert json.loads((tmp_path / "r.txt").read_text())["schema_version"] == 1
    assert sorted(os.listdir(tmp_path)) == ["a.mapsnap", "r.txt"]


def test_devices_are_written_to_and_stay_devices(mapcount, snapshot):
    assert mapcount("report", snapshot, "-o", "/dev/null", "--force").returncode == 0
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_wide_does_not_shorten(mapcount, tmp_path):
    builder = SnapshotBuilder()
    name = "/" + "/".join(f"slice-{i}" for i in range(23))
    builder.add_small(builder.add_vma(builder.add_mm()), 7, cgroup=name)
    builder.build().save(tmp_path / "w.mapsnap")

    assert name not in mapcount("report", "w.mapsnap", "--by", "cgroup").stdout
    assert name in mapcount("report", "w.mapsnap", "--by", "cgroup", "--wide").stdout


def test_terminals_that_are_not_utf8(snapshot):
    environment = os.environ | {"PYTHONIOENCODING": "latin-1"}
    command = [sys.executable, "-m", "mapcount", "report", snapshot]
    ran = subprocess.run(command, env=environment, capture_output=True, check=True, timeout=60)

    assert b"-----" in ran.stdout and ran.stdout.isascii()
