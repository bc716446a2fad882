"""A View: who maps which page of which folio. Truth, oracle and capture are each turned into one, and compared."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any, NamedTuple

PAGE = 4096


class Entry(NamedTuple):
    """One page-table entry (or the part of a PMD entry that maps one page)."""

    folio: Any
    page: int
    level: str


@dataclass
class View:
    """`folios`: key -> (kind, order). `pages`: process -> page number (address / 4096) -> Entry."""

    folios: dict[Any, tuple[str, int]]
    pages: dict[str, dict[int, Entry]]

    def select(self, *, large: bool) -> View:
        """Return the part about large folios, or the part about small ones."""
        return self._only({key: value for key, value in self.folios.items() if (value[1] > 0) == large})

    def without(self, kind: str) -> View:
        """Return the view without the folios of one kind."""
        folios = {key: value for key, value in self.folios.items() if value[0] != kind}
        return self._only(folios)

    def _only(self, folios: dict[Any, tuple[str, int]]) -> View:
        pages = {
            name: {number: entry for number, entry in entries.items() if entry.folio in folios}
            for name, entries in self.pages.items()
        }
        return View(folios, pages)

    def mapped(self) -> dict[Any, dict[int, list[str]]]:
        """Return folio -> page -> the processes that map it, once for each mapping. Folios nobody maps have no key."""
        result: dict[Any, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
        for name, entries in self.pages.items():
            for entry in entries.values():
                result[entry.folio][entry.page].append(name)
        return result


def differences(left: View, right: View, limit: int = 11) -> list[str]:
    """
    Say where two views differ; folios go by different names in each, but one must stand for one.

    At most `limit` lines; none if the views are the same.
    """
    found: list[str] = []
    names: dict[Any, Any] = {}
    back: dict[Any, Any] = {}
    for process in sorted(left.pages.keys() | right.pages.keys()):
        ours, theirs = left.pages.get(process, {}), right.pages.get(process, {})
        for number in sorted(ours.keys() | theirs.keys()):
            a, b = ours.get(number), theirs.get(number)
            told = _difference(left, right, a, b, names, back)
            if told:
                found.append(f"{process} {number * PAGE:#x}: {told}")
                if len(found) == limit:
                    return [*found, "..."]
    return found


def _difference(left: View, right: View, a: Entry | None, b: Entry | None, names: dict, back: dict) -> str:
    if a is None or b is None:
        return f"{_told(left, a)} against {_told(right, b)}"
    if _told(left, a) != _told(right, b):
        return f"{_told(left, a)} against {_told(right, b)}"
    if names.setdefault(a.folio, b.folio) != b.folio or back.setdefault(b.folio, a.folio) != a.folio:
        return f"folio {a.folio} was {names[a.folio]}, and {b.folio} was {back.get(b.folio)}"
    return ""


def _told(view: View, entry: Entry | None) -> str:
    if entry is None:
        return "not mapped"
    kind, order = view.folios[entry.folio]
    return f"page {entry.page} of {kind} order {order} by {entry.level}"


def sizes(view: View) -> dict[tuple[str, int], dict[str, int]]:
    """Count, folio by folio and page by page, what a survey's size rows must say of large folios."""
    rows: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)
    levels: dict[Any, set[str]] = defaultdict(set)
    for entries in view.pages.values():
        for number, entry in entries.items():
            levels[entry.folio].add(entry.level)
            order = view.folios[entry.folio][1]
            row = rows[view.folios[entry.folio]]
            row["run_bytes"] += PAGE
            row["aligned_bytes"] += PAGE * ((number - entry.page) % (1 << order) == 0)
    for folio, pages in view.mapped().items():
        kind, order = view.folios[folio]
        row, nr_pages = rows[kind, order], 1 << order
        owners = {name for names in pages.values() for name in names}
        row["folios"] += 1
        row["bytes"] += nr_pages * PAGE
        row["mapped_bytes"] += len(pages) * PAGE
        row["unmapped_bytes"] += (nr_pages - len(pages)) * PAGE
        row["wasted_bytes"] += (nr_pages - len(pages)) * PAGE * (kind == "anon")
        row["fully_mapped"] += len(pages) == nr_pages
        row["partially_mapped"] += len(pages) < nr_pages
        row["exclusive"] += len(owners) == 1
        row["shared"] += len(owners) > 1
        row["unknown"] += 0
        row["pmd_mapped_bytes"] += nr_pages * PAGE * ("pmd" in levels[folio])
        row["pmd_only"] += levels[folio] == {"pmd"}
        row["pte_only"] += levels[folio] == {"pte"}
        row["pmd_and_pte"] += levels[folio] == {"pmd", "pte"}
    return {key: dict(row) for key, row in rows.items()}


def small_counts(view: View, *, with_mappings: bool = True) -> Counter[tuple]:
    """Count small pages by (process, kind, mappings, mms); without mappings, by (process, kind)."""
    mapped = view.mapped()
    counts: Counter[tuple] = Counter()
    for name, entries in view.pages.items():
        for entry in entries.values():
            kind, order = view.folios[entry.folio]
            if order == 0:
                owners = mapped[entry.folio][0]
                counts[(name, kind, len(owners), len(set(owners))) if with_mappings else (name, kind)] += 1
    return counts
