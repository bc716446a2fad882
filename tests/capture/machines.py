"""Random fake machines: folios of all kinds, mapped whole, in part, by many, moved about; and their brute-force truth."""

import itertools
from collections import Counter

from hypothesis import strategies as st

from capture.fake_machine import SWAPPED, FakeMachine, FakeMm

NR_PFNS = 3072
KINDS = ("anon", "anon", "anon", "shmem", "file", "hugetlb")
BASE = 0x10000  # page number of the first VMA


@st.composite
def layouts(draw):
    """Plain data of a machine: folios, mms, pieces, unseen mappings, swap entries."""
    folios, taken = [], 0
    head = draw(st.integers(1, 40))
    while head < 1024 and len(folios) < 14:
        order = draw(st.sampled_from([0, 0, 1, 2, 3, 4, 4, 5, 7]))
        head = -(-head // (1 << order)) * (1 << order)
        if head + (1 << order) > 1024:
            break
        kind = draw(st.sampled_from(KINDS if order else (*KINDS[:5], "ksm", "zero", "device")))
        swapcache = kind == "anon" and draw(st.booleans())
        folios.append((head, order, kind, draw(st.sampled_from([0, 7, 9])), swapcache))
        head += (1 << order) + draw(st.sampled_from([0, 0, 0, 1, 5, 30]))
    folios.append((1024, 9, "anon", 7, False))
    folios.append((2048, 9, draw(st.sampled_from(["file", "zero"])), 7, False))
    mms = []
    for _ in range(draw(st.integers(1, 4))):
        pieces = []
        for _ in range(draw(st.integers(0, 9))):
            number = draw(st.integers(0, len(folios) - 1))
            size = 1 << folios[number][1]
            first = draw(st.integers(0, size - 1)) if draw(st.booleans()) else 0
            length = draw(st.integers(1, size - first))
            whole_pmd = size == 512 and draw(st.booleans())
            pieces.append((number, 0 if whole_pmd else first, 512 if whole_pmd else length,
                           whole_pmd, draw(st.sampled_from([0, 0, 1, 3, 500]))))  # fmt: skip
        mms.append((pieces, draw(st.lists(st.integers(1, 400), max_size=3)), draw(st.integers(0, 3))))
        taken += len(pieces)
    unseen = draw(
        st.lists(st.tuples(st.integers(0, len(folios) - 1), st.integers(0, 511), st.integers(1, 3)), max_size=3)
    )
    return folios, mms, unseen


def build(directory, layout):
    """Write the machine that the layout describes."""
    folios, mms, unseen = layout
    machine = FakeMachine(directory, NR_PFNS)
    made = [machine.add_folio(h, o, k, cgroup=c, swapcache=s) for h, o, k, c, s in folios]
    for pieces, cuts, nr_absent in mms:
        page, mm = BASE, FakeMm([])
        for number, first, length, whole_pmd, gap in pieces:
            page += gap
            if whole_pmd:
                page = -(-page // 512) * 512
                mm.pmds.add(page)
            mm.pages |= {page + i: made[number].head + first + i for i in range(length)}
            page += length
        mm.absent = {page + 5 + 2 * i: SWAPPED | 31 for i in range(nr_absent)}
        end = page + 16
        inner = sorted(
            {BASE + cut for cut in cuts if cut < end - BASE} - {p + i for p in mm.pmds for i in range(1, 512)}
        )
        edges = [BASE, *[edge for edge in inner if edge > BASE], end]
        mm.vmas = list(itertools.pairwise(edges))
        machine.mms.append(mm)
    for number, page, times in unseen:
        folio = made[number]
        if folio.kind not in ("zero", "device"):
            machine.unseen[folio.head + page % len(folio.pages)] += times
    machine.write()
    return machine


def small_truth(machine):
    """(mm, vma, kind, cgroup, mappings, found, mms) -> pages, of order-0 pages, one by one."""
    counts = machine.mappings()
    found = Counter(pfn for mm in machine.mms for pfn in mm.pages.values())
    users = Counter(pfn for mm in machine.mms for pfn in set(mm.pages.values()))
    truth = Counter()
    for number, mm in enumerate(machine.mms):
        for page, pfn in mm.pages.items():
            folio = machine.folios[pfn]
            if folio.order == 0:
                vma = next(i for i, (first, end) in enumerate(mm.vmas) if first <= page < end)
                mappings = found[pfn] if folio.kind in ("zero", "device") else counts[pfn]
                truth[number, vma, folio.kind, folio.cgroup, mappings, found[pfn], users[pfn]] += 1
    return truth
