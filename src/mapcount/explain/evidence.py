"""What evidence is made of: sentences, figures with their units, verdicts on races, and an interleaving to be drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from mapcount.check.verdicts import Verdict, Violation

Unit: TypeAlias = Literal["text", "count", "bytes", "share"]
"""How a column is to be read; a share is a number from 0 to 1."""
Cell: TypeAlias = "str | int | float | None"
"""None: there is no answer."""


@dataclass(frozen=True)
class Says:
    """A sentence that was found to be so just now."""

    words: str


@dataclass(frozen=True)
class Heading:
    """The head of a column."""

    title: str
    unit: Unit = "count"


@dataclass(frozen=True)
class Figures:
    """A table of figures."""

    title: str
    columns: tuple[Heading, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Verdicts:
    """What readers see with several ways of counting: one verdict a model."""

    title: str
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True)
class Race:
    """One violation of a model, to be drawn."""

    title: str
    verdict: Verdict
    violation: Violation


Part: TypeAlias = "Says | Figures | Verdicts | Race"
