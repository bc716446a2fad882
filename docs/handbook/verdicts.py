#!/usr/bin/env python3
"""The verdicts behind the page of the unfixable race: judged by this file as a script (a minute), stored beside it.

A line a model: what each caller sees with each way of counting, with each lock that it does not have, and if nobody had one of
those that it has. Drawings are not stored: a replay makes them anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mapcount.check.cells import AT_REST, Cell, parse_cell
from mapcount.check.contexts import CONTEXTS
from mapcount.check.default_models import REST_WRITERS, sizes_of
from mapcount.check.schedule import parse_schedule, schedule_text
from mapcount.check.verdicts import judge
from mapcount.report.races import MARKS, mark_of
from mapcount.schemes.catalogue import SCHEMES, find_scheme

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mapcount.check.verdicts import Verdict

STORED = Path(__file__).with_name("verdicts.txt")
LOCKS = ("ptl", "folio", "rmap", "mmap")
"""Kinds that a caller may take; bit locks are the scheme's own."""
BITS = "bits"
NONE = "-"
CALLERS = tuple(one.id for one in CONTEXTS.values() if one.by_default or one.id in {"referenced", "madvise-whole"})
"""Those of the default set, and those of which a torn number of mappings is the harm."""


@dataclass(frozen=True)
class Broken:
    """A property that does not hold."""

    property: str
    mark: str
    schedule: tuple[int, ...]
    value: int | None
    """that the reader returned; None: the words at rest are wrong"""
    true: tuple[int, ...]
    """what was true at some moment of the window"""


@dataclass(frozen=True)
class Known:
    """What is known of one model; of one with other locks than its caller's, the mark alone."""

    cell: Cell
    mark: str
    returns: tuple[int, ...] = ()
    untrue: tuple[int, ...] = ()
    broken: tuple[Broken, ...] = ()


def known_of(scheme: str) -> Iterator[Known]:
    """Judge all models of a scheme: its callers as they are, what else they could hold, and what nobody held."""
    pages = sizes_of(scheme)
    cells = [Cell(scheme, caller, CONTEXTS[caller].writers[0], min(pages)) for caller in CALLERS]
    for cell in [*cells, *(Cell(scheme, AT_REST, writers, max(pages)) for writers in REST_WRITERS)]:
        verdict = judge(cell)
        if verdict.cannot:
            continue
        broken = (
            Broken(one.property, MARKS[verdict.kind_of(one)], one.schedule, one.value, one.true)
            for one in verdict.violations
        )
        yield Known(cell, mark_of(verdict), verdict.returns, verdict.untrue, tuple(broken))
        for other in _with_other_locks(verdict):
            yield Known(other, mark_of(judge(other)))


def _with_other_locks(verdict: Verdict) -> Iterator[Cell]:
    """Yield a model with each lock that its reader does not have, if it could help, and without each that it has."""
    cell, held = verdict.cell, verdict.context.locks if verdict.context else ()
    if verdict.context and mark_of(verdict) not in {"true", "guess"}:
        yield from (replace(cell, more=frozenset({kind})) for kind in LOCKS if kind not in held)
    if mark_of(verdict) != "HARM":
        yield from (replace(cell, without=frozenset({kind})) for kind in (*held, *_own_locks(cell.scheme)))


def _own_locks(scheme: str) -> tuple[str, ...]:
    words = (place.word.name for place in find_scheme(scheme).scheme.places)
    return (BITS,) if any(name.endswith("_LOCK") for name in words) else ()


def line(known: Known) -> str:
    """Return a verdict as it is stored."""
    if _is_other(known.cell):
        return f"{known.cell} {known.mark}"
    broken = (
        f"{one.property}:{one.mark}:{schedule_text(one.schedule)}:{_numbers((one.value,))}:{_numbers(one.true)}"
        for one in known.broken
    )
    return " ".join([str(known.cell), known.mark, _numbers(known.returns), _numbers(known.untrue), *broken])


def stored() -> list[Known]:
    """Return the verdicts that were stored."""
    return [_known(*one.split(" ")) for one in STORED.read_text().splitlines()]


def _known(cell: str, mark: str, returns: str = NONE, untrue: str = NONE, *broken: str) -> Known:
    return Known(parse_cell(cell), mark, _parsed(returns), _parsed(untrue), tuple(map(_broken, broken)))


def _broken(text: str) -> Broken:
    name, mark, schedule, value, true = text.split(":")
    return Broken(name, mark, parse_schedule(schedule), next(iter(_parsed(value)), None), _parsed(true))


def _numbers(numbers: Iterable[int | None]) -> str:
    return ",".join(str(number) for number in numbers if number is not None) or NONE


def _parsed(text: str) -> tuple[int, ...]:
    return () if text == NONE else tuple(map(int, text.split(",")))


def _is_other(cell: Cell) -> bool:
    return bool(cell.more or cell.without)


if __name__ == "__main__":
    STORED.write_text("".join(f"{line(known)}\n" for scheme in SCHEMES for known in known_of(scheme.id)))
