"""Names of folios on a machine that shows page frame numbers: f0, f1, ... in the order in which they were met.

A frame may be freed and given out again within one step, so a frame number alone is no identity. It is the same folio if an
entry of a page table that pointed at one of its pages still does so, at the address to which the step moved that entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mapcount.scenarios.steps import Mremap, area_address

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from mapcount.mapping.schema import U64, Bools, Kind
    from mapcount.scenarios.steps import Step

_PAGE_SHIFT = 12


@dataclass(frozen=True)
class Entries:
    """What the present entries of a process's page tables map, sorted by page: numbers of pages and of frames."""

    page: U64
    pfn: U64
    head: U64
    """Frame of the first page of the folio."""


@dataclass(frozen=True)
class Folio:
    """A folio as the kernel shows it."""

    order: int
    kind: Kind


class FolioNames:
    """Names folios, observation by observation. One that nobody maps is met anew afterwards, unless it is `held`."""

    def __init__(self) -> None:
        self._names: dict[int, tuple[str, Folio]] = {}
        self._before: dict[str, Entries] = {}
        self._met = 0

    @property
    def known(self) -> dict[int, Folio]:
        """The folios that have a name, by the frame of their first page, as they were described last."""
        return {head: folio for head, (_, folio) in self._names.items()}

    def moved(self, step: Step) -> None:
        """Learn of a step that was done, before what came of it is named: it may have moved entries."""
        if not isinstance(step, Mremap) or step.process not in self._before:
            return
        entries = self._before[step.process]
        first, nr_pages = step.span.address >> _PAGE_SHIFT, step.span.nr_pages
        to = area_address(step.to_area, step.to_page) >> _PAGE_SHIFT
        taken = _inside(entries.page, first, nr_pages)
        stays = ~taken & ~_inside(entries.page, to, nr_pages)
        page = np.concatenate([entries.page[stays], entries.page[taken] - np.uint64(first) + np.uint64(to)])
        order = np.argsort(page)
        pfn, head = (np.concatenate([column[stays], column[taken]])[order] for column in (entries.pfn, entries.head))
        self._before[step.process] = Entries(page[order], pfn, head)

    def name(
        self, processes: dict[str, Entries], folios: dict[int, Folio], held: Collection[int] = ()
    ) -> dict[int, str]:
        """
        Return the name of each folio (by the frame of its first page) that processes map, or that is held.

        New ones are named process by process and page by page. Descriptions of all mapped folios are in `folios`; `held` are
        folios that had a name and that were not freed since, whoever maps them.
        """
        kept = set(held)
        for process, entries in processes.items():
            if process in self._before:
                kept |= _kept_heads(self._before[process], entries)
        named: dict[int, tuple[str, Folio]] = {}
        for head in _in_order(processes.values()):
            name, before = self._names.get(head, ("", None))
            if head not in kept or before != folios[head]:
                name = f"f{self._met}"
                self._met += 1
            named[head] = name, folios[head]
        named = {head: self._names[head] for head in held} | named
        self._names, self._before = named, dict(processes)
        return {head: name for head, (name, _) in named.items()}


def _inside(pages: U64, first: int, nr_pages: int) -> Bools:
    inside: Bools = (pages >= np.uint64(first)) & (pages < np.uint64(first + nr_pages))
    return inside


def _kept_heads(before: Entries, after: Entries) -> set[int]:
    _, old, new = np.intersect1d(before.page, after.page, assume_unique=True, return_indices=True)
    same = before.pfn[old] == after.pfn[new]
    return set(np.unique(after.head[new[same]]).tolist())


def _in_order(processes: Iterable[Entries]) -> list[int]:
    heads = [entries.head[np.flatnonzero(np.diff(entries.head, prepend=np.uint64(0)))] for entries in processes]
    return list(dict.fromkeys(head for part in heads for head in part.tolist()))
