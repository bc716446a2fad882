"""Running scenarios: order, expectations, needs, and that the machine is ended in any case."""

from __future__ import annotations

from contextlib import closing

import pytest

from mapcount.errors import ExpectationError, KernelFeatureError, ScenarioError
from mapcount.scenarios.parser import parse
from mapcount.scenarios.run import leave_at, run
from mapcount.scenarios.steps import Expect
from scenarios.page_machine import PageMachine

TEXT = """\
set swap
p: mmap a 2M huge
p: touch a[0]
expect a mapcount 1*512
p: fork c
c: munmap a[0:16]
expect a mapcount 1*16 2*496
expect result 0
expect c: a[3] not mapped
c: write a[16:19]
expect result 3
expect p: a[16] mapped_once
expect c: a[16] order 0
c: read a[15:17]
expect result -14
expect a shared
"""


def test_steps_and_what_is_seen():
    machine, scenario = PageMachine(), parse(TEXT, name="x")
    seen = list(run(scenario, machine))
    assert [step for step, _ in seen] == list(scenario.steps)
    assert [one.result for step, one in seen if not isinstance(step, Expect)] == [0, 1, 0, 0, 3, -14]
    assert machine.settings.swap
    assert machine.ended == 1
    # Of an expectation it is what was seen last.
    assert seen[2][1] is seen[1][1]


def test_one_that_does_not_hold():
    machine = PageMachine()
    scenario = parse(TEXT.replace("1*16 2*496", "1*17 2*495"), name="x")
    done = []
    with pytest.raises(ExpectationError) as caught:
        done.extend(run(scenario, machine))
    for words in ("x:7:", "expect a[0] mapcount 1*17 2*495", "c: munmap a[0:16]", "found 1*16 2*496", machine.name):
        assert words in str(caught.value)
    assert machine.ended == 1


def test_an_older_machine_is_not_begun():
    machine = PageMachine()
    with pytest.raises(KernelFeatureError, match=r"x needs Linux 6\.13 or later"):
        list(run(parse("needs 6.13\np: mmap a 4k", name="x"), machine))
    assert machine.ended == 0


def test_the_machine_is_ended_if_the_caller_stops_or_a_step_fails():
    machine = PageMachine()
    with closing(run(parse(TEXT), machine)) as steps:
        next(steps)
    assert machine.ended == 1
    with pytest.raises(NotImplementedError):
        list(run(parse("p: mmap a 4k\nreclaim"), machine))
    assert machine.ended == 2


LEAVES = """\
p: mmap a 16k
p: touch a[0:3]
expect a mapcount 1*3 0*1
p: fork c
p: munmap a[0:2]
p: exit
c: munmap a
c: exit
"""


def mapped(machine):
    return [(row.process, row.page, row.nr_pages) for row in machine.observe(0).mappings]


def test_a_machine_is_left_after_the_last_step_that_leaves_anything_mapped():
    machine = PageMachine()
    where = leave_at(parse(LEAVES, name="x"), machine)
    assert where == "step 5 of 7 of x, `p: exit`"
    assert {row[0] for row in mapped(machine)} == {"c"} and sum(row[2] for row in mapped(machine)) == 3
    assert machine.ended == 0


def test_a_machine_is_left_after_so_many_steps_of_which_expectations_are_none():
    machine = PageMachine()
    assert leave_at(parse(LEAVES, name="x"), machine, 4) == "step 4 of 7 of x, `p: munmap a[0:2]`"
    assert {row[0] for row in mapped(machine)} == {"c", "p"}
    assert leave_at(parse(LEAVES, name="x"), machine, 1).startswith("step 1 of 7")
    assert mapped(machine) == []


def test_a_machine_is_not_left_where_there_is_nothing():
    with pytest.raises(ScenarioError, match="x has 7 steps, not 8"):
        leave_at(parse(LEAVES, name="x"), PageMachine(), 8)
    with pytest.raises(ScenarioError, match="nothing is mapped after any of its 1 steps"):
        leave_at(parse("p: mmap a 4k", name="x"), PageMachine())
    with pytest.raises(KernelFeatureError, match=r"x needs Linux 6\.13 or later"):
        leave_at(parse("needs 6.13\np: mmap a 4k", name="x"), PageMachine())
