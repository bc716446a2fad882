"""`mapcount compare SNAPSHOT`: tables, formats, refusals."""

from __future__ import annotations

import csv
import io
import json

import pytest
from rich.cells import cell_len

from builders import SnapshotBuilder

SCHEMES = "mm-id,no-page-mapcount"


def test_a_saved_snapshot(mapcount, snapshot):
    """11 folios lack 3 pages each, a file folio of 4 pages 2: counted whole, 33 and 2 pages more."""
    ran = mapcount("compare", snapshot, "--scheme", SCHEMES, "-q")
    lines = {line.split("  ")[0]: line for line in ran.stdout.splitlines()}

    assert (ran.returncode, ran.stderr) == (0, "")
    assert max(map(cell_len, ran.stdout.splitlines())) <= 80
    assert lines["AnonPages"].endswith("=    +132 KiB +4.4%")
    assert "11 folios with 132 KiB that nobody maps" in ran.stdout
    assert "mm-id*" in ran.stdout


@pytest.mark.parametrize("by", ["number", "process", "cgroup", "found", "answer"])
def test_every_table_in_every_format(mapcount, snapshot, by):
    arguments = ("compare", snapshot, "--scheme", SCHEMES, "--by", by, "-q")
    table = mapcount(*arguments)
    from_csv = list(csv.DictReader(io.StringIO(mapcount(*arguments, "--format", "csv").stdout)))
    lines = [json.loads(line) for line in mapcount(*arguments, "--format", "ndjson").stdout.splitlines()]

    assert table.returncode == 0
    assert max(map(cell_len, table.stdout.splitlines())) <= 80
    assert len(from_csv) == len(lines)
    assert {line["row"] for line in lines} <= {by}


def test_json_holds_bytes(mapcount, snapshot):
    document = json.loads(mapcount("compare", snapshot, "--scheme", SCHEMES, "--json", "-q").stdout)
    anon = next(row for row in document["numbers"] if row["name"] == "AnonPages")

    assert anon["values"]["no-page-mapcount"] - anon["truth"] == 33 * 4096
    assert document["running"] == "mm-id"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--scheme", "mmid"], 2, "there is no scheme 'mmid'; there are: "),
        (["--scheme", "mm-id:fast"], 2, "mm-id has no variant 'fast'"),
        (["--scheme", ","], 2, "names no scheme"),
        (["-p", "1"], 2, "SNAPSHOT is captured already"),
        (["--by", "colour"], 2, "invalid choice: 'colour'"),
    ],
)
def test_refusals_are_one_message(mapcount, snapshot, arguments, code, words):
    ran = mapcount("compare", snapshot, *arguments)

    assert ran.returncode == code
    assert words in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_snapshot_without_folios_says_why(mapcount, tmp_path):
    builder = SnapshotBuilder()
    builder.add_mm()
    builder.build(tier="no-pfn", kernel_release="6.18.44").save(tmp_path / "hidden.mapsnap")
    ran = mapcount("compare", "hidden.mapsnap")

    assert ran.returncode == 4
    assert "the kernel hid page frame numbers" in ran.stderr


def test_a_kernel_before_all_designs(mapcount, tmp_path):
    builder = SnapshotBuilder()
    builder.map_pages(builder.add_mm(), builder.add_vma(0), builder.add_folio(4))
    builder.build(kernel_release="3.10.0").save(tmp_path / "old.mapsnap")
    ran = mapcount("compare", "old.mapsnap")

    assert ran.returncode == 2
    assert "known from 4.5 on" in ran.stderr
