"""Races as evidence: models by their text, judged now without compiling anything."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from mapcount.check.cells import parse_cell
from mapcount.check.default_models import sizes_of
from mapcount.check.named import NAMED
from mapcount.check.verdicts import judge
from mapcount.explain.evidence import Race, Verdicts

if TYPE_CHECKING:
    from mapcount.check.verdicts import Verdict, Violation


@cache
def verdict_of(text: str) -> Verdict:
    """Judge a model, by `scheme/caller/writers/pages` or by the name of a race, by looking at all its states."""
    cell = NAMED[text].cell if text in NAMED else parse_cell(text)
    return judge(cell, engine="plain")


def violation_of(text: str, name: str) -> Violation:
    """Return how a model breaks a property. Raises LookupError if it does not."""
    for violation in verdict_of(text).violations:
        if violation.property == name:
            return violation
    raise LookupError(f"{text} does not violate {name}")


def race(title: str, text: str, name: str) -> Race:
    """Return the shortest interleaving in which a model breaks a property. Raises LookupError if it does not."""
    return Race(title, verdict_of(text), violation_of(text, name))


def verdicts(title: str, schemes: tuple[str, ...], callers: tuple[str, ...]) -> Verdicts:
    """Judge each scheme with each caller, given as `caller/writers`, on the smallest folio that `mapcount check` takes."""
    cells = [f"{scheme}/{caller}/{sizes_of(scheme)[0]}" for scheme in schemes for caller in callers]
    return Verdicts(title, tuple(map(verdict_of, cells)))
