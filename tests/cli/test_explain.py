"""`mapcount explain`: the list, the search, an answer, where a machine comes from."""

from __future__ import annotations

import json
import shlex

import pytest

from mapcount.cli import build_parser
from mapcount.explain.catalogue import QUESTIONS


def test_the_list_has_every_question_in_80_columns(mapcount):
    ran = mapcount("explain")

    assert (ran.returncode, ran.stderr) == (0, "")
    for question in QUESTIONS:
        assert f"{question.id}: " in ran.stdout
    assert max(map(len, ran.stdout.splitlines())) <= 80


def test_the_list_as_json(mapcount):
    listed = json.loads(mapcount("explain", "--json").stdout)

    assert listed["schema_version"] == 1
    assert [one["id"] for one in listed["questions"]] == [question.id for question in QUESTIONS]


def test_search(mapcount):
    found = mapcount("explain", "--search", "LKP robot").stdout
    assert "slower: " in found and "race: " not in found

    nothing = mapcount("explain", "--search", "zebra")
    assert (nothing.returncode, nothing.stdout) == (2, "")
    assert mapcount("explain", "race", "--search", "zebra").returncode == 2


def test_an_answer(mapcount):
    ran = mapcount("explain", "short-loop")

    assert ran.returncode == 0
    for words in (
        '"Yes, that comment from Hugh',
        "In plain words",
        "found just now",
        "history",
        "Sources",
        "returns 1",
    ):
        assert words in ran.stdout


def test_an_answer_as_json_holds_the_interleaving(mapcount):
    told = json.loads(mapcount("explain", "short-loop", "--json").stdout)

    race = told["evidence"][0]
    assert (told["question"]["id"], race["kind"]) == ("short-loop", "race")
    [violation] = [one for one in race["models"][0]["violations"] if one["property"] == "never-under"]
    assert violation["returned"] == 1 and violation["true"] == [3, 4]


def test_a_wrong_name_is_a_sentence(mapcount):
    ran = mapcount("explain", "rase")
    assert ran.returncode == 2
    assert "did you mean race?" in ran.stderr


def test_the_snapshot_that_was_named_is_looked_at(mapcount, snapshot):
    shown = mapcount("explain", "partial", snapshot).stdout
    # The fixture's eleven folios of 64 KiB lack three pages each.
    assert "64K                 11                11" in shown

    rows = json.loads(mapcount("explain", "partial", snapshot, "--json").stdout)["evidence"][1]["rows"]
    assert list(rows[0].values()) == ["64K", 11, 11, 11 * 13 * 4096, 11 * 3 * 4096]


def test_a_scenario_in_place_of_a_snapshot(mapcount):
    shown = mapcount("explain", "partial", "dontneed-part-2M").stdout
    assert "dontneed-part-2M, a scenario, on the model of" in shown


def test_without_root_the_example_is_shown_and_said_so(mapcount, monkeypatch):
    from cli.conftest import small_machine

    hidden = small_machine()
    object.__setattr__(hidden.meta, "tier", "no-pfn")
    monkeypatch.setattr("mapcount.cli.live.capture_machine", lambda args: (hidden, "folios cannot be seen"))

    ran = mapcount("explain", "waste")

    assert ran.returncode == 0
    assert "folios cannot be seen" in ran.stderr
    assert "An EXAMPLE, not this machine" in ran.stdout


def test_a_snapshot_without_folios_is_refused(mapcount, tmp_path):
    from cli.conftest import small_machine

    hidden = small_machine()
    object.__setattr__(hidden.meta, "tier", "no-pfn")
    hidden.save(tmp_path / "hidden.mapsnap")

    ran = mapcount("explain", "waste", "hidden.mapsnap")
    assert ran.returncode == 4 and "holds no folios" in ran.stderr


@pytest.mark.parametrize("option", ["--format=text72", "--format=json"])
def test_output_goes_to_a_file_and_is_not_replaced(mapcount, tmp_path, option):
    assert mapcount("explain", "batching", option, "-o", "a").stdout == ""
    assert "1,536" in (tmp_path / "a").read_text() or "1536" in (tmp_path / "a").read_text()
    assert mapcount("explain", "batching", option, "-o", "a").returncode == 2
    assert mapcount("explain", "batching", option, "-o", "a", "--force").returncode == 0


def test_a_snapshot_that_cannot_be_looked_at_is_refused(mapcount, snapshot):
    ran = mapcount("explain", "batching", snapshot)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert snapshot in ran.stderr and "leave that out" in ran.stderr and "partial" in ran.stderr
    ran = mapcount("explain", "partial", snapshot)
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize("question", QUESTIONS, ids=[question.id for question in QUESTIONS])
def test_commands_that_go_further_are_commands(question):
    for command in question.again:
        build_parser().parse_args(shlex.split(command)[1:])
