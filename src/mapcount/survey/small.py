"""Order-0 pages: the rows of `small` (what each VMA maps) joined into groups of distinct pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mapcount.mapping.schema import Kind
from mapcount.record import record
from mapcount.survey.facts import RSS_KINDS, is_kind, saw_everything

if TYPE_CHECKING:
    from mapcount.mapping.schema import I64, Bools
    from mapcount.mapping.snapshot import Snapshot
    from mapcount.survey.coverage import F64


@record(frozen=True)
class SmallPages:
    """Arrays over the rows of `small` and, where it says so, over groups of rows that are alike but for their VMA."""

    group: I64
    """Group of each row."""
    kind: I64
    """Of each group, as are all that follow."""
    cgroup: I64
    found: I64
    pages: I64
    """Distinct pages: each shows up once per mapping found."""
    exclusive: Bools
    shared: Bools


def join_small(snapshot: Snapshot) -> SmallPages:
    """Group the rows of `small`. Where a race left a group uneven its pages are rounded up."""
    small = snapshot.small
    keys = (small.kind, small.charge_cgroup, small.mappings, small.found, small.mms)
    table = np.stack([np.asarray(key, np.int64) for key in keys], axis=1)
    values, group = np.unique(table, axis=0, return_inverse=True)
    kind, cgroup, mappings, found, mms = values.T
    found = np.maximum(found, 1)
    total = np.zeros(len(values), np.int64)
    np.add.at(total, group.reshape(-1), small.pages.astype(np.int64))
    counted = snapshot.meta.capabilities.get("kpagecount", True) or saw_everything(snapshot)
    shared = (mms > 1) | (found < mappings)
    exclusive = (mms == 1) & ~shared & counted
    return SmallPages(group.reshape(-1), kind, cgroup, found, -(-total // found), exclusive, shared)


def small_in_rss(snapshot: Snapshot) -> Bools:
    """Rows of `small` that the kernel's Rss counts: the kinds that it counts, and the vdso."""
    counted = is_kind(snapshot.small.kind, *RSS_KINDS)
    # The pages of the vdso are reserved, so they look like device memory, but vm_normal_page() (mm/memory.c) returns
    # them and smaps counts them.
    odd = np.flatnonzero(snapshot.small.kind == Kind.DEVICE)
    counted[odd] = snapshot.vmas.path[snapshot.small.vma_id[odd]] == "[vdso]"
    return counted


def small_share_pages(snapshot: Snapshot, fewer: int = 0) -> F64:
    """Pages of each row of `small`, each divided by its mappings, or as if there were `fewer` of them, but at least 1."""
    shares: F64 = snapshot.small.pages / np.maximum(snapshot.small.mappings.astype(np.int64) - fewer, 1)
    return shares
