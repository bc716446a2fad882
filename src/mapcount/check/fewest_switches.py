"""The interleaving with the fewest switches between threads that shows a violation: often longer, and easier to follow.

A plain search over (state, thread that ran last), first by switches, then by steps. It looks for a reader's value that breaks
a property, as verdicts.py does.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from mapcount.check.interval import values_of
from mapcount.check.steps import Steps, thread_of
from mapcount.errors import UsageError

if TYPE_CHECKING:
    from mapcount.check.model import Model
    from mapcount.check.properties import Property
    from mapcount.check.steps import Closed, State

_Node: TypeAlias = "tuple[State, int]"
MOST_STATES = 500_000


class _Way(NamedTuple):
    before: _Node | None
    chosen: int


def fewest_switches(model: Model, broken: Property, max_states: int = MOST_STATES) -> tuple[int, ...]:
    """
    Return the schedule with the fewest switches that ends with a value that breaks the property.

    Raises UsageError if there is none, or none was met among so many states.
    """
    steps = Steps(model)
    start: _Node = (steps.first, -1)
    ways: dict[_Node, _Way] = {start: _Way(None, -1)}
    waiting = deque([(0, start)])
    done: set[_Node] = set()
    cost = {start: 0}
    while waiting:
        switches, node = waiting.popleft()
        if node in done or switches > cost[node]:
            continue
        done.add(node)
        if len(done) > max_states:
            raise UsageError(f"{max_states:,} states were looked at without coming to the end: fewer pages, or writers")
        for chosen in steps.choices(node[0]):
            taken, thread = steps.step(node[0], chosen), thread_of(chosen)
            if taken is None:
                continue
            if taken.closed and _is_broken(steps, taken.closed, broken):
                return (*_schedule(ways, node), chosen)
            after: _Node = (taken.state, thread)
            more = switches + int(node[1] not in {-1, thread})
            if more < cost.get(after, more + 1):
                cost[after], ways[after] = more, _Way(node, chosen)
                (waiting.append if more > switches else waiting.appendleft)((more, after))
    raise UsageError(f"no value breaks {broken.id} in this model")


def _is_broken(steps: Steps, closed: Closed, broken: Property) -> bool:
    if not steps.is_judged(closed.thread, closed.call):
        return False
    return broken.broken_by(closed.value, *map(values_of, (closed.attainable, closed.own, closed.might)))


def _schedule(ways: dict[_Node, _Way], node: _Node) -> tuple[int, ...]:
    found: list[int] = []
    at: _Node | None = node
    while at is not None:
        way = ways[at]
        if way.before is not None:
            found.append(way.chosen)
        at = way.before
    return tuple(reversed(found))
