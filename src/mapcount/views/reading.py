"""What is known of each page, folio and small page before it is added up: as a kernel takes it, or in truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mapcount.mapping.schema import Kind, Level
from mapcount.survey.facts import RSS_KINDS, is_kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from mapcount.mapping.schema import I64, U8, Bools
    from mapcount.mapping.snapshot import Snapshot
    from mapcount.views.steps import Steps

PSS_SHIFT = 12
"""Pss is summed in 1/4096 of a byte and shifted when it is printed (PSS_SHIFT, fs/proc/task_mmu.c)."""

BATCH_RUNS = 1 << 18
"""Runs that are looked at together: what they take in between stays below 100 MiB."""


@dataclass(frozen=True, eq=False)
class Reading:
    """Numbers of pages are over the page axis (steps.py); `small_*` are over the rows of `Snapshot.small`."""

    mapcount: Steps
    """Mappings: kpagecount and mapmax."""
    pss: Steps
    """What each mapping of the page is charged for it, in 1/4096 of a byte."""
    private: Steps
    """1 if smaps counts the page as Private, 0 if as Shared."""
    bit: Steps
    """1 if bit 56 of pagemap is set in an entry that is judged by this page."""
    stats: I64
    """`[s, f]`: folio f's share of statistic s (schemes.ops.NR_ANON_MAPPED ...), in pages."""
    partially_mapped: Bools
    """By folio: what nr_anon_partially_mapped counts."""
    small_pss: npt.NDArray[Any]
    """Of one page, as `pss`."""
    small_private: Bools
    in_shared_table: Bools
    """By folio: hugetlb, in a page table that several mms use, of which its entry is counted once (hugetlb_pmd_shared)."""
    pmd_bit_of_first_page: bool = False
    """All pages that a PMD maps have the bit of the first (schemes.eras.Bit56)."""
    pss_by_entry: bool = False
    """What a PMD maps is divided at once (schemes.eras.Quirks)."""


def axis_of(snapshot: Snapshot) -> I64:
    """Return where each folio begins on the page axis, and at last the end of the axis."""
    return np.concatenate(([0], np.cumsum(np.left_shift(1, snapshot.folios.order.astype(np.int64)))))


def batches_of_runs(snapshot: Snapshot) -> Iterator[slice]:
    """Give rows of `runs`, so many at a time."""
    for at in range(0, len(snapshot.runs), BATCH_RUNS):
        yield slice(at, at + BATCH_RUNS)


def holds_small(snapshot: Snapshot) -> bool:
    """Tell whether order-0 folios are rows of `folios`; the aggregates of `small` are the same pages then."""
    return bool(len(snapshot.folios)) and int(snapshot.folios.order.min()) == 0


def in_smaps(snapshot: Snapshot, kinds: U8, vmas: npt.NDArray[np.integer[Any]]) -> Bools:
    """Tell which entries smaps counts, by kind and VMA: no zero page, no hugetlb, of device memory the vdso alone."""
    counted = is_kind(kinds, *RSS_KINDS)
    odd = np.flatnonzero(kinds == Kind.DEVICE)
    # Reserved pages look like device memory, but vm_normal_page() returns those of the vdso (mm/memory.c).
    counted[odd] = snapshot.vmas.path[vmas[odd]] == "[vdso]"
    return counted


def known_to_rmap(snapshot: Snapshot) -> Bools:
    """Tell which folios have mapcounts at all: not the zero page, and of device memory the vdso alone."""
    runs, kind = snapshot.runs, snapshot.folios.kind
    known = is_kind(kind, *RSS_KINDS, Kind.HUGETLB)
    known[runs.folio_id[in_smaps(snapshot, kind[runs.folio_id], runs.vma_id)]] = True
    return known


def is_huge(levels: U8) -> Bools:
    """Tell which entries are PMDs or PUDs."""
    huge: Bools = levels != Level.PTE
    return huge
