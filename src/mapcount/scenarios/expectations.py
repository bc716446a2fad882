"""What a scenario can expect after a step: the truth from the mappings, and the words that a kernel keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mapcount.mapping.schema import Kind, Level
from mapcount.scenarios.values import Form, Value, equal, format_value, runs_of, values_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from mapcount.scenarios.observation import FolioState, Mapped, Observation
    from mapcount.scenarios.steps import Expect

ENTIRELY_MAPPED = 0x800000
"""A bit of _nr_pages_mapped that counts no page: a PMD maps the folio. Source: mm/internal.h of 6.12."""
RESULT = "result"
MAPPED = "mapped"


@dataclass(frozen=True)
class Seen:
    """A folio as it was observed, and the entry through which it is looked at."""

    observation: Observation
    state: FolioState
    entries: tuple[Mapped, ...]
    """All that map pages of it."""
    entry: Mapped
    page: int
    """Of the folio: the page at the address that was asked for."""

    def counts(self) -> list[int]:
        """Return how many entries map each page of the folio."""
        return page_counts(self.entries, self.state.order)

    def processes(self) -> set[str]:
        """Return who maps any page of it."""
        return {entry.process for entry in self.entries}

    def word(self, name: str) -> Value | None:
        """Return a word as stored, None where the machine has it not or does not show it."""
        return self.state.words.get(
            name, self.observation.kpagecount.get(self.entry.folio) if name == "kpagecount" else None
        )


@dataclass(frozen=True)
class Quantity:
    """Something to expect of a folio. `read` returns None where the machine does not show it."""

    form: Form
    says: str
    read: Callable[[Seen], Value | None]


@dataclass(frozen=True)
class Verdict:
    """Whether an expectation holds (None: it cannot be told), and what was found, or why it cannot be told."""

    holds: bool | None
    found: str


def page_counts(entries: Iterable[Mapped], order: int) -> list[int]:
    """Return how many of these entries, all of one folio, map each of its pages. A PMD counts once for every page."""
    counts = [0] * (1 << order)
    for entry in entries:
        for page in range(entry.first, entry.first + entry.nr_pages):
            counts[page] += 1
    return counts


def quantity(what: str) -> Quantity | None:
    """Return the quantity of that name, which may be that of a kernel's word; None if there is none."""
    if what in QUANTITIES:
        return QUANTITIES[what]
    if what.startswith(("_", "PG_")) or what in {"compound_mapcount", "kpagecount"}:
        return Quantity(Form.STORED, f"the word {what}", lambda seen: seen.word(what))
    return None


def form_of(what: str) -> Form | None:
    """Return how the value of an expectation is written, None for one that does not exist."""
    if what in {RESULT, MAPPED}:
        return Form.NUMBER if what == RESULT else Form.YES_NO
    found = quantity(what)
    return found.form if found else None


def judge(expect: Expect, observation: Observation) -> Verdict:
    """Return whether an expectation holds of what was observed after the step before it."""
    if expect.what == RESULT:
        return Verdict(equal(observation.result, expect.value), str(observation.result))
    seen = look(expect, observation)
    if expect.what == MAPPED:
        return Verdict(equal(seen is not None, expect.value), format_value(seen is not None))
    if seen is None:
        return Verdict(False, f"nothing is mapped there{' by ' + expect.process if expect.process else ''}")
    wanted = quantity(expect.what)
    assert wanted is not None
    value = wanted.read(seen)
    if value is None:
        return Verdict(None, f"this machine shows no {expect.what} of {seen.entry.folio}")
    return Verdict(equal(value, expect.value), format_value(value))


def look(expect: Expect, observation: Observation) -> Seen | None:
    """Return the folio that an expectation is about; None if nothing is mapped there."""
    for entry in observation.mappings:
        inside = entry.page <= expect.page < entry.page + entry.nr_pages
        if entry.area == expect.area and inside and expect.process in {"", entry.process}:
            entries = tuple(one for one in observation.mappings if one.folio == entry.folio)
            page = entry.first + expect.page - entry.page
            return Seen(observation, observation.folios[entry.folio], entries, entry, page)
    return None


def _biased(*names: str) -> Callable[[Seen], Value | None]:
    def read(seen: Seen) -> Value | None:
        value = next((value for name in names if (value := seen.word(name)) is not None), None)
        return value + 1 if isinstance(value, int) else None

    return read


def _nr_pages_mapped(seen: Seen) -> Value | None:
    value = seen.word("_nr_pages_mapped")
    return value & (ENTIRELY_MAPPED - 1) if isinstance(value, int) else None


def _flag(name: str) -> Callable[[Seen], Value | None]:
    def read(seen: Seen) -> Value | None:
        value = seen.word(name)
        return None if value is None else bool(value)

    return read


def _anon_exclusive(seen: Seen) -> Value | None:
    runs = seen.state.words.get("PG_anon_exclusive")
    if runs is None:
        return None
    page = seen.page if seen.entry.level is Level.PTE else 0
    return bool(values_of(runs)[page])  # type: ignore[arg-type]


QUANTITIES: Mapping[str, Quantity] = {
    "mapcount": Quantity(
        Form.RUNS, "entries that map each page; a PMD is one of every page", lambda seen: runs_of(seen.counts())
    ),
    "mapped_pages": Quantity(Form.NUMBER, "pages that anything maps", lambda seen: sum(map(bool, seen.counts()))),
    "entries": Quantity(
        Form.NUMBER,
        "entries that map any page; a PMD is one",
        lambda seen: sum(entry.nr_pages if entry.level is Level.PTE else 1 for entry in seen.entries),
    ),
    "one_mm": Quantity(Form.YES_NO, "all entries are of one process", lambda seen: len(seen.processes()) == 1),
    "mapped_shared": Quantity(Form.YES_NO, "entries are of several processes", lambda seen: len(seen.processes()) > 1),
    "mapped_once": Quantity(Form.YES_NO, "one entry maps this page", lambda seen: seen.counts()[seen.page] == 1),
    "partially_mapped": Quantity(Form.YES_NO, "some page is not mapped", lambda seen: not all(seen.counts())),
    "pud_mapped": Quantity(Form.YES_NO, "a PUD maps this page", lambda seen: seen.entry.level is Level.PUD),
    "pmd_mapped": Quantity(Form.YES_NO, "a PMD maps this page", lambda seen: seen.entry.level is Level.PMD),
    "pte_mapped": Quantity(Form.YES_NO, "a PTE maps this page", lambda seen: seen.entry.level is Level.PTE),
    "order": Quantity(Form.NUMBER, "the folio has 2^order pages", lambda seen: seen.state.order),
    "kind": Quantity(
        Form.NAME,
        "what it holds: " + ", ".join(f"`{kind.name.lower()}`" for kind in Kind),
        lambda seen: seen.state.kind.name.lower(),
    ),
    "entire": Quantity(
        Form.NUMBER,
        "PMDs as counted: _entire_mapcount, or compound_mapcount, plus 1",
        _biased("_entire_mapcount", "compound_mapcount"),
    ),
    "large_mapcount": Quantity(Form.NUMBER, "entries as counted: _large_mapcount plus 1", _biased("_large_mapcount")),
    "nr_pages_mapped": Quantity(
        Form.NUMBER, "pages that PTEs map, as counted: _nr_pages_mapped without ENTIRELY_MAPPED", _nr_pages_mapped
    ),
    "shared": Quantity(Form.YES_NO, "the kernel takes it for shared: bit 63 of _mm_ids", _flag("shared")),
    "deferred": Quantity(Form.YES_NO, "it is in the deferred split queue", _flag("deferred")),
    "anon_exclusive": Quantity(
        Form.YES_NO, "PG_anon_exclusive of this page; if a PMD maps it, of the folio's first", _anon_exclusive
    ),
    "refcount": Quantity(Form.NUMBER, "_refcount", lambda seen: seen.word("_refcount")),
}
"""Those of a folio, by name. `result`, `mapped` and the words of a kernel by their names come on top."""
