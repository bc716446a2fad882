"""Counters out of a kernel's memory beside those that follow from mappings: values worked out by hand."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from builders import SnapshotBuilder
from mapcount.mapping.schema import Kind, Level, ObservedWords
from mapcount.views.comparison import compare
from mapcount.views.observed import CountersOverPasts, WordCheck


def words(*rows):
    """Return a table of rows (folio, word, first page, pages, value)."""
    folio, word, first, nr_pages, value = zip(*rows, strict=True)
    names = np.empty(len(word), object)
    names[:] = word
    return ObservedWords(
        np.array(folio, np.uint32),
        names,
        np.array(first, np.uint32),
        np.array(nr_pages, np.uint32),
        np.array(value, np.int64),
    )


@pytest.fixture
def machine():
    """Folio 0: two mms map 13 and 5 pages, 3 of them both. Folio 1: a THP by a PMD and 7 PTEs of another mm. Folio 2: zeros."""
    b = SnapshotBuilder()
    mms = [b.add_mm() for _ in range(2)]
    vmas = [b.add_vma(mm) for mm in mms]
    small, huge, zero = b.add_folio(4), b.add_folio(9), b.add_folio(9, Kind.ZERO)
    b.map_pages(mms[0], vmas[0], small, 0, 13)
    b.map_pages(mms[1], vmas[1], small, 10, 5)
    b.map_pages(mms[0], vmas[0], huge, level=Level.PMD)
    b.map_pages(mms[1], vmas[1], huge, 3, 7)
    b.map_pages(mms[0], vmas[0], zero, level=Level.PMD)
    return b.build(kernel_release="6.12.9")


RIGHT = (
    (0, "_mapcount", 0, 10, 0),
    (0, "_mapcount", 10, 3, 1),
    (0, "_mapcount", 13, 2, 0),
    (0, "_mapcount", 15, 1, -1),
    (0, "_large_mapcount", 0, 16, 17),
    (0, "_nr_pages_mapped", 0, 16, 15),
    (1, "_mapcount", 0, 3, -1),
    (1, "_mapcount", 3, 7, 0),
    (1, "_mapcount", 10, 502, -1),
    (1, "_entire_mapcount", 0, 512, 0),
    (1, "_large_mapcount", 0, 512, 7),
    (1, "_nr_pages_mapped", 0, 512, (1 << 23) + 7),
    (1, "_refcount", 0, 512, 99),
    (2, "_mapcount", 0, 512, 4711),
)


def checks(snapshot, *rows):
    snapshot = dataclasses.replace(snapshot, observed_words=words(*rows))
    found = compare(snapshot, numbers=["large-mapcount"], answers=[], running="large-mapcount")
    return {check.word: check for check in found.words}


def test_counters_that_follow_from_the_mappings_are_equal(machine):
    found = checks(machine, *RIGHT)
    assert {word: (check.unit, check.compared, check.differ, check.depends) for word, check in found.items()} == {
        "_mapcount": ("pages", 16 + 512, 0, 0),
        "_entire_mapcount": ("folios", 1, 0, 0),
        "_large_mapcount": ("folios", 2, 0, 0),
        "_nr_pages_mapped": ("folios", 2, 0, 0),
    }


@pytest.mark.parametrize("at", range(12))
def test_one_that_is_wrong_is_found(machine, at):
    folio, word, first, nr_pages, value = RIGHT[at]
    rows = [*RIGHT[:at], (folio, word, first, nr_pages, value + 2), *RIGHT[at + 1 :]]
    found = checks(machine, *rows)
    assert {name for name, check in found.items() if check.differ} == {word}
    assert found[word].differ == (nr_pages if word == "_mapcount" else 1)
    where = f"page {first} of folio {folio}" if word == "_mapcount" else f"folio {folio}"
    assert found[word].first == f"{where}: {value + 2} in memory, {value} by the mappings"


def test_another_kernels_way_of_counting_is_not_compared(machine):
    snapshot = dataclasses.replace(machine, observed_words=words(*RIGHT))
    assert compare(snapshot, numbers=["mm-id"], answers=[], running="large-mapcount").words == []
    assert compare(machine, numbers=["mm-id"], answers=[], running="mm-id").words == []


def test_what_pasts_do_not_agree_about_is_left_out(machine):
    counters, base = CountersOverPasts(), np.array([0, 16, 528])
    for unsure in (4, 5):
        counted = np.array([17, unsure, 0])
        counters.add(SimpleNamespace(words={"_large_mapcount": counted}, folios=SimpleNamespace(base=base)))
    rows = [(0, "_large_mapcount", 0, 16, 17), (1, "_large_mapcount", 0, 512, 9)]
    snapshot = dataclasses.replace(machine, observed_words=words(*rows))
    assert counters.checks(snapshot) == [WordCheck("_large_mapcount", "folios", 1, 0, 1)]
