"""Two machines of dictionaries: the right one agrees with itself, and each wrong one is caught and shrunk to a few steps."""

from __future__ import annotations

import pytest

from agreement import page_machine
from agreement.page_machine import PageMachine
from mapcount.agreement.allowed import Allowance, allowance_for
from mapcount.agreement.conform import conform
from mapcount.agreement.pair import Pair
from mapcount.scenarios.parser import parse
from mapcount.scenarios.scenario import Scenario, Settings
from mapcount.scenarios.text import step_text, text
from mapcount.scenarios.walks import walk_scenario

NUMBERED_FROM = 7
"""Folios have other names on the other machine."""
SCENARIOS = [walk_scenario(profile, seed, 47) for profile in ("small", "2M", "shmem") for seed in (1, 2)]
HOLE = parse("p: mmap a 4k\np: mprotect a[0:2] ro\np: write a[0]\n", name="hole")


def wrong(variant):
    return Pair(PageMachine(), variant("wrong", first_number=NUMBERED_FROM), proc=True)


def test_a_machine_agrees_with_itself():
    found = conform([*SCENARIOS, HOLE], wrong(PageMachine))
    assert found.agrees and not found.differing and not found.shortest
    assert (found.left, found.right) == ("pages", "wrong")
    assert found.scenarios == 7 and found.steps == sum(len(one.steps) for one in [*SCENARIOS, HOLE])
    assert found.tally.compared["result"] == found.steps
    assert found.tally.compared["Rss"] > 100 and found.tally.compared["_large_mapcount"] > 10


@pytest.mark.parametrize(
    ("variant", "field", "longest"),
    [
        (page_machine.NeverCopies, "identity", 5),
        (page_machine.CopiesAlways, "page tables", 5),
        (page_machine.ForgetsOnePage, "page tables", 4),
        (page_machine.CountsThreeAsTwo, "_mapcount", 5),
        (page_machine.ForgetsFiles, "folios", 6),
        (page_machine.RssOfAnother, "Rss", 3),
    ],
)
def test_a_wrong_machine_is_caught_and_what_is_shown_is_short(variant, field, longest):
    found = conform(SCENARIOS, wrong(variant), shrink_limit_s=30)
    assert not found.agrees and found.mismatches[field]
    (shortest,) = [one for one in found.shortest if field in {difference.field for difference in one.differences}][:1]
    assert len(shortest.scenario.steps) <= longest, list(map(step_text, shortest.scenario.steps))
    again = wrong(variant).compare(parse(text(shortest.scenario), name=shortest.scenario.name))
    assert again.differences == shortest.differences, "what is printed shows it again"
    assert shortest.states is not None


def test_a_wrong_result_is_caught():
    found = conform([HOLE], wrong(page_machine.WrongResult))
    assert found.mismatches == {"result": 1}
    assert [step_text(step) for step in found.shortest[0].scenario.steps] == ["p: mprotect a[0] ro"]


def test_a_scenario_ends_at_its_first_difference_unless_told_to_go_on():
    scenario = parse("p: mprotect a[0] ro\np: mmap a 4k\np: mprotect a[5] ro\np: write a[0]\n", name="two")
    first = conform([scenario], wrong(page_machine.WrongResult), shrink_limit_s=0)
    assert (first.steps, first.mismatches["result"], first.shortest) == (1, 1, [])
    both = conform([scenario], wrong(page_machine.WrongResult), shrink_limit_s=0, keep_going=True)
    assert (both.steps, both.mismatches["result"]) == (4, 2)


def test_a_difference_that_stays_is_told_once():
    scenario = parse(
        "p: mmap a 64k huge\np: write a[0]\np: fork c\np: fork d\np: read a[1]\np: read a[2]\n", name="stays"
    )
    found = conform([scenario], wrong(page_machine.CountsThreeAsTwo), shrink_limit_s=0, keep_going=True)
    assert found.mismatches == {"_mapcount": 1} and found.steps == 6


def test_what_a_machine_lacks_is_skipped_by_name():
    swap = Scenario("swap", "", HOLE.steps, Settings(swap=True))
    new = Scenario("new", "", HOLE.steps, needs=(7, 1))
    found = conform([swap, new, HOLE], wrong(PageMachine))
    assert found.skipped == {"swap": "pages has no swap", "new": "pages is older than Linux 7.1"}
    assert found.scenarios == 1


def test_an_allowed_difference_is_counted_and_ends_nothing():
    known = Allowance((6, 9), (6, 13), "result", lambda one: one.left == -12, "it is so", "seen")
    pair = wrong(page_machine.WrongResult)
    pair = Pair(pair.left, pair.right, proc=True, allows=lambda one: allowance_for(one, "6.12.1", (known,)))
    found = conform([HOLE], pair)
    assert found.agrees and found.allowed == {known: 1} and found.steps == 3


def test_both_machines_are_ended_whatever_happens():
    class Dies(PageMachine):
        ended = 0

        def do(self, step):
            raise RuntimeError

        def end(self):
            type(self).ended += 1

    class Left(PageMachine):
        ended = 0

        def end(self):
            type(self).ended += 1

    with pytest.raises(RuntimeError):
        conform([HOLE], Pair(Left(), Dies()))
    assert (Left.ended, Dies.ended) == (1, 1)


def test_watch_is_told_what_the_left_machine_showed():
    told = []
    pair = Pair(PageMachine(), PageMachine(), watch=lambda *seen: told.append(seen))
    conform([HOLE], pair)
    assert [step for step, _, _ in told] == list(HOLE.steps)
    assert told[0][1] is None and told[1][1] == told[0][2]
