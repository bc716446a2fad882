"""Random snapshots in which runs are as page tables can have them: small folios, a PMD maps eight pages."""

from __future__ import annotations

import random
from dataclasses import fields

import numpy as np

from mapcount.mapping.schema import SNAPSHOT_TABLES, Kind, Level
from mapcount.mapping.snapshot import Metadata, Snapshot, empty_tables

PAGE = 4096
PMD_ORDER = 3
ORDERS = {Kind.ANON: (1, 2, 3), Kind.SHMEM: (1, 2, 3, 4), Kind.FILE: (1, 3, 4), Kind.HUGETLB: (3, 5), Kind.ZERO: (3,)}


def table(name, rows):
    kind = SNAPSHOT_TABLES[name]
    columns = {}
    for field in fields(kind):
        if field.metadata["optional"]:
            columns[field.name] = None
        else:
            values = np.zeros(len(rows), field.metadata["dtype"])
            values[:] = [row.get(field.name, "" if values.dtype.kind == "O" else 0) for row in rows]
            columns[field.name] = values
    return kind(**columns)


def make(mms, folios, runs, unseen=(), counts=()):
    """`mms` are start times; `folios` (order, kind); `runs` (mm, folio, first, nr, level, address)."""
    tables = empty_tables()
    tables["mms"] = table("mms", [{"mm_id": i, "start_time": start} for i, start in enumerate(mms)])
    tables["vmas"] = table("vmas", [{"vma_id": i, "mm_id": i, "end": 1 << 47} for i in range(len(mms))])
    tables["folios"] = table(
        "folios", [{"folio_id": i, "order": order, "kind": kind} for i, (order, kind) in enumerate(folios)]
    )
    names = ("mm_id", "folio_id", "first_page", "nr_pages", "level", "address")
    rows = [dict(zip(names, run, strict=True)) for run in runs]
    tables["runs"] = table("runs", [row | {"vma_id": row["mm_id"]} for row in rows])
    names = ("folio_id", "first_page", "nr_pages", "mappings")
    tables["unseen"] = table("unseen", [dict(zip(names, row, strict=True)) for row in unseen])
    names = ("folio_id", "first_page", "nr_pages", "count")
    tables["observed_counts"] = table("observed_counts", [dict(zip(names, row, strict=True)) for row in counts])
    return Snapshot(meta=Metadata(page_size=PAGE, pmd_order=PMD_ORDER, counts_are="exact"), **tables)


def random_snapshot(seed: int) -> Snapshot:
    rng = random.Random(seed)
    mms = [rng.randrange(5) for _ in range(rng.randint(1, 5))]
    folios, runs, unseen, counts = [], [], [], []
    for folio in range(rng.randint(1, 7)):
        kind = rng.choice(list(ORDERS))
        order = rng.choice(ORDERS[kind])
        folios.append((order, kind))
        sharers = [mm for mm in range(len(mms)) if rng.random() < 0.6]
        for mm in sharers:
            runs += _runs(rng, mm, folio, order, kind)
        if kind == Kind.HUGETLB:
            # A shared page table is counted once, however many mms use it.
            if sharers and rng.random() < 0.7:
                counts.append((folio, 0, 1 << order, rng.randint(1, len(sharers))))
        elif rng.random() < 0.4:
            first = rng.randrange(1 << order)
            unseen.append((folio, first, rng.randint(1, (1 << order) - first), rng.randint(1, 3)))
            if first and rng.random() < 0.5:
                unseen.append((folio, 0, first, 1))
    return make(mms, folios, runs, unseen, counts)


def _runs(rng, mm, folio, order, kind):
    size = 1 << order
    table_pages = 1 << PMD_ORDER
    begin = (64 * folio + 4096 * mm + 1024) * table_pages * PAGE
    if kind == Kind.HUGETLB:
        return [(mm, folio, 0, size, Level.PUD if order > PMD_ORDER else Level.PMD, begin)]
    if order == PMD_ORDER and rng.random() < 0.4:
        whole = [(mm, folio, 0, size, Level.PMD, begin)]
        # Now and then one mm maps it twice.
        return whole + ([(mm, folio, 2, 3, Level.PTE, begin + (1 << 40))] if rng.random() < 0.2 else [])
    if rng.random() < 0.3:
        begin += rng.randrange(table_pages) * PAGE  # moved by mremap
    found, page = [], 0
    while page < size:
        nr = rng.randint(1, size - page)
        if rng.random() < 0.6:
            found += _pieces(mm, folio, page, nr, begin)
        page += nr
    if found and rng.random() < 0.2:
        first = rng.randrange(size)
        found += _pieces(mm, folio, first, rng.randint(1, size - first), begin + (1 << 40))
    return found


def _pieces(mm, folio, first, nr, begin):
    """Divide where a page table ends."""
    table_pages = 1 << PMD_ORDER
    pieces = []
    while nr:
        vpn = begin // PAGE + first
        part = min(nr, table_pages - vpn % table_pages)
        pieces.append((mm, folio, first, part, Level.PTE, vpn * PAGE))
        first, nr = first + part, nr - part
    return pieces
