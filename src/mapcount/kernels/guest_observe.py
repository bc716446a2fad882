"""What is seen of a guest after a step: page tables and words out of its memory, folios named from step to step."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mapcount.kernels.folio_names import Entries, Folio, FolioNames
from mapcount.kernels.folio_words import RawFolio, read_folio, state_of
from mapcount.kernels.guest_tables import read_entries
from mapcount.kernels.mapped_rows import mapped_rows
from mapcount.mapping.schema import Kind
from mapcount.scenarios.steps import Mmap

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mapcount.kernels.guest_memory import GuestMemory
    from mapcount.kernels.guest_tables import GuestEntries
    from mapcount.mapping.schema import I64
    from mapcount.scenarios.observation import FolioState, Mapped
    from mapcount.scenarios.steps import Step


class GuestObserver:
    """Looks at one scenario in a guest, step by step."""

    def __init__(self, memory: GuestMemory, *, page_mapcount: bool) -> None:
        self._memory = memory
        self._page_mapcount = page_mapcount
        self._names = FolioNames()
        self._known: dict[int, RawFolio] = {}
        """Folios that have a name, by their head's frame, as they were seen last."""
        self._mms: dict[str, tuple[int, int, int]] = {}
        """pid, top-level table and mm id of each process."""
        self._hugetlb: list[tuple[int, int, bool]] = []
        """Pages [first, end) that were mapped, the last one last, and whether as hugetlb."""

    def moved(self, step: Step) -> None:
        """Learn of a step that succeeded."""
        self._names.moved(step)
        if isinstance(step, Mmap):
            first = step.span.address >> 12
            self._hugetlb.append((first, first + step.span.nr_pages, step.kind is Kind.HUGETLB))

    def look(self, pids: Mapping[str, int]) -> tuple[tuple[Mapped, ...], dict[str, FolioState], dict[int, str]]:
        """Return the mappings, the folios by name, and the name of each folio by its head's frame. Raises GuestError."""
        self._find(pids)
        entries = {name: self._entries(name) for name in pids}
        raw: dict[int, RawFolio] = {}
        heads = {}
        for name, found in entries.items():
            of_each = self._memory.heads(found.pfn)
            for head, at in zip(*np.unique(of_each, return_index=True), strict=True):
                if int(head) not in raw:
                    raw[int(head)] = self._read(int(head), int(found.page[at]))
            keep = np.array([not raw[head].is_zero for head in of_each.tolist()], np.bool_)
            entries[name] = replace(found, page=found.page[keep], pfn=found.pfn[keep], level=found.level[keep])
            heads[name] = of_each[keep]
        raw = {head: folio for head, folio in raw.items() if not folio.is_zero}
        held = self._held(raw)
        named = self._names.name(
            {name: _for_names(found, heads[name]) for name, found in entries.items()},
            {head: Folio(folio.order, folio.kind) for head, folio in raw.items()},
            held,
        )
        self._known = held | raw
        rows = [
            row
            for name, found in entries.items()
            for row in mapped_rows(name, found.page, found.pfn, heads[name], found.level, named)
        ]
        processes = {mm_id: name for name, (_, _, mm_id) in self._mms.items() if mm_id}
        states = {
            name: state_of(self._memory, self._known[head], processes, page_mapcount=self._page_mapcount)
            for head, name in sorted(named.items(), key=lambda item: int(item[1][1:]))
        }
        return tuple(sorted(rows)), states, named

    def _find(self, pids: Mapping[str, int]) -> None:
        for name, pid in pids.items():
            if name not in self._mms or self._mms[name][0] != pid:
                mm = self._memory.mm_of(pid)
                self._mms[name] = (pid, self._memory.page_table_of(mm), self._memory.mm_id_of(mm))
        self._mms = {name: self._mms[name] for name in pids}

    def _entries(self, process: str) -> GuestEntries:
        return read_entries(self._memory, self._mms[process][1])

    def _read(self, head: int, page: int) -> RawFolio:
        hugetlb = next((huge for first, end, huge in reversed(self._hugetlb) if first <= page < end), False)
        return read_folio(self._memory, head, hugetlb=hugetlb)

    def _held(self, mapped: Mapping[int, RawFolio]) -> dict[int, RawFolio]:
        """Return the known folios that still hold data: those of a file, the same as before, whoever maps them."""
        held = {}
        for head, before in self._known.items():
            if before.kind not in {Kind.SHMEM, Kind.FILE, Kind.HUGETLB}:
                continue
            now = mapped.get(head) or read_folio(self._memory, head, hugetlb=before.kind is Kind.HUGETLB)
            same = (now.order, now.kind, now.mapping) == (before.order, before.kind, before.mapping)
            is_head = int(self._memory.heads(np.array([head]))[0]) == head
            if same and is_head and now.refcount > 0 and before.mapping and not before.mapping & 1:
                held[head] = now
        return held


def _for_names(found: GuestEntries, heads: I64) -> Entries:
    return Entries(found.page.astype(np.uint64), found.pfn.astype(np.uint64), heads.astype(np.uint64))
