"""Random worlds under kernels of three kinds, and the truth, against a computation page by page (oracle.py)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import SnapshotBuilder
from mapcount.errors import UsageError
from mapcount.views import reading
from mapcount.views.quirks import quirks_for
from mapcount.views.view import kernel_view, true_view
from views import oracle
from views.replays import replay
from views.strategies import worlds


class PerPageRight(oracle.PerPage):
    pmd_bit_of_first_page = False


KERNELS = {
    "large-mapcount": (quirks_for("large-mapcount"), PerPageRight),
    "mm-id": (quirks_for("mm-id"), oracle.PerPage),
    "no-page-mapcount": (quirks_for("no-page-mapcount"), oracle.Average),
    "total-mapped-pages": (quirks_for("total-mapped-pages"), oracle.ByEntry),
}

EMPTY = SnapshotBuilder().build()


def expand_bits(bits):
    rows = zip(
        bits.mm_id.tolist(), bits.address.tolist(), bits.nr_pages.tolist(), bits.mapped_once.tolist(), strict=True
    )
    return [(mm, address // 4096 + i, once) for mm, address, nr, once in rows for i in range(nr)]


def expand_counts(counts):
    columns = (counts.folio_id, counts.first_page, counts.nr_pages, counts.count)
    rows = list(zip(*(column.tolist() for column in columns), strict=True))
    found = {(folio, first + i): count for folio, first, nr, count in rows for i in range(nr)}
    assert len(found) == sum(nr for _, _, nr, _ in rows)
    return found


def rows_of(table, length):
    return [{name: int(getattr(table, name)[i]) for name in table.__dataclass_fields__} for i in range(length)]


def assert_equal(view, kernel):
    """Hold all parts of a view to the oracle."""
    snapshot = view.snapshot
    fields = view.by_vma.__dataclass_fields__
    expected = [{name: round(row[name]) for name in fields} for row in oracle.smaps(kernel)]
    assert rows_of(view.by_vma, len(snapshot.vmas)) == expected
    assert expand_bits(view.bits) == oracle.bits(kernel)
    assert expand_counts(view.kpagecount) == oracle.kpagecount(kernel)
    names = view.by_cgroup.__dataclass_fields__
    by_cgroup = [{name: row[name] for name in names} for row in oracle.statistics(kernel)]
    assert rows_of(view.by_cgroup, len(snapshot.cgroups)) == by_cgroup
    for mm, row in enumerate(rows_of(view.by_mm, len(snapshot.mms))):
        mine = [r for vma, r in enumerate(rows_of(view.by_vma, len(snapshot.vmas))) if snapshot.vmas.mm_id[vma] == mm]
        assert row == {name: (max if name == "mapmax" else sum)(r[name] for r in mine) for name in row}


@pytest.mark.parametrize("scheme", KERNELS)
@given(snapshot=worlds())
def test_kernels(scheme, snapshot):
    quirks, kernel = KERNELS[scheme]
    assert_equal(kernel_view(snapshot, replay(snapshot, scheme), quirks), kernel(oracle.World(snapshot)))


@given(worlds())
def test_truth(snapshot):
    view = true_view(snapshot)
    assert_equal(view, oracle.Truth(oracle.World(snapshot)))


def test_a_scheme_that_does_not_answer_what_is_asked():
    snapshot = EMPTY
    with pytest.raises(UsageError, match="no-page-mapcount does not answer page_mapcount"):
        kernel_view(snapshot, replay(snapshot, "no-page-mapcount"), quirks_for("large-mapcount"))
    with pytest.raises(UsageError, match="large-mapcount does not answer folio_average_page_mapcount"):
        kernel_view(snapshot, replay(snapshot, "large-mapcount"), quirks_for("no-page-mapcount"))


@pytest.mark.parametrize("scheme", KERNELS)
def test_nothing(scheme):
    snapshot = EMPTY
    assert_equal(
        kernel_view(snapshot, replay(snapshot, scheme), KERNELS[scheme][0]), oracle.PerPage(oracle.World(snapshot))
    )


@given(snapshot=worlds(), batch=st.sampled_from([1, 2, 3]))
def test_batches_of_any_size(snapshot, batch):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "BATCH_RUNS", batch)
        assert_equal(
            kernel_view(snapshot, replay(snapshot, "mm-id"), quirks_for("mm-id")),
            oracle.PerPage(oracle.World(snapshot)),
        )
