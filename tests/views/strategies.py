"""Random small worlds as a kernel could have them: PMDs map whole folios of the order that a PMD has, here 8 pages."""

from __future__ import annotations

from hypothesis import strategies as st

from builders import PAGE, SnapshotBuilder
from mapcount.mapping.schema import Kind, Level

PMD_ORDER = 3
KINDS = st.sampled_from([Kind.ANON, Kind.ANON, Kind.ANON, Kind.SHMEM, Kind.FILE, Kind.HUGETLB, Kind.ZERO])
SMALL_KINDS = st.sampled_from([Kind.ANON, Kind.SHMEM, Kind.FILE, Kind.KSM])
OTHER_KINDS = st.sampled_from([Kind.ANON, Kind.ANON, Kind.SHMEM, Kind.FILE])
CGROUPS = st.sampled_from(["", "/a", "/a/b"])


@st.composite
def worlds(draw):
    """Give a snapshot with or without order-0 folios as rows; aggregates of small pages there are in both."""
    b = SnapshotBuilder()
    mms = [b.add_mm() for _ in range(draw(st.integers(1, 4)))]
    vmas = [(mm, b.add_vma(mm)) for mm in mms for _ in range(draw(st.integers(1, 2)))]
    rows = draw(st.booleans())
    for _ in range(draw(st.integers(0, 5))):
        order = draw(st.sampled_from([0, 1, 2, 3, 3, 3, 4] if rows else [1, 2, 3, 3, 3, 4]))
        kind = draw(KINDS if order == PMD_ORDER else SMALL_KINDS if order == 0 else OTHER_KINDS)
        folio = b.add_folio(order, kind, draw(CGROUPS), swapcache=draw(st.integers(0, 4)) == 0)
        for number in range(draw(st.integers(0, 5))):
            mm, vma = draw(st.sampled_from(vmas))
            address = b.rows["vmas"][vma]["start"] + 64 * (number + 8 * folio) * PAGE
            if kind is Kind.HUGETLB or (order == PMD_ORDER and draw(st.booleans())):
                b.map_pages(mm, vma, folio, level=Level.PMD, address=address)
                continue
            first = draw(st.integers(0, (1 << order) - 1)) if draw(st.booleans()) else 0
            nr = draw(st.integers(1, (1 << order) - first))
            b.map_pages(mm, vma, folio, first, nr, address=address)
        if kind not in (Kind.HUGETLB, Kind.ZERO) and draw(st.integers(0, 3)) == 0:
            first = draw(st.integers(0, (1 << order) - 1))
            b.add_unseen(folio, first, draw(st.integers(1, (1 << order) - first)), draw(st.integers(1, 2)))
    for _ in range(draw(st.integers(0, 3))):
        chosen = draw(st.lists(st.sampled_from([vma for _, vma in vmas]), min_size=1, max_size=3))
        b.add_small(chosen, draw(st.integers(1, 7)), draw(SMALL_KINDS), draw(CGROUPS), unseen=draw(st.integers(0, 2)))
    return b.build(pmd_order=PMD_ORDER)
