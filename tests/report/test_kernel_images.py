"""The table of kernel images fits a page, and JSON holds raw numbers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len

from mapcount.kernels.apt import Problem
from mapcount.kernels.image_store import Verdict
from mapcount.kernels.listing import CACHED, DAMAGED, ONLINE, Listing, Row, Unrefereed
from mapcount.report import kernel_images
from mapcount.report.table import View
from mapcount.report.terminal import render

CACHED_ROW = Row(
    name="7.3-no-page-mapcount",
    series="7.3",
    release="7.3.4",
    state=CACHED,
    size_bytes=3380224,
    page_mapcount=False,
    scheme="no-page-mapcount",
    swap=False,
    package="",
    package_version="",
    source="/somewhere",
    sha256="0" * 64,
    path="/cache/vmlinuz",
    problem="",
)
ROWS = (
    replace(CACHED_ROW, name="5.10", series="5.10", release="5.10.0-46-cloud-amd64", scheme="double-map:before-5.19"),
    replace(CACHED_ROW, name="6.12", release="6.12.118+deb13-cloud-amd64", state=ONLINE, page_mapcount=None),
    CACHED_ROW,
)
FOUND = Listing(
    ROWS,
    (Unrefereed("nr-pages-mapped", "6.2", "6.10"), Unrefereed("mm-id", "6.15", "")),
    1795593600.0,
    (Problem("sid", "it is expired"),),
)


def text(parts, width=80):
    return render(parts, width=width, colour=False)


def test_the_longest_names_fit_80_columns_whole():
    printed = text(kernel_images.listing(FOUND, View()))
    assert max(map(cell_len, printed.splitlines())) <= 80
    assert "…" not in printed
    for row in ROWS:
        assert row.name in printed
        assert row.scheme in printed
    assert "6.12.118+deb13 " in printed
    assert "nr-pages-mapped (from Linux 6.2, before 6.10), mm-id (from Linux 6.15)." in " ".join(printed.split())
    assert "Debian's lists are of 2026-11-25 08:00 UTC" in printed
    assert "Not read: sid: it is expired" in printed


@pytest.mark.parametrize(("counts", "shown"), [(True, "yes"), (False, "no"), (None, "?")])
def test_whether_it_counts_per_page(counts, shown):
    printed = text(kernel_images.images([replace(CACHED_ROW, page_mapcount=counts)], View()))
    assert printed.splitlines()[2].split() == [
        "7.3-no-page-mapcount",
        "7.3.4",
        CACHED,
        "3.2",
        "MiB",
        shown,
        "no-page-mapcount",
    ]


def test_what_is_damaged_says_why():
    row = replace(CACHED_ROW, state=DAMAGED, problem="vmlinuz was changed")
    printed = text(kernel_images.listing(replace(FOUND, images=(row,)), View()))
    assert "7.3-no-page-mapcount is damaged: vmlinuz was changed" in printed


def test_json_holds_raw_numbers():
    document = json.loads(kernel_images.document(FOUND))
    assert document["schema_version"] == kernel_images.KERNELS_SCHEMA_VERSION
    assert [row["size_bytes"] for row in document["images"]] == [3380224] * 3
    assert document["problems"] == [{"suite": "sid", "why": "it is expired"}]


def test_verdicts():
    found = [Verdict("a", Path("/cache/a"), ()), Verdict("b", Path("/cache/b"), ("vmlinuz has SHA-256 0",))]
    printed = text(kernel_images.verdicts(found))
    assert "✓ intact   a" in printed
    assert "✗ changed  b" in printed
    assert "2 images read byte by byte, 1 changed." in printed
    assert json.loads(kernel_images.verdicts_document(found))["verified"][1]["problems"] == ["vmlinuz has SHA-256 0"]
