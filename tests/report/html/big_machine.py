"""A synthetic machine of 24 GiB: as many processes and folios as a busy server has, of every kind and state."""

from __future__ import annotations

import numpy as np

from mapcount.mapping.schema import (
    Consistency,
    Folios,
    Kind,
    Level,
    Mms,
    ObservedCounts,
    Runs,
    Small,
    Vmas,
)
from mapcount.mapping.snapshot import Metadata, Snapshot, empty_tables

PAGE = 4096
PROCESSES = 397
CGROUPS = 41
SHAPES = (
    (Kind.ANON, 4, 229_399),
    (Kind.ANON, 9, 3_001),
    (Kind.FILE, 2, 40_009),
    (Kind.FILE, 9, 503),
    (Kind.SHMEM, 6, 7_001),
)
"""Kind, order and number of the large folios: 23.2 GiB; 0.8 GiB more is in small pages."""


def big_machine() -> Snapshot:
    """Return the snapshot: each folio in one process, every eleventh in two; every seventh anon one lacks five pages."""
    count = sum(folios for _, _, folios in SHAPES)
    order = np.concatenate([np.full(folios, order, np.uint8) for _, order, folios in SHAPES])
    kind = np.concatenate([np.full(folios, kind, np.uint8) for kind, _, folios in SHAPES])
    ids = np.arange(count)
    owner = (ids * 7919) % PROCESSES
    pages = np.left_shift(1, order.astype(np.int64))
    lacking = np.where((kind == Kind.ANON) & (ids % 7 == 0), 5, 0)
    by_pmd = (order == 9) & (lacking == 0) & (ids % 3 == 0)
    shared = ids % 11 == 0
    of, mm = np.concatenate([ids, ids[shared]]), np.concatenate([owner, (owner[shared] + 1) % PROCESSES])
    # One VMA a process, folios one after the other, each at an address as aligned as itself.
    rank = np.argsort(mm, kind="stable")
    of, mm = of[rank], mm[rank]
    place = np.arange(len(of)) * 512
    table = {
        "folios": Folios(
            folio_id=ids.astype(np.uint32), order=order, kind=kind, charge_cgroup=(owner % CGROUPS + 1).astype(np.int32),
            node=(ids % 2).astype(np.int16), swapcache=np.zeros(count, np.bool_),
            consistency=np.full(count, Consistency.CHECKED, np.uint8), pfn=None,
        ),
        "mms": _mms(),
        "vmas": _vmas(),
        "runs": Runs(
            mm_id=mm.astype(np.uint32), vma_id=mm.astype(np.uint32),
            address=((mm + 1) * (1 << 40) + place * PAGE).astype(np.uint64), folio_id=of.astype(np.uint32),
            first_page=np.zeros(len(of), np.uint32), nr_pages=(pages - lacking)[of].astype(np.uint32),
            level=np.where(by_pmd[of], Level.PMD, Level.PTE).astype(np.uint8),
        ),
        "small": _small(),
        "observed_counts": ObservedCounts.empty(),
    }  # fmt: skip
    meta = Metadata(
        host="prime", kernel_release="6.18.44", machine="x86_64", mem_total_bytes=24 << 30, counts_are="exact",
        started_at=1_790_000_000.0, elapsed_s=3.5, processes_seen=PROCESSES, verdicts={"checked": count},
    )  # fmt: skip
    cgroups = ("", *(f"/system.slice/service-{i}.service" for i in range(CGROUPS)))
    return Snapshot(meta=meta, cgroups=cgroups, **{**empty_tables(), **table})


def _texts(values) -> np.ndarray:
    array = np.empty(PROCESSES, object)
    array[:] = list(values)
    return array


def _mms() -> Mms:
    numbers = np.arange(PROCESSES)
    return Mms(
        mm_id=numbers.astype(np.uint32), pid=(1009 + 3 * numbers).astype(np.int32),
        pids=_texts(str(1009 + 3 * i) for i in numbers), comm=_texts(f"worker-{i % 53}" for i in numbers),
        task_cgroup=_texts(f"/system.slice/service-{i % CGROUPS}.service" for i in numbers),
        start_time=numbers.astype(np.uint64), complete=np.ones(PROCESSES, np.bool_),
    )  # fmt: skip


def _vmas() -> Vmas:
    numbers = np.arange(PROCESSES)
    start = (numbers + 1).astype(np.uint64) << np.uint64(40)
    return Vmas(
        vma_id=numbers.astype(np.uint32), mm_id=numbers.astype(np.uint32), start=start, end=start + np.uint64(1 << 40),
        perms=_texts(["rw-p"] * PROCESSES), offset=np.zeros(PROCESSES, np.uint64), dev=_texts(["00:00"] * PROCESSES),
        inode=np.zeros(PROCESSES, np.uint64), path=_texts(["[heap]"] * PROCESSES),
    )  # fmt: skip


def _small() -> Small:
    numbers, ones = np.arange(PROCESSES), np.ones(PROCESSES, np.uint32)
    return Small(
        vma_id=numbers.astype(np.uint32), kind=np.full(PROCESSES, Kind.ANON, np.uint8),
        charge_cgroup=(numbers % CGROUPS + 1).astype(np.int32), mappings=ones, found=ones, mms=ones,
        pages=np.full(PROCESSES, 499, np.uint64),
    )  # fmt: skip
