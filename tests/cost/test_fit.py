"""Prices that are known beforehand are found again, and what no prices explain shows as an error."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cost.invented import PRICES, ns_of
from cost.invented import measured as invented
from mapcount.cost.fit import ATOMIC, LINE, Fit, counted_of, features, fit, held_in, locked_in_place, not_negative
from mapcount.cost.measured import Measurement
from mapcount.schemes.eras import era_of

ERA = era_of("6.18", page_mapcount=True)
ORDERS = [0, 2, 3, 4, 5, 6, 7, 8, 9]


def fitted(measured, orders=ORDERS):
    return fit(measured, ERA.scheme, ERA.policies, held_in(orders))


def test_known_prices_are_found_again():
    found = fitted(invented())
    assert found.prices == pytest.approx(PRICES, rel=1e-6)
    assert found.mean_error(held_out=False) == pytest.approx(0, abs=1e-9)
    assert found.mean_error(held_out=True) == pytest.approx(0, abs=1e-9)


def test_sizes_held_out_were_not_fitted():
    """What is wrong with a size that is held out moves no price; of one that is fitted it does."""
    measured = invented()

    def with_error(order):
        wrong = [
            replace(one, ns=tuple(2 * ns for ns in one.ns)) if one.order == order and one.name == "fork" else one
            for one in measured.measurements
        ]
        return fitted(replace(measured, measurements=tuple(wrong)))

    assert held_in(ORDERS) == [2, 4, 6, 8, 9]
    held_out = with_error(3)
    assert held_out.prices == pytest.approx(PRICES, rel=1e-6)
    (row,) = [row for row in held_out.rows if (row.operation, row.order) == ("fork", 3)]
    assert row.held_out and row.error == pytest.approx(-0.5)
    assert held_out.worst_error(held_out=True) == pytest.approx(0.5)
    assert held_out.worst_error(held_out=False) == pytest.approx(0, abs=1e-9)
    assert with_error(4).prices != pytest.approx(PRICES, rel=1e-3)


def test_folios_of_one_page_are_not_fitted():
    assert all(row.order for row in fitted(invented()).rows)
    wrong = tuple(
        replace(one, ns=(9e9,)) if one.order == 0 and one.name == "fork" else one for one in invented().measurements
    )
    assert fitted(replace(invented(), measurements=wrong)).prices == pytest.approx(PRICES, rel=1e-6)


def test_features_by_hand():
    """fork of 16 pages under mm-id: 33 LOCKed and one reference; a line and an entry a page; one call, one folio."""
    found = features("fork", counted_of("mm-id", "fork", 4, batched=True))
    assert found[ATOMIC] == 34 / 16
    assert found[LINE] == 1
    assert found["entry, fork"] == found["entry made read-only"] == 1
    assert found["call, fork"] == found["folio, fork"] == 1 / 16
    alone = features("fork", counted_of("mm-id", "fork", 4, batched=False))
    assert alone["call, fork"] == 1 and alone["folio, fork"] == 1 / 16


def test_pieces_make_a_call_for_each_page_even_of_a_kernel_that_batches():
    for name in ("fork-pieces", "exit-pieces", "munmap-pieces", "dontneed-pages"):
        counted = counted_of("mm-id", name, 4, batched=True)
        assert (counted.pages, counted.calls, counted.references) == (16, 16, 16)
        assert counted.struct_pages == 16
        whole = counted_of("mm-id", name.partition("-")[0], 4, batched=False)
        assert (counted.locked, counted.stores) == (whole.locked, whole.stores)


@pytest.mark.parametrize("order", [2, 5, 9])
def test_a_second_fork_has_no_page_to_make_shared(order):
    """PageAnonExclusive of each page is cleared by the first; nothing else is told apart."""
    first, again = (counted_of("mm-id", name, order, batched=True) for name in ("fork-read", "fork-again"))
    assert first.locked - again.locked == 1 << order
    assert (first.calls, first.references, first.stores) == (again.calls, again.references, again.stores)


def test_entries_that_are_read_only_already():
    found = features("fork-again", counted_of("mm-id", "fork-again", 4, batched=True))
    assert found["entry, fork"] == 1 and "entry made read-only" not in found


def test_freeing_comes_to_every_struct_page_whatever_the_scheme_does():
    freed, kept = (features(name, counted_of("mm-id", name, 4, batched=True)) for name in ("munmap", "exit"))
    assert LINE not in freed and kept[LINE] == 1
    assert freed["call, last mapping"] == freed["call, unmap"] == 1 / 16 and "call, last mapping" not in kept


@pytest.mark.parametrize(("order", "where"), [(2, "CPU"), (3, "CPU"), (4, "zone"), (8, "zone"), (9, "CPU")])
def test_where_a_folio_is_freed_to(order, where):
    found = features("munmap", counted_of("mm-id", "munmap", order, batched=True))
    assert [name for name in found if name.startswith("folio freed")] == [f"folio freed, to {where}"]


def test_a_locked_operation_in_place():
    """Of the invented machine 5 ns; folios of one page, which are not counted alike, are left out."""
    found = locked_in_place(invented())
    assert found.median == pytest.approx(5.0)
    assert found.spread == pytest.approx((5.0, 5.0))
    assert len(found.ns) == 8 * 3


@settings(max_examples=101)
@given(
    st.lists(st.lists(st.integers(-7, 7), min_size=3, max_size=3), min_size=3, max_size=7),
    st.lists(st.integers(-7, 7), min_size=7, max_size=7),
)
def test_no_price_is_negative_and_none_fits_better(rows, targets):
    """Brute force: the best of all ways to leave columns out of plain least squares that give nothing below 0."""
    matrix, target = np.array(rows, float), np.array(targets[: len(rows)], float)
    found = not_negative(matrix, target)
    assert found.min() >= 0
    assert _off(matrix, found, target) == pytest.approx(min(_each_off(matrix, target)), abs=1e-6)


def _each_off(matrix, target):
    yield _off(matrix, np.zeros(3), target)
    for count in (1, 2, 3):
        for columns in combinations(range(3), count):
            solution = np.zeros(3)
            solution[list(columns)], *_ = np.linalg.lstsq(matrix[:, columns], target, rcond=None)
            if solution.min() >= -1e-9:
                yield _off(matrix, solution, target)


def _off(matrix, solution, target):
    return float(np.sum((matrix @ solution - target) ** 2))


def test_a_price_is_what_it_is_under_any_scheme():
    """ns of a design that was not measured: the counts of that design, times the prices."""
    found = Fit({"LOCKed operation": 2.0, "entry, fork": 10.0}, ())
    counted = counted_of("no-page-mapcount", "fork", 4, batched=True)
    assert found.ns_per_page("fork", counted) == pytest.approx(10 + 2.0 * (17 + 1) / 16)
    assert ns_of("fork", counted) > 0


def test_quartiles_and_median_by_hand():
    one = Measurement("fork", 2, (5.0, 1.0, 2.0, 4.0, 3.0))
    assert one.median == 3.0
    assert one.spread == (2.0, 4.0)
    assert Measurement("fork", 2, (7.0,)).spread == (7.0, 7.0)
