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
        (["--operation", "fork", "--by", "reader"], "asks for another table"),
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


@pytest.fixture
def invented_machine(monkeypatch):
    from cost.invented import measured
    from mapcount.kernels import folio_bench

    monkeypatch.setattr(folio_bench, "measure", lambda *_args, **_options: measured())


def test_a_calibration_is_labelled_and_fits_80_columns(capsys, invented_machine):
    code, out, _ = run(capsys, "cost", "--calibrate", "-q")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    for words in ("Uncontended, x86-64", "held out", "Signs: 94 of 94", "Contention: nothing is claimed", "Disputed"):
        assert words in out


def test_a_calibration_as_data(capsys, invented_machine):
    _, text, _ = run(capsys, "cost", "--calibrate", "-q", "--json")
    document = json.loads(text)
    assert set(document) == {"schema_version", "fitted_price", "prediction", "published", "measurement"}
    (row,) = [row for row in document["prediction"] if (row["operation"], row["order"]) == ("fork", 5)]
    assert row["held_out"] and abs(row["error"]) < 1e-9


@pytest.mark.parametrize("options", [["--operation", "fork"], ["--sizes", "4K,2M"], ["--sizes", "4K..2M"]])
def test_calibrations_that_cannot_be(capsys, invented_machine, options):
    code, _, err = run(capsys, "cost", "--calibrate", *options)
    assert code == 2 and "--calibrate" in err


def test_a_page_holds_the_prices(capsys, tmp_path):
    page = tmp_path / "cost.html"
    code, out, err = run(capsys, *FEW, "--html", str(page))
    assert (code, out) == (0, "") and "cost.html" in err
    text = page.read_text()
    for words in ("What counting costs", "fork-sizes", "pmd-split-chart", "readers-table", "budget-table"):
        assert words in text
    assert "remap-sizes" not in text, "there is nothing to show of it"
    code, _, err = run(capsys, "cost", "--calibrate", "--html", str(tmp_path / "other.html"))
    assert code == 2 and "--html shows price lists" in err
