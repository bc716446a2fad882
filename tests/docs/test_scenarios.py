"""docs/reference/scenarios.md against the language: its examples run, and every verb, setting and quantity is there."""

from __future__ import annotations

import re

import pytest

from docs.pages import ROOT, blocks, sections, table
from mapcount.machine.backend import ModelBackend
from mapcount.scenarios.headers import SETTINGS
from mapcount.scenarios.parser import KEYWORDS, parse
from mapcount.scenarios.run import run
from mapcount.scenarios.steps import Expect
from mapcount.scenarios.verbs import VERBS

PAGE = ROOT / "docs" / "reference" / "scenarios.md"
EXAMPLES = blocks(PAGE, "scenario")


@pytest.mark.parametrize("text", EXAMPLES, ids=range(len(EXAMPLES)))
def test_examples_hold(text):
    scenario = parse(text, name="example")
    assert len(list(run(scenario, ModelBackend("6.18")))) == len(scenario.steps)


def test_expectations_are_among_the_examples():
    assert sum(isinstance(step, Expect) for text in EXAMPLES for step in parse(text).steps) > 7


@pytest.mark.parametrize("row", table(sections(PAGE)["Lines"]), ids=lambda row: row[0])
def test_lines_are_of_the_language(row):
    (line,) = re.findall(r"`([^`]*)`", row[0])[:1]
    there = "p: mmap a 8M" if "memfd" in line else "p: memfd f 2M\np: mmap a 8M"
    text = f"set nodes 2\n{there}\n{'' if 'fork' in line else 'p: fork c'}\n{line}"
    parse(f"{text}\np: read a\nend" if line.startswith("repeat") else text)


@pytest.mark.parametrize("row", table(sections(PAGE)["Settings"]), ids=lambda row: row[0])
def test_settings_are_of_the_language(row):
    assert parse(row[0].strip("`")) != parse("")


def test_nothing_is_left_out():
    told = set(re.findall(r"[a-z-]+", " ".join(" ".join(row) for row in table(sections(PAGE)["Lines"]))))
    assert set(VERBS) | set(KEYWORDS) - {"expect", "needs", "set"} <= told
    assert [row[0].strip("`").split()[1] for row in table(sections(PAGE)["Settings"])[1:]] == list(SETTINGS)


def test_the_table_of_expectations_is_up_to_date(generator):
    assert generator.put_between(PAGE.read_text(), generator.expectations_text()) == PAGE.read_text(), (
        "run docs/generate_tables.py"
    )
