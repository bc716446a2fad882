"""The budget of a capture: wall clock and CPU apart, and what it says when it is spent."""

import threading
import time

import pytest

from mapcount.capture import budget
from mapcount.capture.budget import Budget, BudgetSpentError


@pytest.fixture
def clock(monkeypatch):
    """Clocks that stand still until told otherwise."""
    now = {"wall": 1009.0, "cpu": 3.0}
    monkeypatch.setattr(budget.time, "monotonic", lambda: now["wall"])
    monkeypatch.setattr(budget.time, "process_time", lambda: now["cpu"])
    return now


@pytest.mark.parametrize(("limits", "spent", "message"), [((5.0, None), "wall", "--max-seconds 5 "),
                                                          ((None, 0.25), "cpu", "--max-cpu 0.25 ")])  # fmt: skip
def test_each_limit_is_about_its_own_clock(clock, limits, spent, message):
    limit = Budget.start(*limits)
    other = "cpu" if spent == "wall" else "wall"
    clock[other] += 1e6
    clock[spent] += 0.999 * max(x for x in limits if x)
    limit.check()
    clock[spent] += 0.002 * max(x for x in limits if x)
    with pytest.raises(BudgetSpentError, match=message):
        limit.check()


def test_without_limits_it_never_ends(clock):
    limit = Budget.start(None, None)
    clock["wall"] += 1e9
    clock["cpu"] += 1e9
    limit.check()


def test_cpu_of_other_threads_counts():
    limit = Budget.start(None, 0.05)

    def burn():
        begin = time.thread_time()
        while time.thread_time() - begin < 0.06:
            pass

    thread = threading.Thread(target=burn)
    thread.start()
    thread.join()
    with pytest.raises(BudgetSpentError):
        limit.check()


def test_sleep_costs_no_cpu():
    limit = Budget.start(None, 0.05)
    time.sleep(0.06)
    limit.check()
