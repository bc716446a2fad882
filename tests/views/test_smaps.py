"""smaps by hand: rounding of Pss, the Uss that rises, averages that round, what PMDs map, the vdso."""

from __future__ import annotations

from fractions import Fraction

import pytest

from builders import PAGE, SnapshotBuilder
from mapcount.mapping.schema import Kind, Level, Op
from mapcount.views.quirks import quirks_for
from mapcount.views.view import kernel_view, true_view
from views.replays import replay

ERAS = {
    "mm-id": quirks_for("mm-id"),
    "no-page-mapcount": quirks_for("no-page-mapcount"),
    "total-mapped-pages": quirks_for("total-mapped-pages"),
}


def smaps_of(snapshot, era):
    """Return smaps_rollup of the first mm in an era, or in truth."""
    view = true_view(snapshot) if era == "truth" else kernel_view(snapshot, replay(snapshot, era), ERAS[era])
    return {name: int(getattr(view.by_mm, name)[0]) for name in view.by_mm.__dataclass_fields__}


def family(pieces, *, order=4, kind=Kind.ANON, level=Level.PTE):
    """Return a snapshot of one folio; `pieces` are (mm, first, nr)."""
    b = SnapshotBuilder()
    mms = [b.add_mm() for _ in range(1 + max(mm for mm, _, _ in pieces))]
    folio = b.add_folio(order, kind)
    for number, (mm, first, nr) in enumerate(pieces):
        vma = b.add_vma(mms[mm])
        b.map_pages(mms[mm], vma, folio, first, nr, level if number == 0 else Level.PTE)
    return b.build()


def test_pss_rounds_down_page_by_page():
    """Three mms map 16 pages. 4096 << 12 is 3 x 5592405 and 1 left over, of each of the 16 pages."""
    snapshot = family([(0, 0, 16), (1, 0, 16), (2, 0, 16)])
    for era in ERAS:
        assert smaps_of(snapshot, era)["pss"] == 16 * 5592405
    assert smaps_of(snapshot, "truth")["pss"] == round(Fraction(16 * 4096 * 4096, 3)) == 16 * 5592405 + 5


def test_pss_of_a_pmd_is_divided_at_once_by_the_rfc():
    """2 MiB << 12 by three is 2863311530 and 2/3; page by page 512 x 5592405 = 2863311360."""
    snapshot = family([(0, 0, 512), (1, 0, 512), (2, 0, 512)], order=9, level=Level.PMD)
    assert smaps_of(snapshot, "mm-id")["pss"] == smaps_of(snapshot, "no-page-mapcount")["pss"] == 2863311360
    assert smaps_of(snapshot, "total-mapped-pages")["pss"] == 2863311530
    assert smaps_of(snapshot, "truth")["pss"] == 2863311531


@pytest.mark.parametrize(
    ("extra", "average"),
    [(7, 1), (8, 2), (9, 2), (16, 2), (0, 1)],
)
def test_an_average_mapcount_of_one_and_a_half_is_two(extra, average):
    """16 pages mapped by one, `extra` of them by another too: 24 mappings of 16 pages are 1.5 a page, which is 2."""
    snapshot = family([(0, 0, 16)] + ([(1, 0, extra)] if extra else []))
    for era in ("no-page-mapcount", "total-mapped-pages"):
        mine = smaps_of(snapshot, era)
        assert mine["pss"] == 16 * (4096 << 12) // average
        assert mine["mapmax"] == average
        assert mine["shared"] == (16 * PAGE if extra else 0)
    exact = smaps_of(snapshot, "mm-id")
    assert exact["pss"] == (16 - extra) * (4096 << 12) + extra * (4096 << 12) // 2
    assert (exact["private"], exact["shared"]) == ((16 - extra) * PAGE, extra * PAGE)
    assert exact["mapmax"] == (2 if extra else 1)


def test_one_page_of_sixteen_mapped_is_not_an_average_of_zero():
    snapshot = family([(0, 5, 1)])
    for era in (*ERAS, "truth"):
        mine = smaps_of(snapshot, era)
        assert (mine["rss"], mine["pss"], mine["private"], mine["mapmax"]) == (PAGE, PAGE << 12, PAGE, 1)


def test_uss_rises_where_one_mm_maps_a_file_folio_twice():
    """
    Mapped twice by one mm: shared where pages are counted, private where owners are known; private in truth too.

    Source: fs/proc/task_mmu.c, smaps_account().
    """
    snapshot = family([(0, 0, 16), (0, 0, 16)], kind=Kind.SHMEM)
    assert (smaps_of(snapshot, "mm-id")["private"], smaps_of(snapshot, "mm-id")["shared"]) == (0, 32 * PAGE)
    for era in ("no-page-mapcount", "total-mapped-pages", "truth"):
        mine = smaps_of(snapshot, era)
        assert (mine["private"], mine["shared"]) == (32 * PAGE, 0)
        assert mine["pss"] == 16 * (PAGE << 12)


def test_uss_falls_where_two_mms_map_half_each():
    """No page is shared, the folio is."""
    snapshot = family([(0, 0, 8), (1, 8, 8)])
    for era in ("mm-id", "truth"):
        assert smaps_of(snapshot, era)["private"] == 8 * PAGE
    for era in ("no-page-mapcount", "total-mapped-pages"):
        mine = smaps_of(snapshot, era)
        assert (mine["private"], mine["shared"], mine["pss"]) == (0, 8 * PAGE, 8 * (PAGE << 12))


def test_uss_falls_where_the_third_of_three_is_left_alone():
    """The slots were taken when the third came: SHARED stays set, and smaps calls shared what nobody shares."""
    b = SnapshotBuilder()
    mms = [b.add_mm() for _ in range(3)]
    folio = b.add_folio(4)
    b.map_pages(mms[2], b.add_vma(mms[2]), folio)
    snapshot = b.build()
    whole = (Level.PTE, folio, 0, 16)
    history = [*((Op.MAP, *whole, mm) for mm in (1, 2, 3)), *((Op.UNMAP, *whole, mm) for mm in (1, 2))]
    replayed = replay(snapshot, "no-page-mapcount", history)
    view = kernel_view(snapshot, replayed, quirks_for("no-page-mapcount"))
    truth = true_view(snapshot)
    assert replayed.answers["folio_mapcount"].tolist() == [16]
    assert (int(view.by_mm.private[2]), int(view.by_mm.shared[2])) == (0, 16 * PAGE)
    assert (int(truth.by_mm.private[2]), int(truth.by_mm.shared[2])) == (16 * PAGE, 0)


def test_what_pmds_map_by_kind():
    b = SnapshotBuilder()
    mm = b.add_mm()
    vma = b.add_vma(mm)
    for kind, times in ((Kind.ANON, 2), (Kind.SHMEM, 3), (Kind.FILE, 5)):
        for _ in range(times):
            b.map_pages(mm, vma, b.add_folio(9, kind), level=Level.PMD)
    b.map_pages(mm, vma, b.add_folio(9, Kind.ZERO), level=Level.PMD)
    b.map_pages(mm, vma, b.add_folio(9, Kind.ANON))
    snapshot = b.build()
    for era in (*ERAS, "truth"):
        mine = smaps_of(snapshot, era)
        assert (mine["anon_huge"], mine["shmem_pmd"], mine["file_pmd"]) == (4 << 20, 6 << 20, 10 << 20)
        assert (mine["rss"], mine["anonymous"]) == (22 << 20, 6 << 20)
        assert [mine[f"pss_{kind}"] for kind in ("anon", "shmem", "file")] == [mib << 32 for mib in (6, 6, 10)]


def test_hugetlb_has_fields_of_its_own():
    b = SnapshotBuilder()
    mms = [b.add_mm() for _ in range(2)]
    folios = [b.add_folio(9, Kind.HUGETLB) for _ in range(5)]
    vmas = [b.add_vma(mm) for mm in mms]
    for folio in folios:
        b.map_pages(mms[0], vmas[0], folio, level=Level.PMD)
    b.map_pages(mms[1], vmas[1], folios[3], level=Level.PMD)
    snapshot = b.build()
    for era in (*ERAS, "truth"):
        mine = smaps_of(snapshot, era)
        assert (mine["private_hugetlb"], mine["shared_hugetlb"]) == (8 << 20, 2 << 20)
        assert mine["rss"] == mine["pss"] == mine["private"] == mine["shared"] == 0


@pytest.mark.parametrize("kind", [Kind.DEVICE, Kind.FILE])
def test_the_vdso_is_counted_and_other_device_memory_is_not(kind):
    """A capture that has kpagecount takes the vdso for a file page."""
    b = SnapshotBuilder()
    mm = b.add_mm()
    vdso, device = b.add_vma(mm, path="[vdso]"), b.add_vma(mm, path="/dev/mem")
    b.add_small(vdso, 2, kind, unseen=36)
    b.add_small(device, 7, Kind.DEVICE)
    mine = smaps_of(b.build(), "mm-id")
    assert (mine["rss"], mine["shared"], mine["private"]) == (2 * PAGE, 2 * PAGE, 0)
    assert mine["pss"] == mine["pss_file"] == 2 * ((PAGE << 12) // 37)
    assert mine["mapmax"] == 0, "reserved pages are none of numa_maps'"
