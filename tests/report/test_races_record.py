"""Verdicts as JSON: values against the verdict they are of, and the steps against a replay on plain Python."""

from __future__ import annotations

import json

from mapcount.check.cells import Cell
from mapcount.check.replay import parse_replay, run_both
from mapcount.check.verdicts import judge
from mapcount.report.races_record import RACES_SCHEMA_VERSION, document

TORN = judge(Cell("nr-pages-mapped", "mapcount", "pmd-and-ptes", 2))
NONE = judge(Cell("original-thp", "compaction", "fork-zap", 2))
LOCKED = judge(
    Cell("nr-pages-mapped", "mapcount", "pmd-and-ptes", 2, without=frozenset({"rmap"}), more=frozenset({"folio"}))
)
VALUE = json.loads(document([TORN, NONE, LOCKED]))


def test_it_has_a_version_and_an_object_for_each():
    assert VALUE["schema_version"] == RACES_SCHEMA_VERSION == 1
    assert [one["model"] for one in VALUE["models"]] == [
        "nr-pages-mapped/mapcount/pmd-and-ptes/2",
        "original-thp/compaction/fork-zap/2",
        "nr-pages-mapped/mapcount/pmd-and-ptes/2-rmap+folio",
    ]


def test_verdict():
    torn, none, locked = VALUE["models"]
    assert (torn["status"], torn["mark"], torn["amounts_to"]) == ("violated", "TORN", "torn")
    assert (none["status"], none["amounts_to"], none["states"]) == ("cannot answer", None, 0)
    assert (locked["locks_taken_out"], locked["locks_added"]) == (["rmap"], ["folio"])
    # One process unmaps two pages one by one, another one maps a PMD: no word but these can be seen in between.
    assert torn["transient_range"]["_mapcount"] == [-1, 0]
    assert torn["transient_range"]["_nr_pages_mapped"] == [0, 16 + 2]
    assert torn["complete"]


def test_steps_are_what_a_replay_does():
    violations = VALUE["models"][0]["violations"]
    assert violations
    for violation in violations:
        cell, schedule = parse_replay(violation["replay"])
        both = run_both(cell, schedule)
        assert [one["cpu"] for one in violation["steps"]] == list(schedule)
        assert both.results[2] == (violation["returned"],)
        last = {}
        for step in violation["steps"]:
            # A word holds what the last step left in it.
            assert last.get(step["word"], step["before"]) == step["before"]
            last[step["word"]] = step["after"]
        assert violation["is_race"]
        assert violation["true"] == sorted(violation["true"])
