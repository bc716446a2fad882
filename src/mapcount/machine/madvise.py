"""madvise: advice on VMAs, and pages given back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.errors import KernelFeatureError
from mapcount.machine.collapse import collapse
from mapcount.machine.ksm import mergeable
from mapcount.machine.lazyfree import free
from mapcount.machine.reclaim import pageout
from mapcount.machine.zap import zap
from mapcount.mapping.schema import Kind
from mapcount.scenarios.steps import Advice

if TYPE_CHECKING:
    from collections.abc import Callable

    from mapcount.machine.machine import Machine, Mm
    from mapcount.machine.vmas import Vma

ENOMEM, EINVAL = -12, -22


def madvise(machine: Machine, mm: Mm, first: int, end: int, advice: Advice) -> int:
    """
    Give advice on `[first, end)`, VMA by VMA; with holes in it the rest is advised and -ENOMEM returned.

    Raises KernelFeatureError for advice that is not modelled.
    """
    if advice not in _ADVICE:
        raise KernelFeatureError(f"the model does not know what `{advice.value}` does")
    if advice is Advice.COLLAPSE and not machine.era.policies.collapses:
        return EINVAL
    page, result = first, 0
    while page < end:
        vma = mm.vmas.find(page)
        if vma is None:
            result = ENOMEM
            following = mm.vmas.overlapping(page, end)
            page = following[0].first if following else end
            continue
        until = min(end, vma.end)
        error = _ADVICE[advice](machine, mm, vma, page, until, advice)
        if error:
            return error
        page = until
    return result


def _set(_machine: Machine, mm: Mm, vma: Vma, first: int, end: int, advice: Advice) -> int:
    if vma.advice is not advice:
        mm.vmas.change(vma, first, end, lambda middle: setattr(middle, "advice", advice))
    return 0


def _dontneed(machine: Machine, mm: Mm, vma: Vma, first: int, end: int, _advice: Advice) -> int:
    if vma.kind is Kind.HUGETLB:
        # madvise_dontneed_free_valid_vma(), mm/madvise.c: it begins with a folio, and what is left of one at the end stays.
        nr_pages = 1 << vma.hugetlb_order
        if not machine.era.policies.dontneed_takes_hugetlb or first % nr_pages:
            return EINVAL
        end -= end % nr_pages
    zap(machine, mm, vma, first, end, frees_tables=machine.era.policies.frees_empty_tables)
    return 0


_ADVICE: dict[Advice, Callable[[Machine, Mm, Vma, int, int, Advice], int]] = {
    Advice.HUGEPAGE: _set,
    Advice.NOHUGEPAGE: _set,
    Advice.DONTNEED: _dontneed,
    Advice.FREE: free,
    Advice.PAGEOUT: pageout,
    Advice.MERGEABLE: mergeable,
    Advice.COLLAPSE: collapse,
}
