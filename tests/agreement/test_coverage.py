"""Coverage: steps with an effect, counted by hand; branches that nobody takes have a reason only where there is one."""

from __future__ import annotations

from agreement.page_machine import PageMachine
from mapcount.agreement.conform import conform
from mapcount.agreement.coverage import ENOUGH, OPERATIONS, Coverage, operation_of
from mapcount.agreement.pair import Pair
from mapcount.machine.backend import ModelBackend
from mapcount.scenarios.parser import parse
from mapcount.schemes.catalogue import find_scheme

SCENARIO = parse(
    "p: mmap a 64k\np: write a[0:3]\np: write a[1]\np: read a[5]\np: munmap a[9]\np: dontneed a[5]\n"
    "p: dontneed a[5]\np: fork c\nc: exit\nreclaim\np: mprotect a[0] ro\n",
    name="s",
)


def test_steps_with_an_effect():
    coverage = Coverage.of(find_scheme("mm-id"))
    conform([SCENARIO], Pair(PageMachine(), PageMachine(), watch=coverage.watch))
    assert coverage.steps == {
        "mmap": 1,
        "write": 2,
        "read": 1,
        "munmap": 1,
        "dontneed": 2,
        "fork": 1,
        "exit": 1,
        "reclaim": 1,
        "mprotect": 1,
    }
    assert +coverage.effective == {"write": 1, "read": 1, "dontneed": 1, "fork": 1, "exit": 1}
    assert coverage.too_few() == {name: coverage.effective[name] for name in OPERATIONS}


def test_enough_is_enough():
    coverage = Coverage.of(find_scheme("mm-id"))
    coverage.effective.update({name: ENOUGH for name in OPERATIONS if name != "fork"} | {"fork": ENOUGH - 1})
    assert coverage.too_few() == {"fork": ENOUGH - 1}


def test_operations_are_the_verbs_of_scenarios():
    text = "p: memfd f 64k\np: mmap a 64k huge f[0]\np: punch f[0:3]\np: pageout a[0]\n"
    assert [operation_of(step) for step in parse(text, name="s").steps] == ["memfd", "mmap", "punch", "pageout"]


def test_the_model_takes_branches_of_its_own_scheme():
    model = ModelBackend("6.18")
    coverage = Coverage.of(model.scheme)
    with coverage.branches.tracing():
        conform([SCENARIO], Pair(model, ModelBackend("6.18"), watch=coverage.watch))
    taken = {one.function for one in coverage.branches.taken}
    assert {"map_small", "unmap_small", "dup_small"} & taken
    assert "map_pmd" not in taken


def test_reasons():
    coverage = Coverage.of(find_scheme("mm-id"))
    why = {(branch.source, branch.to_line): why for branch, why in coverage.branches_not_taken()}
    assert len(coverage.branches_not_taken()) == len(coverage.branches.all)
    pinned = [one for one in why if "folio_maybe_dma_pinned" in one[0]]
    assert pinned and all(why[one] == "nothing is pinned in a scenario" for one in pinned)
    assert "" in why.values()
