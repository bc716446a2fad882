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
from mapcount.views.comparison import CgroupNumber, Comparison, Found, Number, ProcessNumber
from mapcount.views.observed import WordCheck

MIB = 1 << 20
NOW, NEXT = "mm-id", "no-page-mapcount"


def number(name, unit, truth, now, later, least=None, most=None):
    values = {NOW: now, NEXT: later}
    return Number(name, unit, truth, values, values | {NEXT: least or later}, values | {NEXT: most or later})


def sample(**changes):
    uss = {NOW: 7 * MIB, NEXT: 0}
    values = {
        "meta": Metadata(host="db1", kernel_release="6.18.44"),
        "running": NOW,
        "notes": ["CONFIG_NO_PAGE_MAPCOUNT is off here."],
        "schemes": [NEXT, NOW],
        "histories": ["first", "second"],
        "numbers": [
            number("AnonPages", "bytes", 97 * MIB, 97 * MIB, 101 * MIB),
            number("bit 56 set", "pages", 1009, 1009, 997, least=991, most=1013),
            number("ShmemPmdMapped", "bytes", 0, 0, 2 * MIB),
        ],
        "processes": [ProcessNumber("Uss", "bytes", 7 * MIB, uss, uss, uss, pid=4711, comm="cache\x1b[31m")],
        "cgroups": [CgroupNumber("anon", "bytes", 5 * MIB, uss, uss, uss, cgroup="/user\x1b[31m.slice")],
        "found": [
            Found(NOW, None, 37, 11 * MIB, 0, 0, 0, 11 * MIB, 0),
            Found(NEXT, None, 37, 11 * MIB, 31, 9 * MIB, MIB, 11 * MIB, 3),
            Found(NEXT, 4, 23, 2 * MIB, 23, 2 * MIB, 2 * MIB, 2 * MIB, 0),
        ],
        "answers": [
            Answers(NOW, "folio_mapcount", "entries", "exact", 1000),
            Answers(NOW, "mapped_shared", "shared", "never less", 1000, 0, 0, 30, 0, 1),
            Answers(NEXT, "mapped_shared", "shared", "never less", 1000, 20, 20, 20, 0, 1),
            Answers(NEXT, "page_mapcount", "", "cannot", says="no counts per page"),
            Answers(NEXT, "folio_average_page_mapcount", "page entries", "bounded", 2000, 30, 30, 30, -1, 2),
            Answers(NEXT, "partially_mapped", "", "cannot", says="no flag"),
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
    assert line(text, "/user").split()[1:] == ["anon", "5.0", "MiB", "+2.0", "MiB", "+40.0%", "-5.0", "MiB", "-100.0%"]


def test_what_depends_on_the_past_is_told_apart():
    text = text_of(sample())

    assert line(text, "bit 56 set").split()[-2:] == ["-12", "-1.2%"]
    assert line(text.partition("came about otherwise")[2], "bit 56 set").split() == [
        "bit",
        "56",
        "set",
        NEXT,
        "-18",
        "+4",
    ]
    assert "over 2 pasts" in " ".join(text.split())


def test_verdicts():
    matrix = text_of(sample(), printed.answers)

    assert line(matrix, "mm-id*").split() == ["mm-id*", "exact", "-", "-", "right≥~", "-", "-"]
    # Of two readers of pages, the one that the scheme has.
    assert line(matrix, NEXT).split() == [NEXT, "-", "-", "±1.5%", "+2.0%≥", "cannot", "-"]


def test_answers_in_detail():
    text = text_of(sample(), lambda comparison, view: printed.one_table(comparison, "answer", view))

    assert line(text, f"{NOW}            mapped_shared").split()[-5:] == ["1,000", "0", "0-30", "0", "+1"]


def test_missed_folios_by_size_where_they_alone_are_asked_for():
    whole = text_of(sample(), printed.found)
    by_size = text_of(sample(), lambda comparison, view: printed.one_table(comparison, "found", view))

    assert "64K" not in whole
    assert line(by_size, f"{NEXT}  64K").split()[1:] == ["64K", "23", "23", *("2.0", "MiB") * 3, "0"]


def test_it_fits_and_names_cannot_command_the_terminal():
    for parts in (printed.report, printed.numbers, printed.cgroups, printed.found):
        text = text_of(sample(), parts)
        assert max(map(cell_len, text.splitlines())) <= 80
        assert "\x1b" not in text


def test_nothing_to_say_is_said():
    text = text_of(sample(processes=[], cgroups=[], found=[Found(NOW, None, 0, 0, 0, 0, 0, 0, 0)]))

    assert "None: every number of every process is the truth" in text
    assert "memory.stat" not in text
    assert "There are none above order 1" in text


def test_json_holds_raw_integers():
    document = json.loads(comparison_rows.document(sample()))

    assert document["schema_version"] == comparison_rows.COMPARE_SCHEMA_VERSION
    assert document["numbers"][0]["values"][NEXT] == 101 * MIB
    assert document["found"][1]["missed_bytes"] == 9 * MIB


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


def test_counters_out_of_a_guest_are_told_with_the_first_that_differs():
    assert "in this kernel's memory" not in text_of(sample())
    right = WordCheck("_mapcount", "pages", 10007, 0, 0)
    wrong = WordCheck("_large_mapcount", "folios", 101, 3, 7, "folio 13: 17 in memory, 19 by the mappings")
    text = text_of(sample(words=[right, wrong]))
    assert max(map(cell_len, text.splitlines())) <= 80
    lines = [line.split() for line in text.splitlines() if line.startswith(("_mapcount ", "_large_mapcount "))]
    assert lines == [["_mapcount", "pages", "10,007", "0", "0"], ["_large_mapcount", "folios", "98", "3", "7"]]
    assert "_large_mapcount, folio 13: 17 in memory, 19 by the mappings" in " ".join(text.split())
