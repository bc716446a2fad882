"""Published figures as they were published, and how they are judged."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cost.invented import PRICES
from mapcount.cost.fit import Fit
from mapcount.cost.published import SERIES, SMALL, Compared, _sign, compare, order_of

BY_TITLE = {series.title: series for series in SERIES}


@pytest.mark.parametrize(
    ("title", "operation", "percents"),
    [
        ("fork in batches (6.9)", "fork", (-2, -16, -24, -26, -28, -29, -30, -30, -30)),
        ("munmap in batches (6.9)", "munmap", (-1, -20, -31, -37, -47, -53, -56, -57, -58)),
    ],
)
def test_seconds_give_the_percents_beside_them(title, operation, percents):
    found = BY_TITLE[title].percents
    assert [round(found[operation, order]) for order in (0, *range(2, 10))] == list(percents)


def test_whole_tables():
    assert {title: len(series.percents) for title, series in BY_TITLE.items()} == {
        "fork in batches (6.9)": 9,
        "munmap in batches (6.9)": 9,
        "_nr_pages_mapped in batches (6.12)": 8,
        "MM owner tracking v1, with counts per page": 24,
        "MM owner tracking v1, without counts per page": 24,
        "WIP rmap IDs: total mapcount only, Xeon 4210R": 5,
        "WIP rmap IDs: total mapcount only, EPYC 7313": 5,
        "WIP rmap IDs: 3 values for 2M, Xeon 4210R": 5,
        "WIP rmap IDs: 3 values for 2M, EPYC 7313": 5,
    }


def test_signs_follow_from_counts_alone():
    """Whatever an atomic, a line and a call cost, as long as they cost something."""
    for scale in (1, 17):
        rows = compare(
            Fit({name: price * (scale if name.startswith("call") else 1) for name, price in PRICES.items()}, ())
        )
        assert len(rows) == 94
        assert [row for row in rows if row.sign == "OTHER"] == []


def test_of_what_was_not_measured_nothing_is_said():
    """Without 2M no PMD was split; without sizes up to 32K nothing was freed to a list of the CPU."""
    lacking = {name: price for name, price in PRICES.items() if name not in {"entry, pmd-split", "folio freed, to CPU"}}
    told = {(row.operation, row.order) for row in compare(Fit(lacking, ()))}
    assert ("munmap", 4) in told and ("fork", 2) in told
    assert not told & {("pmd-split", 9), ("munmap", 2), ("munmap", 3), ("munmap", 9), ("dontneed-pages", 9)}


def test_a_wrong_sign_is_seen():
    series = SERIES[0]
    rows = compare(Fit(PRICES, ()), [replace(series, before=series.after, after=series.before)])
    assert sum(row.sign == "OTHER" for row in rows) == 8, "all but 4K, where nothing is batched"


def test_sign_by_hand():
    assert _sign(-16, -40) == "same" and _sign(3, 0.1) == "same"
    assert _sign(0, SMALL) == _sign(-1, 2) == "small"
    assert _sign(5, 0) == _sign(5, -1) == _sign(1, -5) == "OTHER"


def test_order_by_hand():
    def row(published, predicted):
        return Compared("", "", 0, published, predicted, 0, "")

    rows = [row(0, 0), row(10, 1), row(20, 5), row(22, 4)]
    # 20 and 22 are not told apart; the five other pairs are, and all are in order.
    assert order_of(rows) == (5, ())
    wrong = row(20, 0.5)
    assert order_of([wrong, *rows[:2]]) == (3, ((rows[1], wrong),))
    equal = row(20, 1)
    assert order_of([*rows[:2], equal]).missed == ((rows[1], equal),), "published apart, predicted to be equal"


MEASURED = {
    "LOCKed operation": 2.9,
    "plain store": 0.7,
    "cache line": 5.3,
    "entry made read-only": 6.7,
    "entry, fork": 40.2,
    "call, fork": 77.8,
    "folio, fork": 268.5,
    "entry, unmap": 9.4,
    "call, unmap": 99.2,
    "folio, unmap": 321.4,
    "entry, cow": 4138.6,
    "entry, free": 28.2,
    "call, last mapping": 70.7,
    "folio freed, to CPU": 434.8,
    "entry, dontneed-pages": 1763.3,
    "folio freed, to zone": 705.8,
    "entry, pmd-split": 23.9,
}
"""Prices of an EPYC of family 25 as `mapcount cost --calibrate` had them once, 6.18.44, two virtual CPUs."""


def test_at_prices_that_were_measured_every_pair_comes_in_the_published_order():
    """Across sizes and operations alike, 312 pairs of figures that differ by more than the sources' noise."""
    rows = compare(Fit(MEASURED, ()))
    orders = {series.title: order_of([row for row in rows if row.series == series.title]) for series in SERIES}
    assert sum(order.pairs for order in orders.values()) == 312
    assert {title: order.missed for title, order in orders.items() if order.missed} == {}


def test_a_wrong_order_is_seen():
    """Were the entries of a fork much dearer, what it saves would be too small a part beside munmap."""
    prices = MEASURED | {"entry, fork": 10 * MEASURED["entry, fork"]}
    rows = [row for row in compare(Fit(prices, ())) if row.series == "MM owner tracking v1, without counts per page"]
    assert order_of(rows).missed
