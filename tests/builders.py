"""Small synthetic snapshots for tests: say who maps what; tables, counts and bits follow page by page."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import MISSING, dataclass, field, fields
from itertools import groupby
from typing import Any

import numpy as np

from mapcount.mapping import schema
from mapcount.mapping.schema import Consistency, Kind, Level, SwapKind
from mapcount.mapping.snapshot import Metadata, Snapshot

PAGE = 4096
PMD_ORDER = 9
VMA_SPACING = 1 << 30
"""VMAs of one mm start that far apart, so that they can grow as pages are mapped."""


@dataclass
class SnapshotBuilder:
    """
    Collects address spaces, folios and mappings; `build()` makes a Snapshot of them.

    `observed_counts` and `observed_bits` are what a kernel would say of the mappings (`unseen` included); the metadata
    says exact counts and scope `all` unless told otherwise. Rows stay in the order in which they were added.
    """

    rows: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    cgroups: list[str] = field(default_factory=lambda: [""])
    cursors: dict[int, int] = field(default_factory=dict)
    observed: list[dict[str, Any]] | None = None

    def add_mm(
        self, pid: int | None = None, comm: str = "work", cgroup: str = "", *, complete: bool = True, **more: Any
    ) -> int:
        mm = len(self.rows["mms"])
        pid = 100 + mm if pid is None else pid
        row = {"mm_id": mm, "pid": pid, "pids": str(pid), "comm": comm, "task_cgroup": cgroup, "start_time": 7 * pid}
        self.rows["mms"].append(row | {"complete": complete} | more)
        return mm

    def add_vma(
        self, mm: int, pages: int = 1, *, start: int | None = None, perms: str = "rw-p", path: str = "", **more: Any
    ) -> int:
        """Add a VMA; unless `start` is given it is 1 GiB aligned. It grows with what is mapped into it."""
        vma = len(self.rows["vmas"])
        start = VMA_SPACING * (vma + 1) if start is None else start
        row = {"vma_id": vma, "mm_id": mm, "start": start, "end": start + pages * PAGE, "perms": perms, "path": path}
        self.rows["vmas"].append(row | {"offset": 0, "dev": "00:00", "inode": 0} | more)
        self.cursors[vma] = start
        return vma

    def add_folio(
        self,
        order: int,
        kind: Kind = Kind.ANON,
        cgroup: str = "",
        *,
        swapcache: bool = False,
        node: int = 0,
        consistency: Consistency = Consistency.CHECKED,
    ) -> int:
        folio = len(self.rows["folios"])
        self.rows["folios"].append(
            {
                "folio_id": folio,
                "order": order,
                "kind": kind,
                "charge_cgroup": self._cgroup(cgroup),
                "node": node,
                "swapcache": swapcache,
                "consistency": consistency,
            }
        )
        return folio

    def map_pages(
        self,
        mm: int,
        vma: int,
        folio: int,
        first: int = 0,
        nr: int | None = None,
        level: Level = Level.PTE,
        address: int | None = None,
    ) -> int:
        """
        Map `nr` pages (all that follow, if not given) of a folio from `first` on; return the address of the first.

        Without `address` the folio gets the next free naturally aligned place of the VMA. Runs end where a page table
        does.
        """
        pages = 1 << self.rows["folios"][folio]["order"]
        nr = pages - first if nr is None else nr
        assert first >= 0 and nr >= 1 and first + nr <= pages
        if address is None:
            size = pages * PAGE
            address = -(-self.cursors[vma] // size) * size + first * PAGE
        self.cursors[vma] = max(self.cursors[vma], address + nr * PAGE)
        self.rows["vmas"][vma]["end"] = max(self.rows["vmas"][vma]["end"], self.cursors[vma])
        begin = address
        while nr:
            table_end = (address // PAGE >> PMD_ORDER) + 1 << PMD_ORDER
            part = nr if level != Level.PTE else min(nr, table_end - address // PAGE)
            self.rows["runs"].append(
                {
                    "mm_id": mm,
                    "vma_id": vma,
                    "address": address,
                    "folio_id": folio,
                    "first_page": first,
                    "nr_pages": part,
                    "level": level,
                }
            )
            address, first, nr = address + part * PAGE, first + part, nr - part
        return begin

    def add_small(
        self, vmas: int | list[int], pages: int, kind: Kind = Kind.ANON, cgroup: str = "", *, unseen: int = 0
    ) -> None:
        """Add `pages` order-0 pages that each of `vmas` maps once (a VMA may be named twice), and `unseen` mms more."""
        vmas = [vmas] if isinstance(vmas, int) else vmas
        mms = len({self.rows["vmas"][vma]["mm_id"] for vma in vmas})
        found = 0 if kind is Kind.ZERO else len(vmas)
        for vma, times in Counter(vmas).items():
            self.rows["small"].append(
                {
                    "vma_id": vma,
                    "kind": kind,
                    "charge_cgroup": self._cgroup(cgroup),
                    "mappings": found + unseen,
                    "found": len(vmas),
                    "mms": mms,
                    "pages": pages * times,
                }
            )
            self.cursors[vma] += pages * times * PAGE
            self.rows["vmas"][vma]["end"] = max(self.rows["vmas"][vma]["end"], self.cursors[vma])

    def add_swap(self, vma: int, pages: int, kind: SwapKind = SwapKind.SWAP) -> None:
        self.rows["swap"].append({"vma_id": vma, "kind": kind, "pages": pages})

    def add_unseen(self, folio: int, first: int, nr: int, mappings: int = 1) -> None:
        self.rows["unseen"].append({"folio_id": folio, "first_page": first, "nr_pages": nr, "mappings": mappings})

    def add_stat(
        self, source: str, subject: str, name: str, before: int, after: int | None = None, unit: str = "bytes"
    ) -> None:
        self.rows["observed_stats"].append(
            {
                "source": source,
                "subject": subject,
                "name": name,
                "unit": unit,
                "before": before,
                "after": before if after is None else after,
            }
        )

    def set_counts(self, folio: int, counts: list[int]) -> None:
        """Let kpagecount say these counts of a folio's pages in place of the true ones."""
        self.observed = [r for r in (self.observed or []) if r["folio_id"] != folio] + _run_length(folio, counts)

    def build(self, *, counts_are: str = "exact", **meta: Any) -> Snapshot:
        """Make the Snapshot; keywords are fields of the Metadata."""
        told = {row["folio_id"] for row in self.observed or []}
        rows = dict(self.rows)
        counts = self._page_counts()
        said = self._said(counts, counts_are)
        rows["observed_counts"] = (self.observed or []) + [
            row for folio, pages in said.items() if folio not in told for row in _run_length(folio, pages)
        ]
        rows["observed_bits"] = self._bits(counts)
        tables = {name: _table(kind, rows.get(name, [])) for name, kind in schema.SNAPSHOT_TABLES.items()}
        return Snapshot(meta=Metadata(counts_are=counts_are, **meta), cgroups=tuple(self.cgroups), **tables)

    def _cgroup(self, name: str) -> int:
        if name not in self.cgroups:
            self.cgroups.append(name)
        return self.cgroups.index(name)

    def _page_counts(self) -> dict[int, list[int]]:
        counts = {row["folio_id"]: [0] * (1 << row["order"]) for row in self.rows["folios"]}
        for row in self.rows["runs"] + self.rows["unseen"]:
            for page in range(row["first_page"], row["first_page"] + row["nr_pages"]):
                counts[row["folio_id"]][page] += row.get("mappings", 1)
        return counts

    def _said(self, counts: dict[int, list[int]], counts_are: str) -> dict[int, list[int]]:
        if counts_are == "exact":
            return counts
        if counts_are != "average":
            return {}
        # Linux ae4192b7691c ("fs/proc/page: remove per-page mapcount dependency for /proc/kpagecount") (v6.15):
        # to the nearest integer, at least 1 if any page is mapped.
        return {f: [max((sum(c) + len(c) // 2) // len(c), min(1, sum(c)))] * len(c) for f, c in counts.items()}

    def _bits(self, counts: dict[int, list[int]]) -> list[dict[str, Any]]:
        bits = []
        for run in (r for r in self.rows["runs"] if r["level"] == Level.PTE):
            end = run["first_page"] + run["nr_pages"]
            at = run["address"]
            for once, pages in groupby(c == 1 for c in counts[run["folio_id"]][run["first_page"] : end]):
                nr = len(list(pages))
                bits.append({"mm_id": run["mm_id"], "address": at, "nr_pages": nr, "mapped_once": once})
                at += nr * PAGE
        return bits


def _run_length(folio: int, counts: list[int]) -> list[dict[str, Any]]:
    rows, first = [], 0
    for count, pages in groupby(counts):
        nr = len(list(pages))
        rows.append({"folio_id": folio, "first_page": first, "nr_pages": nr, "count": count})
        first += nr
    return rows


def _table(kind: type[schema.Table], rows: list[dict[str, Any]]) -> Any:
    if not rows:
        return kind.empty()
    columns: dict[str, Any] = {}
    for column in fields(kind):  # type: ignore[arg-type]
        assert column.default is MISSING
        if column.metadata["optional"] and column.name not in rows[0]:
            columns[column.name] = None
            continue
        values = np.empty(len(rows), column.metadata["dtype"])
        values[:] = [row[column.name] for row in rows]
        columns[column.name] = values
    return kind(**columns)
