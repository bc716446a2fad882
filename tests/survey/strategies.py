"""Random small snapshots: few mms and folios, every kind of overlap between what they map."""

from __future__ import annotations

from hypothesis import strategies as st

from builders import PAGE, SnapshotBuilder
from mapcount.mapping.schema import Consistency, Kind, Level, SwapKind

LARGE_KINDS = st.sampled_from([Kind.ANON, Kind.ANON, Kind.ANON, Kind.SHMEM, Kind.FILE, Kind.HUGETLB, Kind.ZERO])
SMALL_KINDS = st.sampled_from([Kind.ANON, Kind.SHMEM, Kind.FILE, Kind.KSM])
CGROUPS = st.sampled_from(["", "/a", "/a/b"])
METAS = st.sampled_from(
    [
        {},
        {"scope": "pids"},
        {"counts_are": "average"},
        {"scope": "pids", "counts_are": "average"},
        {"scope": "cgroup", "counts_are": "unknown"},
        {"unreadable": [{"pid": 1, "comm": "init", "error": "EACCES"}], "counts_are": "average"},
    ]
)


@st.composite
def snapshots(draw, metas=METAS, max_order=5):
    b = SnapshotBuilder()
    mms = [b.add_mm(comm=draw(st.sampled_from(["init", "work"]))) for _ in range(draw(st.integers(1, 3)))]
    vmas = [(mm, b.add_vma(mm)) for mm in mms for _ in range(draw(st.integers(1, 2)))]
    for _ in range(draw(st.integers(0, 5))):
        order = draw(st.integers(1, max_order))
        folio = b.add_folio(
            order,
            draw(LARGE_KINDS),
            draw(CGROUPS),
            swapcache=draw(st.integers(0, 4)) == 0,
            consistency=draw(st.sampled_from(Consistency)),
        )
        pages = 1 << order
        for _ in range(draw(st.integers(0, 4))):
            mm, vma = draw(st.sampled_from(vmas))
            first = draw(st.integers(0, pages - 1)) if draw(st.booleans()) else 0
            nr = draw(st.integers(1, pages - first)) if draw(st.booleans()) else pages - first
            level = draw(st.sampled_from([Level.PTE, Level.PTE, Level.PMD]))
            at = draw(st.integers(0, 200)) * draw(st.sampled_from([1, 2, pages])) + draw(st.sampled_from([0, first]))
            b.map_pages(mm, vma, folio, first, nr, level, address=b.rows["vmas"][vma]["start"] + at * PAGE)
        if draw(st.integers(0, 3)) == 0:
            first = draw(st.integers(0, pages - 1))
            b.add_unseen(folio, first, draw(st.integers(1, pages - first)), draw(st.integers(1, 3)))
    for _ in range(draw(st.integers(0, 4))):
        chosen = draw(st.lists(st.sampled_from([vma for _, vma in vmas]), min_size=1, max_size=3))
        b.add_small(chosen, draw(st.integers(1, 13)), draw(SMALL_KINDS), draw(CGROUPS), unseen=draw(st.integers(0, 2)))
    for _ in range(draw(st.integers(0, 2))):
        b.add_swap(draw(st.sampled_from(vmas))[1], draw(st.integers(1, 7)), draw(st.sampled_from(SwapKind)))
    return b.build(**draw(metas))
