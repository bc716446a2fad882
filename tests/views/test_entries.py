"""Bit 56 and kpagecount by hand."""

from __future__ import annotations

import pytest

from builders import SnapshotBuilder
from mapcount.mapping.schema import Kind, Level, Op
from mapcount.views.quirks import quirks_for
from mapcount.views.view import kernel_view, true_view
from views.replays import replay


def parent_and_child(first, nr):
    """A PMD maps the folio in the parent, PTEs map `nr` pages from `first` in the child."""
    b = SnapshotBuilder()
    mms = [b.add_mm() for _ in range(2)]
    folio = b.add_folio(9)
    b.map_pages(mms[0], b.add_vma(mms[0]), folio, level=Level.PMD)
    b.map_pages(mms[1], b.add_vma(mms[1]), folio, first, nr)
    return b.build()


def runs(bits):
    return list(zip(bits.mm_id.tolist(), bits.nr_pages.tolist(), bits.mapped_once.tolist(), strict=True))


def test_bit_56_of_a_pmd_is_that_of_its_first_page():
    """
    The child dropped pages 0 to 15: they are mapped once, all others twice.

    Recorded on 5.10, 6.1, 6.18 and 7.3 ("the parent sees 1*512"), and on 6.12 (1*16 0*496).
    """
    snapshot = parent_and_child(16, 496)
    replayed = replay(snapshot, "mm-id")
    assert runs(kernel_view(snapshot, replayed, quirks_for("mm-id")).bits) == [(0, 512, True), (1, 496, False)]
    right = kernel_view(snapshot, replayed, quirks_for("large-mapcount"))
    assert runs(right.bits) == [(0, 16, True), (0, 496, False), (1, 496, False)]
    assert runs(true_view(snapshot).bits) == runs(right.bits)
    shared = kernel_view(snapshot, replay(snapshot, "no-page-mapcount"), quirks_for("no-page-mapcount"))
    assert runs(shared.bits) == [(0, 512, False), (1, 496, False)]


def test_bit_56_of_a_pmd_whose_first_page_is_shared():
    snapshot = parent_and_child(0, 1)
    assert runs(kernel_view(snapshot, replay(snapshot, "mm-id"), quirks_for("mm-id")).bits) == [
        (0, 512, False),
        (1, 1, False),
    ]


@pytest.mark.parametrize(
    ("scheme", "quirks", "bit"),
    [("mm-id", quirks_for("large-mapcount"), False), ("no-page-mapcount", quirks_for("no-page-mapcount"), True)],
)
def test_the_huge_zero_folio(scheme, quirks, bit):
    """Nothing counts its mappings: not once, but by no two address spaces."""
    b = SnapshotBuilder()
    mm = b.add_mm()
    vma, folio = b.add_vma(mm), b.add_folio(9, Kind.ZERO)
    b.map_pages(mm, vma, folio, level=Level.PMD)
    b.map_pages(mm, vma, folio, 5, 2)
    snapshot = b.build()
    view = kernel_view(snapshot, replay(snapshot, scheme), quirks)
    assert runs(view.bits) == [(0, 512, bit), (0, 2, False)]
    assert view.kpagecount.count.tolist() == [0]


def test_kpagecount_is_exact_or_an_average_of_at_least_one():
    """16 pages: 3 mapped three times, 2 once, 11 not: 11 mappings, 0.6875 a page, is 1 of each page."""
    b = SnapshotBuilder()
    mms = [b.add_mm() for _ in range(3)]
    folio = b.add_folio(4)
    for number, mm in enumerate(mms):
        b.map_pages(mm, b.add_vma(mm), folio, 2, 3 if number else 5)
    b.add_folio(2)
    snapshot = b.build()
    told = []
    for scheme, quirks in (
        ("large-mapcount", quirks_for("large-mapcount")),
        ("no-page-mapcount", quirks_for("no-page-mapcount")),
    ):
        counts = kernel_view(snapshot, replay(snapshot, scheme), quirks).kpagecount
        told.append(list(zip(counts.folio_id.tolist(), counts.first_page.tolist(), counts.count.tolist(), strict=True)))
    assert told[0] == [(0, 0, 0), (0, 2, 3), (0, 5, 1), (0, 7, 0), (1, 0, 0)]
    assert told[1] == [(0, 0, 1), (1, 0, 0)]


def test_hugetlb_in_a_page_table_that_two_mms_use():
    """One entry, counted once, and yet shared (hugetlb_pmd_shared, smaps_hugetlb_range and pagemap_hugetlb_range)."""
    b = SnapshotBuilder()
    mms = [b.add_mm() for _ in range(2)]
    vmas = [b.add_vma(mm) for mm in mms]
    folios = [b.add_folio(9, Kind.HUGETLB) for _ in range(3)]
    b.map_pages(mms[0], vmas[0], folios[0], level=Level.PMD)
    for mm, vma in zip(mms, vmas, strict=True):
        b.map_pages(mm, vma, folios[1], level=Level.PMD)  # in the shared table
    for mm, vma in zip(mms, vmas, strict=True):
        b.map_pages(mm, vma, folios[2], level=Level.PMD)  # in a table of each
    snapshot = b.build()
    counted = [(Op.MAP, int(Level.PMD), folio, 0, 512, mm) for folio, mm in ((0, 1), (1, 1), (2, 1), (2, 2))]
    for scheme in ("mm-id", "no-page-mapcount"):
        view = kernel_view(snapshot, replay(snapshot, scheme, counted), quirks_for(scheme))
        assert runs(view.bits) == [(0, 512, True), (0, 512, False), (1, 512, False), (0, 512, False), (1, 512, False)]
        assert view.kpagecount.count.tolist() == [1, 1, 2]
        assert (view.by_mm.private_hugetlb.tolist(), view.by_mm.shared_hugetlb.tolist()) == (
            [2 << 20, 0],
            [4 << 20, 4 << 20],
        )
