"""A run of a scenario as text and as JSON: everything is in it, and fits."""

from __future__ import annotations

import json
import re
from contextlib import suppress

import pytest

from mapcount.errors import ExpectationError
from mapcount.machine.backend import ModelBackend
from mapcount.report import scenario_run
from mapcount.report.scenario_record import ScenarioRun, verdict_of
from mapcount.report.scenario_run import LEAST_COLUMNS, MAIL_COLUMNS, document, lines
from mapcount.scenarios.expectations import page_counts
from mapcount.scenarios.library import load
from mapcount.scenarios.parser import parse
from mapcount.scenarios.run import run
from mapcount.scenarios.steps import Expect
from mapcount.scenarios.text import step_text
from scenarios.page_machine import PageMachine

TEXT = """\
# A fork, and a partial unmap.
p: mmap a 2M huge
p: touch a[0]
p: fork c
c: munmap a[0:16]
expect a mapcount 1*16 2*496
expect a shared
c: write a[16:19]
"""
SHOWN = """\
x, on: pages in a dictionary
A fork, and a partial unmap.
$ mapcount run x
Bars are a folio's pages: = mapped by a PMD, # by PTEs, + in part, . not. Words
are as stored.

   1  p: mmap a 2M huge  = 0

   2  p: write a[0]  = 1
      f0 2M anon, new
        mapcount            1*512
        p |################################| PTE 0:512 at a[0]

   3  p: fork c  = 0
      f0 2M anon
        mapcount            1*512 -> 2*512
        p |################################| PTE 0:512 at a[0]
        c |################################| PTE 0:512 at a[0]

   4  c: munmap a[0:16]  = 0
      f0 2M anon
        mapcount            2*512 -> 1*16 2*496
        p |################################| PTE 0:512 at a[0]
        c |.###############################| PTE 16:512 at a[16]
      expect a[0] mapcount 1*16 2*496: holds
      expect a[0] shared: cannot be told (this machine shows no shared of f0)

   5  c: write a[16:19]  = 3
      f0 2M anon
        mapcount            1*16 2*496 -> 1*19 2*493
        p |################################| PTE 0:512 at a[0]
        c |.+##############################| PTE 19:512 at a[19]
      f1 ... f3, 3 folios, 4K anon, new
        mapcount            1*1
        c PTE at a[16:19]

5 steps; of 2 expectations 1 hold, 1 cannot be told on this machine.
"""


def shown(scenario, machine, command=""):
    return ScenarioRun(scenario, machine.name, machine.release, True, list(run(scenario, machine)), command)


def test_a_run_as_text():
    printed = "\n".join(lines(shown(parse(TEXT, name="x"), PageMachine(), "mapcount run x"), width=80)) + "\n"
    assert printed == SHOWN


@pytest.mark.parametrize("width", [LEAST_COLUMNS, MAIL_COLUMNS, 80])
@pytest.mark.parametrize("name", ["mremap-part-2M", "three-mms-64k", "shmem-two-vmas-2M", "walk-mixed", "small-pages"])
def test_it_fits_and_no_number_is_cut(name, width):
    seen = shown(load(name), ModelBackend("6.18"))
    printed = list(lines(seen, width=width))
    assert max(map(len, printed)) <= width
    flat = " ".join(" ".join(printed).split())
    for _, observation in seen.done:
        for folio, state in observation.folios.items():
            entries = [entry for entry in observation.mappings if entry.folio == folio]
            counts = page_counts(entries, state.order)
            numbers = {f"{value}*{pages}" for value, pages in state.words.get("_mapcount", ())}
            assert all(re.search(rf"(?<![\d-]){re.escape(number)}(?!\d)", flat) for number in numbers)
            assert f"{state.words['_refcount']}" in flat
            assert len(counts) == 1 << state.order


def test_json_has_all_that_was_seen():
    scenario = parse(TEXT, name="x")
    seen = shown(scenario, PageMachine())
    data = json.loads(document(seen))
    assert (data["schema_version"], data["scenario"], data["release"]) == (1, "x", "6.12")
    assert parse(data["text"], name="x") == scenario
    done = [(step, observation) for step, observation in seen.done if not isinstance(step, Expect)]
    assert [(one["text"], one["result"]) for one in data["steps"]] == [
        (step_text(step), seen.result) for step, seen in done
    ]
    assert [one["line"] for one in data["steps"]] == [2, 3, 4, 5, 8]
    for one, (_, observation) in zip(data["steps"], done, strict=True):
        assert len(one["mappings"]) == len(observation.mappings)
        assert sum(entry["nr_pages"] for entry in one["mappings"]) == sum(
            entry.nr_pages for entry in observation.mappings
        )
        assert {name: folio["order"] for name, folio in one["folios"].items()} == {
            name: state.order for name, state in observation.folios.items()
        }
    assert [(one["after_step"], one["verdict"]) for one in data["expectations"]] == [(4, "holds"), (4, "untold")]


def test_verdicts():
    expect = parse("p: mmap a 4k\nexpect a mapped").steps[1]
    (observation,) = [seen for _, seen in run(parse("p: mmap a 4k"), PageMachine())]
    assert verdict_of(expect, observation) == ("fails", "no")
    assert scenario_run._verdict(expect, observation) == "does not hold, found no"


def test_a_run_that_ended_early_is_shown_as_far_as_it_went():
    scenario, machine, done = parse(f"{TEXT}expect a mapcount 7", name="x"), PageMachine(), []
    with suppress(ExpectationError):
        for seen in run(scenario, machine):
            done.append(seen)  # noqa: PERF402 - what extend() keeps of an iterator that fails is nowhere said
    assert len(done) == len(scenario.steps) - 1
    shown_run = ScenarioRun(scenario, machine.name, "6.12", True, done, "mapcount run x")
    assert "\n".join(lines(shown_run, width=80)) + "\n" == SHOWN
