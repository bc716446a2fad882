"""The truth beside what kernels say: the same numbers from the mappings alone, as a Reading."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mapcount.mapping.schema import Kind
from mapcount.schemes.ops import (
    NR_ANON_MAPPED,
    NR_ANON_THPS,
    NR_FILE_MAPPED,
    NR_FILE_PMDMAPPED,
    NR_SHMEM_PMDMAPPED,
    NR_STATS,
)
from mapcount.survey.facts import Facts, is_kind
from mapcount.survey.sorting import order_of
from mapcount.views.reading import PSS_SHIFT, Reading, known_to_rmap
from mapcount.views.steps import Steps, count_ranges

if TYPE_CHECKING:
    from mapcount.mapping.schema import I64
    from mapcount.mapping.snapshot import Snapshot


def true_reading(snapshot: Snapshot) -> Reading:
    """
    Return the truth, `unseen` mappings included.

    Pss: a page divided by its mappings, unrounded. Private: pages all of whose mappings belong to one mm (mapped twice by
    it or not). Bit 56: pages mapped exactly once (Documentation/admin-guide/mm/pagemap.rst). Statistics: pages that
    somebody maps, and whole folios that a PMD maps.
    """
    facts = Facts(snapshot)
    coverage, known = facts.coverage, known_to_rmap(snapshot)
    folio_of_cut = np.repeat(np.arange(len(known)), np.diff(coverage.folio_cut))
    mapcount = Steps(coverage.cuts, coverage.mappings * known[folio_of_cut])
    mms = _mms_of_pages(snapshot, coverage.base)
    small = snapshot.small
    page = float(snapshot.meta.page_size << PSS_SHIFT)
    return Reading(
        mapcount=mapcount,
        pss=mapcount.with_values(page / np.maximum(mapcount.values, 1)),
        private=mms.with_values((mms.values < 2).astype(np.int64)),
        bit=mapcount.with_values((mapcount.values == 1).astype(np.int64)),
        stats=_stats(facts) * known,
        partially_mapped=facts.partial & facts.anon & (snapshot.folios.order > 1) & ~snapshot.folios.swapcache,
        small_pss=page / np.maximum(small.mappings, 1),
        in_shared_table=np.zeros(len(known), np.bool_),
        small_private=(small.mms == 1) & (small.found >= small.mappings),
    )


def _mms_of_pages(snapshot: Snapshot, base: I64) -> Steps:
    """Count the address spaces that map each page; all that were not captured as one."""
    runs, unseen = snapshot.runs, snapshot.unseen
    # One axis per mm, one after the other, as in survey/pairs.py: what an earlier run of the mm reached is not new.
    offset = runs.mm_id.astype(np.int64) * base[-1]
    begin = offset + base[runs.folio_id] + runs.first_page
    order = order_of(begin)
    offset, begin, end = offset[order], begin[order], (begin + runs.nr_pages)[order]
    begin[1:] = np.maximum(begin[1:], np.maximum.accumulate(end)[:-1])
    fresh = begin < end
    begin, end = (begin - offset)[fresh], (end - offset)[fresh]
    hidden = unseen.mappings > 0
    others = (base[unseen.folio_id] + unseen.first_page)[hidden]
    return count_ranges(base, np.concatenate((begin, others)), np.concatenate((end, others + unseen.nr_pages[hidden])))


def _stats(facts: Facts) -> I64:
    kind = facts.snapshot.folios.kind
    anon, shmem = is_kind(kind, Kind.ANON, Kind.KSM), is_kind(kind, Kind.SHMEM)
    mapped = np.where(is_kind(kind, Kind.HUGETLB), 0, facts.mapped_pages)
    by_pmd = np.where(facts.by_pmd & ~is_kind(kind, Kind.HUGETLB), facts.pages, 0)
    stats = np.zeros((NR_STATS, len(kind)), np.int64)
    stats[NR_ANON_MAPPED] = mapped * anon
    stats[NR_FILE_MAPPED] = mapped * ~anon
    stats[NR_ANON_THPS] = by_pmd * anon
    stats[NR_SHMEM_PMDMAPPED] = by_pmd * shmem
    stats[NR_FILE_PMDMAPPED] = by_pmd * ~(anon | shmem)
    return stats
