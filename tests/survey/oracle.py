"""The same answers as the survey, found page by page in plain Python: slow, and too simple to be wrong in the same way."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction

from mapcount.mapping.schema import Consistency, Kind, Level, SwapKind

RSS = {Kind.ANON, Kind.SHMEM, Kind.FILE, Kind.KSM}


class Oracle:
    """`maps[folio][page]` lists the (mm, vma, level) of each mapping found; `unseen[folio][page]` counts the others."""

    def __init__(self, snapshot):
        self.snapshot = snapshot
        folios = snapshot.folios
        self.ids = range(len(folios))
        self.maps = {f: [[] for _ in range(1 << int(folios.order[f]))] for f in self.ids}
        self.unseen = {f: [0] * (1 << int(folios.order[f])) for f in self.ids}
        runs, unseen = snapshot.runs, snapshot.unseen
        for i in range(len(runs)):
            for page in range(runs.first_page[i], runs.first_page[i] + runs.nr_pages[i]):
                self.maps[runs.folio_id[i]][page].append((int(runs.mm_id[i]), int(runs.vma_id[i]), int(runs.level[i])))
        for i in range(len(unseen)):
            for page in range(unseen.first_page[i], unseen.first_page[i] + unseen.nr_pages[i]):
                self.unseen[unseen.folio_id[i]][page] += int(unseen.mappings[i])

    def kind(self, folio):
        return Kind(self.snapshot.folios.kind[folio])

    def count(self, folio, page):
        return len(self.maps[folio][page]) + self.unseen[folio][page]

    def mapped(self, folio):
        return sum(self.count(folio, page) > 0 for page in range(len(self.maps[folio])))

    def mms(self, folio):
        return {mm for page in self.maps[folio] for mm, _, _ in page}

    def known(self, folio):
        meta = self.snapshot.meta
        if meta.scope == "all" and not meta.unreadable and not meta.partial and all(self.snapshot.mms.complete):
            return True
        return meta.counts_are == "exact" and self.snapshot.folios.consistency[folio] != Consistency.UNCHECKED

    def state(self, folio):
        users = len(self.mms(folio)) + (sum(self.unseen[folio]) > 0)
        if users > 1:
            return "shared"
        return "exclusive" if self.mms(folio) and self.known(folio) else "unknown"

    def unmapped(self, folio):
        return len(self.maps[folio]) - self.mapped(folio) if self.known(folio) else 0

    def wasted(self, folio):
        anon = self.kind(folio) is Kind.ANON and not self.snapshot.folios.swapcache[folio]
        return self.unmapped(folio) if anon else 0

    def partial(self, folio):
        return self.mapped(folio) > 0 and self.unmapped(folio) > 0

    def levels(self, folio):
        return {"pte" if level == Level.PTE else "pmd" for page in self.maps[folio] for _, _, level in page}

    def sizes(self):
        """Rows of large folios by (kind, order); values by the names of SizeRow."""
        rows = defaultdict(lambda: defaultdict(int))
        page = self.snapshot.meta.page_size
        for f in self.ids:
            row = rows[self.kind(f).name.lower(), int(self.snapshot.folios.order[f])]
            size = len(self.maps[f]) * page
            levels = self.levels(f)
            row["folios"] += 1
            row["bytes"] += size
            row["mapped_bytes"] += self.mapped(f) * page
            row["fully_mapped"] += self.mapped(f) == len(self.maps[f])
            row["partially_mapped"] += self.partial(f)
            row["unmapped_bytes"] += self.unmapped(f) * page
            row["wasted_bytes"] += self.wasted(f) * page
            for state in ("exclusive", "shared", "unknown"):
                row[state] += self.mapped(f) > 0 and self.state(f) == state
            row["pmd_mapped_bytes"] += size * ("pmd" in levels)
            row["pmd_only"] += levels == {"pmd"}
            row["pte_only"] += levels == {"pte"}
            row["pmd_and_pte"] += levels == {"pmd", "pte"}
            row["run_bytes"] += sum(map(len, self.maps[f])) * page
        return rows

    def contiguous_bytes(self, kind, order, k):
        """Bytes of runs in blocks of 2^k pages whose first page and first address are multiples of the block."""
        page, runs, total = self.snapshot.meta.page_size, self.snapshot.runs, 0
        for i in range(len(runs)):
            f = runs.folio_id[i]
            if self.kind(f).name.lower() != kind or self.snapshot.folios.order[f] != order:
                continue
            at = {int(runs.first_page[i]) + j: int(runs.address[i]) // page + j for j in range(runs.nr_pages[i])}
            for first in range(0, 1 << order, 1 << k):
                block = range(first, first + (1 << k))
                if all(p in at for p in block) and at[first] % (1 << k) == 0:
                    total += page << k
        return total

    def _small(self, chosen):
        small = self.snapshot.small
        for i in range(len(small)):
            if chosen(int(small.vma_id[i])) and Kind(small.kind[i]) in RSS:
                yield Kind(small.kind[i]), int(small.mappings[i]), int(small.pages[i])

    def owner(self, in_vma):
        """Sums of what the VMAs for which `in_vma(vma)` is true map; waste left out."""
        page, row = self.snapshot.meta.page_size, defaultdict(int)
        pss = Fraction(0)
        for f in self.ids:
            mine = [[level for _, vma, level in maps if in_vma(vma)] for maps in self.maps[f]]
            pages, distinct = sum(map(len, mine)), sum(map(bool, mine))
            if self.kind(f) is Kind.HUGETLB:
                row["hugetlb_bytes"] += pages * page
            if self.kind(f) not in RSS or not pages:
                continue
            anon = self.kind(f) is Kind.ANON
            row["rss_bytes"] += pages * page
            row["mapped_bytes"] += distinct * page
            row["anon_large_bytes" if anon else "file_large_bytes"] += pages * page
            row["anon_distinct_bytes" if anon else "file_distinct_bytes"] += distinct * page
            row["pmd_mapped_bytes"] += sum(level != Level.PTE for levels in mine for level in levels) * page
            row["pmd_folio_bytes"] += any(level != Level.PTE for levels in mine for level in levels) * len(mine) * page
            row["large_folios"] += 1
            row["partially_mapped"] += anon and self.partial(f)
            row["partial_view"] += anon and self.mapped(f) == len(mine) and distinct < len(mine)
            for p, levels in enumerate(mine):
                pss += Fraction(len(levels) * page, max(self.count(f, p), 1))
                row["uss_bytes"] += page * (self.count(f, p) == 1 == len(levels))
        for _, mappings, pages in self._small(in_vma):
            row["rss_bytes"] += pages * page
            row["uss_bytes"] += pages * page * (mappings == 1)
            pss += Fraction(pages * page, max(mappings, 1))
        row["swap_bytes"] = page * sum(
            int(pages)
            for vma, kind, pages in zip(
                *(getattr(self.snapshot.swap, n) for n in ("vma_id", "kind", "pages")), strict=True
            )
            if in_vma(vma) and kind == SwapKind.SWAP
        )
        return row, pss

    def waste_of_mm(self, mm):
        page = self.snapshot.meta.page_size
        return sum(self.wasted(f) * page // len(self.mms(f)) for f in self.ids if mm in self.mms(f))

    def cut(self, k):
        """(folios, wasted pages) if anon folios were cut at order k; every page is looked at."""
        folios = sum(
            Fraction(int(pages), int(found))
            for kind, found, pages in zip(
                self.snapshot.small.kind, self.snapshot.small.found, self.snapshot.small.pages, strict=True
            )
            if kind == Kind.ANON
        )
        wasted = 0
        for f in self.ids:
            if self.kind(f) is not Kind.ANON:
                continue
            order = int(self.snapshot.folios.order[f])
            size = 1 << (order if self.snapshot.folios.swapcache[f] else min(k, order))
            for first in range(0, 1 << order, size):
                used = sum(self.count(f, p) > 0 for p in range(first, first + size))
                folios += used > 0
                if self.known(f) and not self.snapshot.folios.swapcache[f] and (used or size == 1 << order):
                    wasted += size - used
        return int(folios), wasted
