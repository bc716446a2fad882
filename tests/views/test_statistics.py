"""meminfo and memory.stat by hand: what is counted by page, and what by folio."""

from __future__ import annotations

from builders import PAGE, SnapshotBuilder
from mapcount.mapping.schema import Kind, Level
from mapcount.views.quirks import quirks_for
from mapcount.views.view import kernel_view, true_view
from views.replays import replay


def machine():
    b = SnapshotBuilder()
    mms = [b.add_mm() for _ in range(2)]
    vmas = [b.add_vma(mm) for mm in mms]

    def folio(order, kind, cgroup, *pieces, level=Level.PTE):
        number = b.add_folio(order, kind, cgroup)
        for mm, first, nr in pieces:
            b.map_pages(mms[mm], vmas[mm], number, first, nr, level)

    folio(4, Kind.ANON, "/a", (0, 0, 7), (1, 2, 8))  # 10 of 16 pages
    folio(4, Kind.ANON, "/b", (1, 0, 16))
    folio(3, Kind.FILE, "/a", (0, 7, 1))
    folio(5, Kind.SHMEM, "/b", (0, 0, 3), (1, 0, 3))
    folio(9, Kind.SHMEM, "/b", (0, 0, 512), (1, 0, 512), level=Level.PMD)
    folio(9, Kind.ANON, "/a", (1, 0, 512), level=Level.PMD)
    folio(9, Kind.HUGETLB, "/a", (1, 0, 512), level=Level.PMD)
    folio(9, Kind.ZERO, "", (1, 0, 512), level=Level.PMD)
    b.add_small(vmas, 11, Kind.ANON, "/a")
    b.add_small(vmas[0], 13, Kind.FILE, "/b")
    b.add_small(vmas[1], 5, Kind.SHMEM, "/b")
    b.add_small(vmas[1], 2, Kind.ZERO)
    return b.build()


def pages(view):
    names = ("anon", "mapped", "shmem", "anon_huge", "shmem_pmd", "file_pmd")
    return {
        cgroup: tuple(int(getattr(view.by_cgroup, name)[i]) / PAGE for name in names)
        for i, cgroup in enumerate(view.snapshot.cgroups)
    }


BY_PAGE = {
    "": (0, 0, 0, 0, 0, 0),
    "/a": (10 + 512 + 11, 1, 0, 512, 0, 0),
    "/b": (16, 3 + 512 + 13 + 5, 32 + 512 + 5, 0, 512, 0),
}
BY_FOLIO = BY_PAGE | {
    "/a": (16 + 512 + 11, 8, 0, 512, 0, 0),
    "/b": (16, 32 + 512 + 13 + 5, 32 + 512 + 5, 0, 512, 0),
}


def test_by_page_where_pages_are_counted_and_by_folio_where_not():
    snapshot = machine()
    for scheme in ("large-mapcount", "mm-id"):
        assert pages(kernel_view(snapshot, replay(snapshot, scheme), quirks_for("large-mapcount"))) == BY_PAGE
    assert pages(true_view(snapshot)) == BY_PAGE
    for scheme, quirks in (
        ("no-page-mapcount", quirks_for("no-page-mapcount")),
        ("total-mapped-pages", quirks_for("total-mapped-pages")),
    ):
        view = kernel_view(snapshot, replay(snapshot, scheme), quirks)
        assert pages(view) == BY_FOLIO
        assert view.by_cgroup.machine() == {
            "anon": 555 * PAGE,
            "mapped": 570 * PAGE,
            "shmem": 549 * PAGE,
            "anon_huge": 512 * PAGE,
            "shmem_pmd": 512 * PAGE,
            "file_pmd": 0,
        }
