"""`mapcount cost`: what it prints, what it refuses, and that every format holds the same prices."""

from __future__ import annotations

import csv
import io
import json

import pytest

from mapcount import cli

FEW = ["cost", "--scheme", "mm-id,table-pairs", "--sizes", "4K,16K,2M", "--memory", "13"]


def run(capsys, *argv):
    code = cli.main([*argv])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_all_tables_fit_80_columns(capsys):
    code, out, _ = run(capsys, *FEW)
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    for words in ("fork: a process", "pmd-split: ", "Readers, on a folio of 2M", "Struct page budget: 13.0 GiB"):
        assert words in out
    assert "Nothing is counted, in any design." in out


def test_formats_hold_the_same_prices(capsys):
    (_, text, _), (_, table, _) = (
        run(capsys, *FEW, "--operation", "fork", "--format", form) for form in ("json", "csv")
    )
    document = json.loads(text)
    assert set(document) == {"schema_version", "operation"}
    rows = list(csv.DictReader(io.StringIO(table)))
    assert len(rows) == len(document["operation"]) == 2 * 3 * 4
    assert [row["locked"] for row in rows] == [str(row["locked"]) for row in document["operation"]]
    (_, text, _) = run(capsys, *FEW, "--by", "budget", "--format", "csv")
    assert next(csv.DictReader(io.StringIO(text)))["fits"] == "mm-id table-pairs"


def test_a_scenario_is_a_workload(capsys):
    code, out, err = run(capsys, "cost", "--scheme", "mm-id", "--workload", "fork-partial-unmap-64k", "-q")
    assert (code, err) == (0, "")
    assert "Price of fork-partial-unmap-64k" in out and "batched" in out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--operation", "spoon"], "no operation 'spoon'"),
        (["--scheme", "spoon"], "no scheme 'spoon'"),
        (["--operation", "pmd-split", "--sizes", "4K"], "add 2M"),
        (["--workload", "fork-partial-unmap-64k", "--by", "reader"], "--workload prices what happened"),
        (["--workload", "/nowhere.maplog"], "/nowhere.maplog"),
    ],
)
def test_refusals(capsys, options, words):
    code, _, err = run(capsys, "cost", *options)
    assert code and words in err and "Traceback" not in err


@pytest.mark.parametrize("sizes", ["4M", "2M..4K", "5K", ""])
def test_sizes_that_are_none(capsys, sizes):
    with pytest.raises(SystemExit):
        cli.main(["cost", "--sizes", sizes])
    assert "--sizes" in capsys.readouterr().err
