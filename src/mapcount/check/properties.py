"""What a reader's value, or the end of it all, may be asked for: properties by name, each with its meaning in one sentence.

A property of a reader judges a value against what was true at some moment of the window (interval.py). A property at rest
judges the words when every thread has done everything. What a model reaches at all is told beside them (`SOMETIMES`).
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, NamedTuple

from mapcount.check.harm import Class, Harm
from mapcount.schemes.scheme import Quantity

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_COUNTS = frozenset(
    {
        Quantity.ENTRIES,
        Quantity.PAGE_ENTRIES,
        Quantity.PAGES_MAPPED,
        Quantity.ADDRESS_SPACES,
        Quantity.VMAS,
        Quantity.TABLE_PAIRS,
        Quantity.COMPLETE_MAPPINGS,
        Quantity.EXTRA_REFERENCES,
    }
)
_MAPPINGS = frozenset({Quantity.ENTRIES, Quantity.MAPPED, Quantity.PAGES_MAPPED, Quantity.ADDRESS_SPACES})
_SHARING = frozenset({Quantity.SHARED, Quantity.OTHERS})


class Takes(enum.Enum):
    """What a value is held against."""

    WINDOW = "what was true at some moment of the window"
    FOLIO = "what was true then of the folio that had the memory when it began"
    HISTORY = "what the read might have returned, in any order, after those before it"


class Property(NamedTuple):
    """
    What a value must not do. `broken` takes the value and what was true at some moment of the window.

    `takes` says what that is in its place for some: what was true of the folio that had the memory when the reader began, or
    what the last of several reads might have returned, in any order, after those before it.
    """

    id: str
    meaning: str
    relies: str
    """who relies on it"""
    quantities: frozenset[Quantity]
    broken: Callable[[int, Sequence[int]], bool]
    verdict: str
    """what went wrong, with {value} and {true}; of several reads with {earlier}, too"""
    takes: Takes = Takes.WINDOW

    def broken_by(self, value: int, window: Sequence[int], own: Sequence[int], might: Sequence[int]) -> bool:
        """Return whether a value breaks it, given all that it may have to do with."""
        return self.broken(value, self.of(window, own, might))

    def of(self, window: Sequence[int], own: Sequence[int], might: Sequence[int]) -> Sequence[int]:
        """Return what it has to do with."""
        return {Takes.WINDOW: window, Takes.FOLIO: own, Takes.HISTORY: might}[self.takes]


class RestProperty(NamedTuple):
    """What must hold of the words: when every thread has done everything, or (`always`) in every state."""

    id: str
    meaning: str
    relies: str
    always: bool
    harm: Harm


READER_PROPERTIES: dict[str, Property] = {
    one.id: one
    for one in (
        Property(
            "explainable",
            "the value was true at some moment between the reader's first load and its last",
            "everyone who shows it to people, or adds it up",
            frozenset(Quantity) - {Quantity.PARTIAL},
            lambda value, true: value not in true,
            "it returned {value}, which was true at no moment: it was {true}",
        ),
        Property(
            "never-under",
            "the value is at least the least that was true meanwhile",
            "rmap walks that stop after so many mappings (folio_referenced)",
            _COUNTS,
            lambda value, true: value < min(true),
            "it returned {value}, and there were always at least as many as {true}",
        ),
        Property(
            "never-over",
            "the value is at most the greatest that was true meanwhile",
            "isolation and split, which give up when there is more than they know of",
            _COUNTS,
            lambda value, true: value > max(true),
            "it returned {value}, and there were never more than {true}",
        ),
        Property(
            "no-false-unmapped",
            "it says that nothing maps the folio only if nothing did, at some moment",
            "reclaim, try_to_unmap() and migration, which take the folio away then",
            _MAPPINGS,
            lambda value, true: value <= 0 and 0 not in true,
            "it said that nothing maps the folio, and it was always mapped ({true})",
        ),
        Property(
            "no-false-exclusive",
            "it says that nobody else uses the folio only if nobody else did, at some moment",
            "copy-on-write, which lets a process write to the folio then; madvise and move_pages",
            _SHARING,
            lambda value, true: value == 0 and 0 not in true,
            "it said that nobody else uses the folio, and somebody always did",
        ),
        Property(
            "no-false-shared",
            "it says that others use the folio only if they did, at some moment of the window",
            "copy-on-write, which copies for nothing otherwise",
            _SHARING,
            lambda value, true: value != 0 and set(true) == {0},
            "it said that others use the folio, and nobody did while it looked",
        ),
        Property(
            "pin-never-hidden",
            "while the folio has a reference that is no mapping, the value says so",
            "collapse, KSM, lazyfree and split, which would change or drop what the holder still uses",
            frozenset({Quantity.EXTRA_REFERENCES}),
            lambda value, true: value <= 0 and min(true) > 0,
            "it found {value} references beyond the mappings, and there was always one: the pin was missed",
        ),
        Property(
            "reads-in-order",
            "of several reads each has its moment in one and the same order of all operations",
            "whoever compares two readings, or adds up those of several pages",
            frozenset(Quantity) - {Quantity.PARTIAL},
            lambda value, might: value not in might,
            "it returned {value} after {earlier}: no order of the operations has a moment for each; {true} would fit",
            Takes.HISTORY,
        ),
        Property(
            "same-folio",
            "the value was true, at some moment, of the folio that had the memory when the reader began",
            "who reads without a reference, and goes on with that folio",
            frozenset(Quantity) - {Quantity.PARTIAL},
            lambda value, own: value not in own,
            "it returned {value}, and of the folio that it began with {true} was true: that one was freed",
            Takes.FOLIO,
        ),
    )
}
REST_PROPERTIES: dict[str, RestProperty] = {
    one.id: one
    for one in (
        RestProperty(
            "stats-balance",
            "at rest NR_ANON_MAPPED, NR_FILE_MAPPED and the PMD statistics are what the scheme says they count",
            "meminfo, memory.stat, node reclaim",
            always=False,
            harm=Harm(
                Class.CONSEQUENTIAL, "a statistic of the node and of the cgroup is off, also when the folio is gone"
            ),
        ),
        RestProperty(
            "words-balance",
            "at rest the scheme's words are what its invariants say, and exact readers return what is true",
            "everyone",
            always=False,
            harm=Harm(
                Class.CONSEQUENTIAL, "the folio is counted wrongly from then on: it never looks unmapped, or too early"
            ),
        ),
        RestProperty(
            "comes-to-rest",
            "no interleaving ends with threads that wait for each other for ever",
            "everyone",
            always=True,
            harm=Harm(Class.CONSEQUENTIAL, "CPUs wait for each other for ever"),
        ),
        RestProperty(
            "exclusive-is-alone",
            "at rest no page that several address spaces map is marked PG_anon_exclusive",
            "copy-on-write and GUP, which take such a page for the process's own",
            always=False,
            harm=Harm(Class.CONSEQUENTIAL, "a process writes to memory that another one still sees"),
        ),
        RestProperty(
            "no-wrap",
            "no counter is ever below what an unused one holds: read as unsigned it would be huge",
            "readers that take a counter for a number of mappings",
            always=True,
            harm=Harm(
                Class.CONSEQUENTIAL, "whoever takes the word for a number of mappings at that moment is off by billions"
            ),
        ),
        RestProperty(
            "partial-never-missed",
            "at rest an anon folio that unmapping left partially mapped is marked for the deferred split",
            "the shrinker that splits such folios and frees what nothing maps",
            always=False,
            harm=Harm(
                Class.CONSEQUENTIAL,
                "what nothing maps stays in memory until the folio is swapped out or freed",
            ),
        ),
    )
}
TRANSIENT_RANGE = "transient-range"
"""Not good or bad: the values that each word takes in any state, told beside the verdicts."""
TRUTH_MOVES = "truth-moves"
SOMETIMES: dict[str, str] = {
    TRUTH_MOVES: "what is true changes while a reader looks; never: the locks that it holds keep it",
    "value-varies": "a reader returns different values",
    "unmapped-meanwhile": "at some moment of a reader's window nothing is there of what it asks for",
    "runs-to-the-end": "every thread has done everything",
    "waits-for-ever": "threads that are not done wait for a lock that is never given back",
}
"""What a model should reach, or not, for its verdicts to say anything: by name, each with its meaning."""


def properties_of(quantity: Quantity) -> tuple[Property, ...]:
    """Return the properties that say something about one value of a reader of this quantity."""
    return tuple(one for one in READER_PROPERTIES.values() if quantity in one.quantities and one.takes is Takes.WINDOW)
