"""docs/reference/json.md against the schemas that msgspec makes of the records: every key, its type, its unit, in order."""

from __future__ import annotations

import json

import msgspec
import pytest

from docs.pages import ROOT, plain, sections, table
from mapcount.capture.doctor import Finding
from mapcount.check.ablation import Ablation
from mapcount.report import json_report
from mapcount.report.conform_record import ConformRecord
from mapcount.report.cost_rows import CostTables
from mapcount.report.explanation_record import AnswerRecord, QuestionList
from mapcount.report.races_record import Races
from mapcount.report.scenario_list import ScenarioListings
from mapcount.report.scenario_record import RunRecord
from mapcount.schemes.describe import Description
from mapcount.survey.diff import Difference
from mapcount.views.comparison import Comparison

SECTIONS = sections(ROOT / "docs" / "reference" / "json.md")
UNITS = {"_bytes": "bytes", "_s": "seconds"}


def definitions():
    _, found = msgspec.json.schema_components(
        [
            Difference,
            Finding,
            Comparison,
            Description,
            Ablation,
            RunRecord,
            ScenarioListings,
            ConformRecord,
            AnswerRecord,
            QuestionList,
            Races,
            CostTables,
        ]
    )
    return json.loads(json_report.schema_text())["$defs"] | found


def type_of(rule):
    """Return how the page spells the type of a JSON Schema rule."""
    if "anyOf" in rule:
        (rule,) = [option for option in rule["anyOf"] if option != {"type": "null"}]
    if "$ref" in rule:
        return rule["$ref"].rpartition("/")[2]
    if rule["type"] == "array":
        return f"list of {type_of(rule['items'])}"
    if rule["type"] == "object" and "additionalProperties" in rule:
        return f"map of {type_of(rule['additionalProperties'])}"
    return rule["type"]


@pytest.mark.parametrize("name", definitions())
def test_keys_and_types(name):
    told = [(plain(key), plain(kind)) for key, kind, *_ in table(SECTIONS[name])]
    assert told == [(key, type_of(rule)) for key, rule in definitions()[name]["properties"].items()]


@pytest.mark.parametrize("name", definitions())
def test_units(name):
    for key, _, unit, _ in table(SECTIONS[name]):
        ending = next((end for end in UNITS if plain(key).endswith(end)), "")
        # A map has the unit of its values.
        assert unit == UNITS.get(ending, unit), key


def test_nothing_is_described_that_does_not_exist():
    assert {name for name, text in SECTIONS.items() if table(text)} == definitions().keys()
