"""`mapcount run`: where scenarios come from, what is printed, and what is refused."""

from __future__ import annotations

import io
import json
import sys

import pytest

from mapcount.cli import main
from mapcount.errors import EXIT_BAD_INPUT, EXIT_NOT_ALLOWED, EXIT_USAGE
from mapcount.scenarios.library import names

TEXT = "p: mmap a 2M huge\np: touch a[0]\nexpect a mapcount 1*512\n"


@pytest.fixture
def scenario(tmp_path):
    file = tmp_path / "mine.scenario"
    file.write_text(TEXT)
    return file


def test_a_file(scenario, capsys):
    assert main(["run", str(scenario), "--era", "6.18"]) == 0
    out = capsys.readouterr().out
    assert "mine, on: model of 6.18" in out
    assert "expect a[0] mapcount 1*512: holds" in out
    assert f"$ mapcount run {scenario} --on model --era 6.18" in " ".join(out.split())


def test_standard_input(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode())))
    assert main(["run", "-", "--era", "6.1", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["machine"] == "model of 6.1"
    assert data["expectations"][0]["verdict"] == "holds"


def test_the_library(capsys):
    assert main(["run", "split-owner-2M", "--era", "7.3", "--format", "text72"]) == 0
    out = capsys.readouterr().out
    assert "split-owner-2M, on: model of 7.3" in out
    assert max(map(len, out.splitlines())) <= 72


def test_list(capsys):
    assert main(["run", "--list"]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert [line.split()[0] for line in out.splitlines() if not line.startswith(" ")] == names()
    assert main(["run", "--list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["scenarios"]
    assert [one["name"] for one in listed] == names()
    assert next(one for one in listed if one["name"] == "three-mms-64k")["needs"] == "6.8"


def test_emit_c(scenario, tmp_path):
    program = tmp_path / "x.c"
    assert main(["run", str(scenario), "--emit-c", "-o", str(program)]) == 0
    assert "int main(void)" in program.read_text()


def test_seed(capsys):
    out = []
    for seed in ("3", "3", "5"):
        assert main(["run", "walk-64k", "--era", "6.12", "--seed", seed]) == 0
        out.append(capsys.readouterr().out)
    assert out[0] == out[1] != out[2]


def test_schemes_and_kernels_without_page_counts(scenario, capsys):
    assert main(["run", str(scenario), "--era", "7.3", "--scheme", "large-mapcount"]) == 0
    assert "counting by large-mapcount" in capsys.readouterr().out
    assert main(["run", str(scenario), "--era", "7.3", "--no-page-mapcount"]) == 0
    assert "without page mapcounts" in capsys.readouterr().out


def test_an_expectation_that_does_not_hold(scenario, capsys):
    scenario.write_text(TEXT.replace("1*512", "2*512") + "p: exit\n")
    assert main(["run", str(scenario), "--era", "6.18"]) == 1
    shown = capsys.readouterr()
    assert "p: write a[0]  = 1" in shown.out
    assert "p: exit" not in shown.out
    assert "mine:3: `expect a[0] mapcount 2*512` does not hold" in shown.err
    assert "found 1*512" in shown.err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], EXIT_USAGE, "Which scenario?"),
        (["three-mms-2m"], EXIT_USAGE, "did you mean three-mms-2M"),
        (["no/such.scenario"], EXIT_BAD_INPUT, "no/such.scenario cannot be read"),
        (["--list", "small-pages"], EXIT_USAGE, "leave SCENARIO out"),
        (["small-pages", "--on", "host", "--era", "6.1"], EXIT_USAGE, "real kernel"),
        (["small-pages", "--era", "2.6"], EXIT_USAGE, "4.5"),
        (["three-mms-64k", "--era", "6.1"], EXIT_NOT_ALLOWED, "needs Linux 6.8"),
        (["small-pages", "--era", "6.1", "--scheme", "nonsense"], EXIT_USAGE, "nonsense"),
    ],
)
def test_what_is_refused(arguments, code, words, capsys):
    assert main(["run", *arguments]) == code
    shown = capsys.readouterr()
    assert words in shown.err
    assert not shown.out


def test_mistakes_and_bytes_that_are_no_text(scenario, capsys):
    scenario.write_text("p: munmp a[0]\n")
    assert main(["run", str(scenario)]) == EXIT_BAD_INPUT
    assert f"{scenario}:1:4: 'munmp' is no verb; did you mean munmap?" in capsys.readouterr().err
    scenario.write_bytes(b"p: mmap\xff")
    assert main(["run", str(scenario)]) == EXIT_BAD_INPUT
    assert "no text in UTF-8: byte 7 is 0xff" in capsys.readouterr().err
