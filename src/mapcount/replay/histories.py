"""A snapshot has no past: named histories that end in its mappings, each as a log that any scheme can count.

What all have in common. Anon folios are mapped for the first time, shared and trimmed as the history says; those that nobody
maps any more were mapped whole by an mm that is gone. Shmem, file and KSM folios are never born whole: pages are mapped on
demand, as they are mapped now. hugetlb folios too, and of mappings through a shared page table only one is counted. Zero
folios and devices are not counted by rmap in most kernels and have no rows. What is in the swap cache now was there all
along. Order-0 folios are aggregates in a snapshot and are not in the log. Unseen mappings: entries.py.

The mms of the log are those of the snapshot, then the unseen ones, then those that are gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mapcount.errors import UsageError
from mapcount.mapping.log import Log, LogMetadata
from mapcount.mapping.schema import MappingLog, Outcome
from mapcount.replay.entries import Entries, entries_of, is_counted
from mapcount.replay.history_plans import Plan, as_mapped, shared_after_trim, whole
from mapcount.replay.history_rows import Block

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from mapcount.mapping.schema import I64
    from mapcount.mapping.snapshot import Snapshot

_WEIGHT = 1 << 17
"""Of a block: entries, and 64 pages count as one. Some tens of MB while it is worked on."""


@dataclass(frozen=True)
class History:
    """A past that a snapshot may have had."""

    says: str
    plan: Plan
    reverse: bool = False
    unseen_first: bool = False
    gone: int = 0
    """Address spaces that had all of every folio before, and have exited."""


HISTORIES: dict[str, History] = {
    "whole-then-trimmed": History(
        "anon folios born whole by their oldest mm (by a PMD where one maps it now, or where its address is aligned), "
        "shared by fork in order of start; then each mm splits its PMD and unmaps what it does not map now",
        whole,
    ),
    "whole-then-trimmed-reversed": History(
        "the same with the youngest mm first, and unseen mms before all", whole, reverse=True, unseen_first=True
    ),
    "trimmed-then-shared": History(
        "born whole by the oldest mm, which unmaps what nobody maps now before it shares the rest; the others are given "
        "what they map now (by a PMD that they split at once, if a PMD still maps it), the oldest unmaps the rest last",
        shared_after_trim,
    ),
    "as-mapped": History(
        "never more mapped than is seen now, in order of start, as after a migration; folios that both PMDs and PTEs map "
        "are born whole, for only a split makes such ones",
        as_mapped,
    ),
    "as-mapped-reversed": History(
        "the same with the youngest mm first, and unseen mms before all", as_mapped, reverse=True, unseen_first=True
    ),
    "ancestors-gone": History(
        "as whole-then-trimmed, after two mms that had mapped all of every folio and exited when all others had it too",
        whole,
        gone=2,
    ),
}
DEFAULT_HISTORY = "whole-then-trimmed"


def log_of(snapshot: Snapshot, name: str = DEFAULT_HISTORY) -> Log:
    """
    Return the log of a history that ends in the snapshot's mappings. Its rows are made anew each time they are read.

    Raises UsageError for an unknown name, and for a snapshot without folios because the kernel hid them.
    """
    if name not in HISTORIES:
        raise UsageError(f"there is no history {name!r}; there are: {', '.join(HISTORIES)}")
    if snapshot.meta.tier == "no-pfn":
        raise UsageError(
            "the snapshot was taken without PFNs: no folios are known that could be counted; capture as root"
        )
    history, meta = HISTORIES[name], snapshot.meta
    entries = entries_of(snapshot, reverse=history.reverse, unseen_first=history.unseen_first)
    about = LogMetadata(
        mapcount_version=meta.mapcount_version,
        decided_by=f"snapshot with history {name}",
        host=meta.host,
        kernel_release=meta.kernel_release,
        page_size=meta.page_size,
        pmd_order=meta.pmd_order,
        notes=[history.says],
    )
    folios = snapshot.folios
    return Log(about, folios.order, folios.kind, folios.swapcache, lambda: _batches(snapshot, history, entries))


def _batches(snapshot: Snapshot, history: History, entries: Entries) -> Iterator[MappingLog]:
    folios = snapshot.folios
    at = np.searchsorted(entries.folio, np.arange(len(folios) + 1))
    first_gone = max(len(snapshot.mms), int(entries.mm.max()) + 1 if len(entries) else 0)
    seq = batch = 0
    for begin, end in _blocks(np.diff(at) + (np.int64(1) << folios.order.astype(np.int64)) // 64 + 1):
        block = Block(
            entries.take(slice(at[begin], at[end])),
            begin + np.flatnonzero(is_counted(folios.kind[begin:end])),
            folios.order,
            folios.kind,
            page_size=snapshot.meta.page_size,
            pmd_order=snapshot.meta.pmd_order,
            gone=np.arange(first_gone, first_gone + max(history.gone, 1), dtype=np.uint32),
            haunted=history.gone > 0,
        )
        for rows in history.plan(block):
            if len(rows):
                table = _table(rows, seq, batch)
                seq, batch = seq + len(table), int(table.batch[-1]) + 1
                yield table


def _blocks(weights: I64) -> Iterator[tuple[int, int]]:
    """Give ranges of folios of about _WEIGHT each."""
    total = np.cumsum(weights)
    begin = 0
    while begin < len(weights):
        before = total[begin - 1] if begin else 0
        end = max(int(np.searchsorted(total, before + _WEIGHT, side="right")), begin + 1)
        yield begin, end
        begin = end


def _table(rows: npt.NDArray[np.void], seq: int, batch: int) -> MappingLog:
    """Return rows as a table; consecutive ones of one mm and folio are one batch."""
    other = (np.diff(rows["mm_id"]) != 0) | (np.diff(rows["folio_id"]) != 0)
    columns = {name: np.ascontiguousarray(rows[name]) for name in rows.dtype.names or () if name != "key"}
    return MappingLog(
        seq=np.arange(seq, seq + len(rows), dtype=np.uint64),
        batch=(batch + np.concatenate([[0], np.cumsum(other)])).astype(np.uint64),
        outcome=np.full(len(rows), Outcome.DONE, np.uint8),
        **columns,
    )
