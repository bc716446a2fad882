"""Ablation as text and JSON, and through the command."""

from __future__ import annotations

import json

import pytest

from mapcount.check.ablation import ablate
from mapcount.cli import main
from mapcount.report import ablation
from mapcount.report.table import View
from mapcount.report.terminal import render
from mapcount.schemes.catalogue import find_scheme


@pytest.fixture(scope="module")
def found():
    return ablate(find_scheme("mm-id"), ["_mapcount"])


def test_it_fits_80_columns_and_says_what_falls(found):
    text = render(ablation.ablation(found, View()), width=80, colour=False)
    assert max(map(len, text.splitlines())) <= 80
    assert "_nr_pages_mapped falls with it: its changes depend on _mapcount." in text
    rows = [line.split() for line in text.splitlines()]
    assert ["map_ptes", "2M", "514", ">", "1", "4", "4", "512", ">", "1"] in rows
    assert ["2M", "2,076", "24", "2,052"] in rows


def test_json_holds_the_same(found):
    document = json.loads(ablation.document(found))["ablation"]
    assert document["falls"] == ["_nr_pages_mapped"]
    assert [loss["verdict"] for loss in document["losses"]] == [loss.verdict for loss in found.losses]


def test_the_command_takes_several_words(capsys):
    assert (
        main(
            ["schemes", "large-mapcount", "--without", "_mapcount,_entire_mapcount", "--without", "_mapcount", "--json"]
        )
        == 0
    )
    assert json.loads(capsys.readouterr().out)["ablation"]["without"] == ["_mapcount", "_entire_mapcount"]


def test_it_needs_a_scheme(capsys):
    assert main(["schemes", "--without", "_mapcount"]) == 2
    assert "name it" in capsys.readouterr().err
