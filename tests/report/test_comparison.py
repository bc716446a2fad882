"""Comparisons as text and rows: differences with their sign, ranges, verdicts; 80 columns; nothing cut off."""

from __future__ import annotations

import csv
import io
import json

import pytest
from rich.cells import cell_len

from mapcount.mapping.snapshot import Metadata
from mapcount.report import comparison as printed
from mapcount.report import comparison_rows, rows
from mapcount.report.table import View
from mapcount.report.terminal import render
from mapcount.views.answers import Answers
from mapcount.views.comparison import Comparison, Found, Number, ProcessNumber

MIB = 1 << 20
NOW, NEXT = "mm-id", "no-page-mapcount"


def sample(**changes):
    values = {
        "meta": Metadata(host="db1", kernel_release="6.18.44"),
        "running": NOW,
        "notes": ["CONFIG_NO_PAGE_MAPCOUNT is off here."],
        "schemes": [NEXT, NOW],
        "histories": ["first", "second"],
        "numbers": [
            Number("AnonPages", "bytes", 97 * MIB, {NOW: 97 * MIB, NEXT: 101 * MIB}, {NOW: 97 * MIB, NEXT: 101 * MIB}),
            Number("bit 56 set", "pages", 1009, {NOW: 1009, NEXT: 991}, {NOW: 1009, NEXT: 1013}),
            Number("ShmemPmdMapped", "bytes", 0, {NOW: 0, NEXT: 2 * MIB}, {NOW: 0, NEXT: 2 * MIB}),
        ],
        "processes": [
            ProcessNumber(0, 4711, "cache\x1b[31m", "Uss", 7 * MIB, {NOW: 7 * MIB, NEXT: 0}, {NOW: 7 * MIB, NEXT: 0})
        ],
        "found": [
            Found(NOW, 37, 11 * MIB, 37, 11 * MIB, 0, 0, 0, 0, 0, 0),
            Found(NEXT, 37, 11 * MIB, 5, MIB, 2, MIB, 30, 9 * MIB, 1, 3),
        ],
        "answers": [
            Answers(NOW, "folio_mapcount", "entries", "exact", 1000),
            Answers(NOW, "mapped_shared", "shared", "never less", 1000, 0, 0),
            Answers(NEXT, "mapped_shared", "shared", "never less", 1000, 20, 30, 0, 1),
            Answers(NEXT, "page_mapcount", "", "cannot", says="no counts per page"),
        ],
    }
    return Comparison(**(values | changes))


def text_of(comparison, parts=printed.report):
    return render(parts(comparison, View()), width=80, colour=False)


def line(text, start):
    return next(line for line in text.splitlines() if line.startswith(start))


def test_differences_carry_their_sign_and_share_and_the_running_kernel_comes_first():
    text = text_of(sample())

    assert line(text, "number").split() == ["number", "truth", "mm-id*", "no-page-mapcount"]
    assert line(text, "AnonPages").split() == ["AnonPages", "97.0", "MiB", "=", "+4.0", "MiB", "+4.1%"]
    assert line(text, "ShmemPmdMapped").split() == ["ShmemPmdMapped", "0", "=", "+2.0", "MiB"]
    assert "-7.0 MiB -100.0%" in text


def test_what_depends_on_the_past_is_a_range():
    assert "-18 to +4" in line(text_of(sample()), "bit 56 set")


def test_verdicts():
    text = text_of(sample())
    row = [cells for cells in map(str.split, text.splitlines()) if cells[:1] in (["mm-id"], ["no-page-mapcount"])][-2:]

    assert row == [
        ["mm-id", "exact", "-", "-", "right", "-", "-"],
        ["no-page-mapcount", "-", "-", "cannot", "2.0-3.0%", "-", "-"],
    ]


def test_it_fits_and_names_cannot_command_the_terminal():
    for parts in (printed.report, printed.numbers, printed.found):
        text = text_of(sample(), parts)
        assert max(map(cell_len, text.splitlines())) <= 80
        assert "\x1b" not in text


def test_nothing_to_say_is_said():
    text = text_of(sample(processes=[], found=[Found(NOW, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)]))

    assert "None: Pss and Uss of every process are the truth" in text
    assert "There are none above order 1" in text


def test_json_holds_raw_integers():
    document = json.loads(comparison_rows.document(sample()))

    assert document["schema_version"] == comparison_rows.COMPARE_SCHEMA_VERSION
    assert document["numbers"][0]["most"][NEXT] == 101 * MIB
    assert document["found"][1]["never_bytes"] == 9 * MIB


@pytest.mark.parametrize("by", comparison_rows.TABLES)
def test_rows_are_flat(by):
    table = comparison_rows.rows(sample(), by)
    parsed = list(csv.DictReader(io.StringIO(rows.csv_text(table).decode())))

    assert len(parsed) == len(table) > 0
    assert not any(isinstance(value, (dict, list)) for row in table for value in row.values())


def test_ndjson_names_the_table_of_each_line():
    lines = [json.loads(line) for line in comparison_rows.ndjson(sample(), None).splitlines()]

    assert lines[0]["row"] == "meta"
    assert {row["row"] for row in lines} == {"meta", *comparison_rows.TABLES}
