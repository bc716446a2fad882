"""nr_anon, nr_anon_partially_mapped and the deferred split queue after histories that lead to the same mappings."""

from __future__ import annotations

from builders import SnapshotBuilder
from mapcount.mapping.schema import Kind, Level, Op
from mapcount.views.mthp import SizeStats
from mapcount.views.quirks import quirks_for
from mapcount.views.view import kernel_view, true_view
from views.replays import replay

PTE = int(Level.PTE)


def one_half_left():
    """Folio 0: half of it is mapped by one mm. Folio 1: all of it, by another. Folio 2: file. Folio 3: order 1, half."""
    b = SnapshotBuilder()
    mms = [b.add_mm() for _ in range(2)]
    vmas = [b.add_vma(mm) for mm in mms]
    for order, kind, mm, nr in (
        (4, Kind.ANON, 0, 8),
        (4, Kind.ANON, 1, 16),
        (4, Kind.FILE, 0, 8),
        (1, Kind.ANON, 0, 1),
    ):
        b.map_pages(mms[mm], vmas[mm], b.add_folio(order, kind), 0, nr)
    return b.build()


def alone():
    """Born whole, trimmed by the mm that is alone with it."""
    return [
        (Op.FIRST_MAP, PTE, 0, 0, 16, 1),
        (Op.UNMAP, PTE, 0, 8, 8, 1),
        (Op.FIRST_MAP, PTE, 1, 0, 16, 2),
        (Op.FIRST_MAP, PTE, 3, 0, 2, 1),
        (Op.UNMAP, PTE, 3, 1, 1, 1),
    ]


def forked():
    """Two more mms had it; each of all three dropped the second half; then the two left."""
    return [
        (Op.FIRST_MAP, PTE, 0, 0, 16, 1),
        (Op.DUP, PTE, 0, 0, 16, 2),
        (Op.DUP, PTE, 0, 0, 16, 3),
        *((Op.UNMAP, PTE, 0, 8, 8, mm) for mm in (1, 2, 3)),
        (Op.FIRST_MAP, PTE, 1, 0, 16, 2),
    ]


def test_found_at_once_or_late():
    """24 mappings of 16 pages while three have half each: without counts per page it is not partial, until one has gone."""
    snapshot = one_half_left()
    exact, average = (replay(snapshot, name, forked()) for name in ("mm-id", "no-page-mapcount"))
    assert exact.deferred.tolist() == [True, False, False, False]
    assert average.deferred.tolist() == [False, False, False, False]
    later = [*forked(), (Op.UNMAP, PTE, 0, 0, 8, 3), (Op.UNMAP, PTE, 0, 0, 8, 2)]
    assert replay(snapshot, "no-page-mapcount", later).deferred.tolist() == [True, False, False, False]


def test_sizes():
    snapshot = one_half_left()
    sizes = {
        "truth": true_view(snapshot),
        "found": kernel_view(snapshot, replay(snapshot, "mm-id", alone()), quirks_for("large-mapcount")),
        "missed": kernel_view(snapshot, replay(snapshot, "no-page-mapcount", forked()), quirks_for("no-page-mapcount")),
    }
    expected = {"truth": 1, "found": 1, "missed": 0}
    for name, view in sizes.items():
        assert view.sizes == [SizeStats(1, 1, 0), SizeStats(4, 2, expected[name])]
