"""smaps as a stand-in where PAGEMAP_SCAN is missing (before 6.7): which entries are PMDs, as far as it can be told."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from mapcount.capture.runs import PAGE_SHIFT, PMD_ORDER, RawRuns
from mapcount.mapping.schema import Level

if TYPE_CHECKING:
    from mapcount.capture.maps import VmaList

PMD_PAGES = 1 << PMD_ORDER
PMD_KIB = PMD_PAGES * 4
_VMA = re.compile(rb"^([0-9a-f]+)-[0-9a-f]+ ", re.MULTILINE)
_PMD_FIELDS = re.compile(rb"^(?:AnonHugePages|ShmemPmdMapped|FilePmdMapped):\s+(\d+) kB", re.MULTILINE)
_PAGE_SIZE = re.compile(rb"^KernelPageSize:\s+(\d+) kB", re.MULTILINE)


def pmd_kib_by_vma(smaps: bytes) -> dict[int, int]:
    """
    Return, by start address of the VMA, the KiB that PMDs map in it; -1 for a hugetlb VMA (all of it is huge).

    Source: Documentation/filesystems/proc.rst; AnonHugePages, ShmemPmdMapped and FilePmdMapped count PMD mappings only.
    """
    heads = list(_VMA.finditer(smaps))
    ends = [*(head.start() for head in heads[1:]), len(smaps)]
    found = {}
    for head, end in zip(heads, ends, strict=False):  # the text of a process that has exited is empty
        body = smaps[head.end() : end]
        size = _PAGE_SIZE.search(body)
        hugetlb = size is not None and int(size[1]) > 4
        found[int(head[1], 16)] = -1 if hugetlb else sum(int(kib) for kib in _PMD_FIELDS.findall(body))
    return found


def mark_pmds(runs: RawRuns, vmas: VmaList, pmd_kib: dict[int, int]) -> tuple[RawRuns, int]:
    """
    Set the level of runs that a PMD must map; return them and the pages of which it cannot be told.

    A PMD maps an aligned run of 512 pages. If smaps has as many as there are such runs in the VMA, all of them are PMDs;
    if it has none, none is; in between they stay PTEs and are counted as not told.
    """
    level = runs.level.copy()
    whole = (runs.nr_pages == PMD_PAGES) & (runs.page % PMD_PAGES == 0) & (runs.pfn % PMD_PAGES == 0)
    vma = np.searchsorted(vmas.start, runs.page << np.uint64(PAGE_SHIFT), side="right") - 1
    untold = 0
    for index in sorted(set(vma[whole].tolist())):
        here = whole & (vma == index)
        kib = pmd_kib.get(int(vmas.start[index]), 0)
        candidates = int(here.sum())
        if kib in (-1, candidates * PMD_KIB):
            level[here] = Level.PMD
        elif kib:
            untold += candidates * PMD_PAGES
    return RawRuns(runs.page, runs.pfn, runs.nr_pages, level), untold
