"""The table of accesses: 80 columns, all kernels and operations, the first access that differs; raw numbers in JSON."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from rich.cells import cell_len

from kernels.recorded_accesses import PATHS
from mapcount.kernels.access_table import compare_recording, load_recording
from mapcount.report.access_table import access_table, document
from mapcount.report.table import View
from mapcount.report.terminal import render
from mapcount.schemes.catalogue import find_scheme


@pytest.fixture(scope="module")
def rows():
    recordings = [load_recording(path) for path in PATHS]
    some = [
        replace(one, operations=tuple(each for each in one.operations if each.order == 4 or "fork" in each.name))
        for one in recordings
    ]
    return [row for recording in some for row in compare_recording(recording)]


@pytest.fixture(scope="module")
def wrong():
    """6.12 beside a scheme of another era."""
    [path] = [path for path in PATHS if path.stem == "6.12"]
    return list(compare_recording(load_recording(path), find_scheme("large-mapcount:unbatched")))


def test_it_fits_and_has_every_operation_and_kernel(rows):
    text = render(access_table(rows, View()), width=80, colour=False)

    assert max(map(cell_len, text.splitlines())) <= 80
    for word in ("5.10", "6.12", "7.3 no-page", "fork of PTEs, 2M", "fork of PTEs, 64K", "exit, the last PTEs, 64K"):
        assert word in text
    assert f"All {len(rows)} operations on 8 kernels: as their schemes say." in " ".join(text.split())
    lines = [line.split()[4:] for line in text.splitlines() if line.startswith("fork of PTEs, 2M")]
    assert lines == [["512", "1024", "1025", "1025+5~", "1025+5~"], ["1025+5~", "1025+5~", "513+5"]]
    assert "…" not in text


def test_a_difference_is_told_with_counts_and_the_first_access(wrong):
    text = render(access_table(wrong, View()), width=80, colour=False)
    told = " ".join(text.split())

    assert "6.12.117+deb12-cloud-amd64, DONTNEED of own half, 2M: other counts than large-mapcount:unbatched" in told
    assert "LOCKed accesses to _nr_pages_mapped: kernel 1, scheme 256" in told
    assert "access 2 on, kernel: LOCKED _mapcount[257] 0 > -1;" in told
    assert "access 2 on, scheme: LOCKED _nr_pages_mapped[0] 512 > 511;" in told
    assert max(map(cell_len, text.splitlines())) <= 80


def test_json_has_raw_numbers(rows):
    told = json.loads(document(rows))

    assert told["schema_version"] == 1
    assert len(told["accesses"]) == len(rows)
    [one] = [
        row
        for row in told["accesses"]
        if (row["release"], row["operation"], row["order"]) == ("6.1.0-56-cloud-amd64", "fork of a PMD", 9)
    ]
    assert one["agrees"] is True and one["first_difference"] is None
    assert {"access": "locked", "word": "compound_mapcount", "kernel": 1, "scheme": 1} in one["counts"]
    assert one["others"] == {"LOCKED _refcount": 1}
