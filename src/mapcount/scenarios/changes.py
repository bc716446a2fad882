"""What a step changed: folio by folio, the mapcount of its pages, its words, and who maps it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mapcount.scenarios.expectations import page_counts
from mapcount.scenarios.values import format_value, runs_of

if TYPE_CHECKING:
    from mapcount.mapping.schema import Kind
    from mapcount.scenarios.observation import FolioState, Mapped, Observation

MAPCOUNT = "mapcount"
"""The true counts of a folio's pages, as if they were one of its words."""


@dataclass(frozen=True)
class WordChange:
    """A word before and after, as text; `before` is empty for a folio that was not there."""

    name: str
    before: str
    after: str


@dataclass(frozen=True)
class FolioChange:
    """A folio that a step changed. `gone`: it is no more; then it has no words and no entries."""

    folio: str
    order: int
    kind: Kind
    new: bool
    gone: bool
    words: tuple[WordChange, ...]
    entries: tuple[Mapped, ...]
    """Those that map it now."""
    moved: bool
    """Other entries map it than before."""


def changes(before: Observation | None, after: Observation) -> list[FolioChange]:
    """Return what is not as it was before a step, folios in the order of `after`, those that are gone last."""
    old_entries, entries = _entries(before), _entries(after)
    old_states = before.folios if before else {}
    found = []
    for name, state in after.folios.items():
        old = old_states.get(name)
        old_words = words_text(old, old_entries[name]) if old else {}
        words = tuple(
            WordChange(word, old_words.get(word, ""), text)
            for word, text in words_text(state, entries[name]).items()
            if old_words.get(word) != text
        )
        moved = entries[name] != old_entries[name]
        if words or moved:
            found.append(FolioChange(name, state.order, state.kind, not old, False, words, tuple(entries[name]), moved))
    gone = [name for name in old_states if name not in after.folios]
    return found + [
        FolioChange(name, old_states[name].order, old_states[name].kind, False, True, (), (), True) for name in gone
    ]


def words_text(state: FolioState, entries: list[Mapped]) -> dict[str, str]:
    """Return the true mapcounts and the words of a folio as text, by name."""
    counts = format_value(runs_of(page_counts(entries, state.order)))
    return {MAPCOUNT: counts} | {name: format_value(value) for name, value in state.words.items()}


def _entries(observation: Observation | None) -> defaultdict[str, list[Mapped]]:
    entries: defaultdict[str, list[Mapped]] = defaultdict(list)
    for entry in observation.mappings if observation else ():
        entries[entry.folio].append(entry)
    return entries
