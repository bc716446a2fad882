"""Measurements of a machine that keeps exactly to known prices."""

from __future__ import annotations

from mapcount.cost.fit import counted_of, features
from mapcount.cost.measured import Measured, Measurement

PRICES = {
    "LOCKed operation": 5.0,
    "plain store": 0.7,
    "cache line": 3.0,
    "entry, fork": 23.0,
    "entry made read-only": 6.0,
    "call, fork": 29.0,
    "folio, fork": 41.0,
    "entry, unmap": 13.0,
    "call, unmap": 31.0,
    "folio, unmap": 43.0,
    "entry, cow": 997.0,
    "entry, free": 19.0,
    "call, last mapping": 37.0,
    "folio freed, to CPU": 211.0,
    "folio freed, to zone": 307.0,
    "entry, dontneed-pages": 1409.0,
    "entry, pmd-split": 11.0,
}
OPERATIONS = (
    "fork",
    "exit",
    "cow",
    "dontneed",
    "munmap",
    "dontneed-pages",
    "fork-read",
    "fork-again",
    "fork-pieces",
    "exit-pieces",
    "munmap-pieces",
)


def ns_of(operation, counted):
    return sum(PRICES[name] * number for name, number in features(operation, counted).items())


def measured(scheme="mm-id"):
    """Return three rounds that are all alike, of all sizes."""
    rows = []
    for order in (0, *range(2, 10)):
        for name in (*OPERATIONS, *(["pmd-split"] if order == 9 else [])):
            ns = ns_of(name, counted_of(scheme, name, order, batched=True)) if order else 5.0
            rows.append(Measurement(name, order, (ns,) * 3))
        rows += [
            Measurement("hot-locked", order, (5.0,) * 3),
            Measurement("hot-stores", order, (0.7,) * 3),
            Measurement("line-locked", order, (8.0,) * 3),
        ]
    return Measured("6.18.0-invented", 256, 3, tuple(rows))
