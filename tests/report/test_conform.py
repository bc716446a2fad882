"""The report of agreement: every line fits, what differs is shown with both states, what was not compared is told."""

from __future__ import annotations

import json

import pytest
from rich.cells import cell_len

from agreement import page_machine
from agreement.page_machine import PageMachine
from mapcount.agreement.allowed import Allowance
from mapcount.agreement.conform import conform
from mapcount.agreement.coverage import Coverage
from mapcount.agreement.pair import Pair
from mapcount.report.conform import parts
from mapcount.report.conform_record import document, pair_record
from mapcount.report.table import View
from mapcount.report.terminal import render
from mapcount.scenarios.parser import parse
from mapcount.scenarios.scenario import Scenario, Settings
from mapcount.schemes.catalogue import find_scheme

SCENARIO = parse("p: mmap a 64k huge\np: write a[0]\np: fork c\np: fork d\np: fork e\np: exit\n", name="three")
SWAP = Scenario("swapped", "", SCENARIO.steps, Settings(swap=True))


class Slim(PageMachine):
    """Without kpagecount, and with a word and a size that the other has not."""

    def state(self, number, counts):
        state = super().state(number, counts)
        state.words["_odd"] = 3
        return state

    def readings(self, counts):
        for one in super().readings(counts):
            one.smaps_bytes["Referenced"] = 4096
            yield one


def compared(right, *, allows=lambda _: None, coverage=None):
    watch = coverage.watch if coverage else lambda *_: None
    pair = Pair(PageMachine("left"), right("right-cloud-amd64"), proc=True, allows=allows, watch=watch)
    return pair_record(conform([SCENARIO, SWAP], pair), coverage)


def shown(*records, width=80, **options):
    return render(parts(records, View(width=width, **options)), width=width, colour=False)


def flat(text):
    return " ".join(text.split())


def test_agreement():
    text = shown(compared(PageMachine))
    assert "left right 1 6" in flat(text)
    assert "No difference in 6 steps." in text
    assert "_large_mapcount" in text and "page tables" in text


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("right", [PageMachine, page_machine.CountsThreeAsTwo, page_machine.NeverCopies, Slim])
@pytest.mark.parametrize("verbose", [True, False])
def test_every_line_fits(width, right, verbose):
    text = shown(compared(right, coverage=Coverage.of(find_scheme("mm-id"))), width=width, verbose=verbose)
    assert max(map(cell_len, text.splitlines())) <= width


def test_a_difference_is_shown_with_its_scenario_and_both_states():
    text = shown(compared(page_machine.CountsThreeAsTwo))
    assert "left and right differ" in text
    assert "_mapcount of f0, first seen in three:" in text
    for line in ("    p: mmap a 64k huge\n", "    p: fork c\n", "    p: fork d\n"):
        assert line in text
    assert "_mapcount 2*16" in flat(text) and "_mapcount 1*16" in flat(text)
    assert "p: a[0:16] maps f0[0:16] by PTE" in text
    assert "three, step 4, `p: fork d`: _mapcount of f0 left: 2*16 right: 1*16" in flat(text)


def test_what_was_not_compared_is_named_with_the_reason():
    text = flat(shown(compared(Slim)))
    assert "_odd: only right-cloud-amd64 has it" in text
    assert "Referenced: which pages were accessed is not modelled" in text
    assert "right: 1 scenario: left has no swap" in text
    assert "frame numbers: they differ" in text
    assert "swapped: left has no swap" in flat(shown(compared(Slim), verbose=True))


def test_what_is_allowed_is_told_and_does_not_count():
    known = Allowance((0, 0), (9, 9), "_mapcount", lambda _: True, "it is known", "the source")
    record = compared(page_machine.CountsThreeAsTwo, allows=lambda one: known if one.field == "_mapcount" else None)
    assert not record.differences
    text = flat(shown(record))
    assert "Allowed on right, 3 times: _mapcount: it is known (the source)" in text
    assert "No difference" in text


def test_coverage():
    text = flat(shown(compared(PageMachine, coverage=Coverage.of(find_scheme("mm-id")))))
    assert "fork 3*" in text and "exit 1*" in text and "reclaim 0*" in text
    assert "0 of " in text and "out of reach of scenarios" in text


def test_json():
    found = json.loads(document([compared(page_machine.CountsThreeAsTwo), compared(PageMachine)]))
    assert (found["schema_version"], found["agrees"]) == (1, False)
    one, other = found["pairs"]
    assert one["skipped"] == {"swapped": "left has no swap"}
    assert one["differences"][0] == {
        "scenario": "three",
        "step": 4,
        "did": "p: fork d",
        "field": "_mapcount",
        "subject": "f0",
        "left": "2*16",
        "right": "1*16",
    }
    assert one["shortest"][0]["text"].endswith("p: fork d\n") and one["shortest"][0]["left"][0] == "result 0"
    assert other["differences"] == [] and other["coverage"] is None
    rows = {row["field"]: row for row in other["fields"]}
    assert rows["result"]["compared"] == 6 and rows["_mapcount"]["mismatches"] == 0
    assert json.loads(document([compared(PageMachine)]))["agrees"]


def test_the_scenario_that_is_printed_is_one():
    record = compared(page_machine.NeverCopies)
    assert record.shortest == [], "nothing is written here after the fork"
    record = compared(page_machine.CountsThreeAsTwo)
    assert len(parse(record.shortest[0].text, name="again").steps) == 4
