"""The pages of `mapcount schemes`: 80 columns, every word of the design, JSON of raw numbers."""

from __future__ import annotations

import json

import pytest
from rich.cells import cell_len

from mapcount.report import designs
from mapcount.report.table import View
from mapcount.report.terminal import render
from mapcount.schemes.catalogue import scheme_ids
from mapcount.schemes.describe import describe, describe_all


@pytest.mark.parametrize("scheme_id", scheme_ids())
def test_one_design_fits_and_names_all_its_words(scheme_id):
    one = describe(scheme_id)
    text = render(designs.design(one, View()), width=80, colour=False)

    assert max(map(cell_len, text.splitlines())) <= 80
    for word in one.words:
        assert word.name in text
    for reader in one.readers:
        assert f"{reader.name}: {reader.promise}" in text
    assert "…" not in text


def test_the_catalogue_fits_and_holds_every_id():
    text = render(designs.catalogue(describe_all(), View()), width=80, colour=False)

    assert max(map(cell_len, text.splitlines())) <= 80
    for scheme_id in scheme_ids():
        assert scheme_id in text
    assert "…" not in text


def test_json_holds_raw_numbers():
    document = json.loads(designs.document([describe("mm-id")]))

    assert document["schema_version"] == designs.SCHEMES_SCHEMA_VERSION
    (scheme,) = document["schemes"]
    (large,) = [word for word in scheme["words"] if word["name"] == "_large_mapcount"]
    assert (large["struct_page"], large["offset"], large["bits"], large["bias"]) == (1, 16, 32, -1)
