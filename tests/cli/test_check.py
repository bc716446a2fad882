"""`mapcount check`: what it returns, what it prints, and what it refuses."""

from __future__ import annotations

import json

import msgspec
import pytest

from mapcount.check.properties import READER_PROPERTIES, REST_PROPERTIES, SOMETIMES
from mapcount.cli import main
from mapcount.errors import EXIT_FINDING, EXIT_OK, EXIT_USAGE
from mapcount.report.races_record import Races
from report.json_schema import faults

HOLDS = "large-mapcount/mapcount/pmd-and-ptes/2"
TORN = "nr-pages-mapped/mapcount/pmd-and-ptes/2"
PROMISED = {"never-under", "never-over", "no-false-unmapped", "explainable"}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([HOLDS], EXIT_OK),
        ([TORN], EXIT_FINDING),
        # Only what was asked for counts.
        ([TORN, "--property", "never-over"], EXIT_OK),
        ([HOLDS, TORN], EXIT_FINDING),
        (["false-zero"], EXIT_FINDING),
        (["false-zero", "--with-lock", "folio"], EXIT_OK),
        (["--list"], EXIT_OK),
        ([TORN, "--reach", "_mapcount>=1"], EXIT_OK),
    ],
)
def test_exit_status(mapcount, arguments, code):
    ran = mapcount("check", *arguments)
    assert (ran.returncode, ran.stderr) == (code, "")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["mm-idx"], "mm-idx"),
        (["mm-id/kpagecount/zap-fault/3"], "power of two"),
        (["--property", "always-right"], "there is no property 'always-right'"),
        (["mm-id", "--writers", "nobody"], "there are no writers 'nobody'"),
        (["mm-id", "--with-lock", "big"], "there is no lock 'big'"),
        (["mm-id", "--truth", "whole"], "there is no truth 'whole'"),
        (["mm-id", "--memory", "alpha"], "there is no memory model 'alpha'"),
        (["mm-id", "--reader", "nobody"], "no reader 'nobody'"),
        (["--replay", "nonsense"], "is no interleaving"),
        (["--replay", f"{TORN}:zz"], "thread"),
        ([TORN, "--reach", "x=1"], "is no condition"),
        ([TORN, "--reach", "_large_mapcount>1"], "there is no word '_large_mapcount' here"),
        ([TORN, HOLDS, "--format", "promela"], "writes one model"),
    ],
)
def test_usage_errors_are_one_line(mapcount, arguments, told):
    ran = mapcount("check", *arguments)
    assert ran.returncode == EXIT_USAGE
    assert told in ran.stderr
    assert len(ran.stderr.splitlines()) == 1
    assert ran.stdout == ""


def test_a_schedule_that_waits_for_a_lock_is_refused(mapcount):
    """CPU 0 takes the bit lock with its first access; CPU 1 counts the PMD, and cannot get the lock then."""
    ran = mapcount("check", "--replay", "mm-id/mapcount/pmd-and-ptes/2:ab9")
    assert ran.returncode == EXIT_USAGE
    assert len(ran.stderr.splitlines()) == 1


def test_replay(mapcount):
    """The way to the false zero, as test_known.py has it by hand with the reader first: here the reader is CPU 2."""
    ran = mapcount("check", "--replay", f"{TORN}:a2cb2a2c")
    assert ran.returncode == EXIT_OK
    assert "CPU 2 returned 0" in ran.stdout
    assert "are the same after 8 steps" in " ".join(ran.stdout.split())


@pytest.mark.parametrize("arguments", [[TORN], ["--list"], ["nr-pages-mapped"], [HOLDS, TORN, "--show"]])
def test_mail_has_72_columns_and_no_colour(mapcount, arguments):
    ran = mapcount("check", *arguments, "--format", "text72")
    assert "\x1b" not in ran.stdout
    assert 60 < max(map(len, ran.stdout.splitlines())) <= 72


def test_json_has_what_its_schema_says(mapcount):
    ran = mapcount("check", HOLDS, TORN, "table-pairs/rest/halves/4", "original-thp/compaction/fork-zap/2", "--json")
    assert ran.returncode == EXIT_FINDING
    _, schema = msgspec.json.schema_components([Races])
    value = json.loads(ran.stdout)
    assert faults(value, {"$ref": "#/$defs/Races"}, {"$defs": schema}) == []
    holds, torn, rest, cannot = value["models"]
    assert [one["status"] for one in value["models"]] == ["holds", "violated", "violated", "cannot answer"]
    assert (holds["violations"], set(holds["properties"])) == ([], PROMISED)
    assert {one["property"] for one in torn["violations"]} == PROMISED - {"never-over"}
    assert rest["violations"][0]["returned"] is None
    assert cannot["cannot"]
    assert set(torn["sometimes"]) == set(SOMETIMES)
    for violation in torn["violations"]:
        steps = violation["steps"]
        assert steps[-1]["cpu"] == 2
        assert all(len(one["source"]) >= 1 and one["true"] for one in steps)
        assert violation["returned"] not in violation["true"]


def test_json_says_whether_the_bound_was_reached(mapcount):
    ran = mapcount("check", HOLDS, "--max-states", "7", "--json")
    (model,) = json.loads(ran.stdout)["models"]
    assert (model["status"], model["mark"], model["complete"]) == ("bound reached", "bound", False)


def test_the_list_has_every_name(mapcount):
    from mapcount.check.contexts import CONTEXTS
    from mapcount.check.locks import KINDS
    from mapcount.check.mixes import MIXES
    from mapcount.check.named import NAMED

    told = mapcount("check", "--list").stdout
    for name in (
        *CONTEXTS,
        *READER_PROPERTIES,
        *REST_PROPERTIES,
        *SOMETIMES,
        *MIXES,
        *KINDS,
        *NAMED,
        "transient-range",
    ):
        assert f"{name}: " in told, name


def test_reach_tells_the_shortest_way_or_never(mapcount):
    model = "nr-pages-mapped/rest/two-pmds/2"
    assert "after 3 steps" in mapcount("check", model, "--reach", "_nr_pages_mapped>=0x1000000").stdout
    assert "never; exhaustive" in mapcount("check", model, "--reach", "_nr_pages_mapped>=0x1800000").stdout


def test_fewest_switches_needs_no_more_of_them(mapcount):
    """The false zero takes four blocks however it is ordered: the reader is inside, and the PMD comes before the PTEs go."""
    shown = mapcount("check", TORN, "--property", "no-false-unmapped", "--fewest-switches").stdout
    (way,) = [line.rpartition(":")[2] for line in shown.splitlines() if "--replay" in line]
    letters = "".join(one for one in way.strip() if one.isalpha())
    assert len(letters) <= len("acbac")


def test_a_design_of_ones_own(tmp_path, monkeypatch, capsys):
    """The broken design of the docs: an update is lost, so the count at rest is wrong, and a file is enough to know."""
    from docs.pages import ROOT

    monkeypatch.chdir(tmp_path)
    design = str(ROOT / "docs" / "examples" / "fast_total.py")
    assert main(["check", design, "--reader", "rest", "--writers", "three-ptes", "--pages", "2"]) == EXIT_FINDING
    assert "words-balance: violated" in capsys.readouterr().out
