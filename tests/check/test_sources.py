"""What depends on what, on functions of a few lines whose answer can be read off, and on the thread's words."""

from __future__ import annotations

import pytest

from check.tiny import tiny_scheme
from mapcount.check.sources import falls_with, sources_of
from mapcount.schemes.catalogue import find_scheme

HELPERS = {
    "a value": ("return read(m, X, folio) + order", {"x"}),
    "two values": ("a = read(m, X, folio)\n    b = read(m, Y, folio)\n    return a if order else a + b", {"x"}),
    "a decision": ("if read(m, X, folio):\n        return 1\n    return 2", {"x"}),
    "no decision": ("a = 1\n    if read(m, X, folio):\n        store(m, Y, folio, 3)\n    return a", set()),
    "what was overwritten before": ("store(m, X, folio, 1)\n    return order", set()),
    "a loop that ends": ("n = 0\n    while read(m, X, folio) > n:\n        n += 1\n    return n", {"x"}),
    "a value carried round": (
        "a = 0\n    b = 0\n    for i in range(order):\n        a = b\n        b = read(m, Y, folio)\n    return a",
        {"y"},
    ),
    "a decision inside of another": (
        "a = 0\n    if read(m, X, folio):\n        if read(m, Y, folio):\n            a = 1\n    return a",
        {"x", "y"},
    ),
    "after both ways met": ("if read(m, X, folio):\n        smp_mb(m)\n    return read(m, Y, folio)", {"y"}),
    "what an atomic returns": ("return atomic_inc_and_test(m, X, folio)", {"x"}),
}


@pytest.mark.parametrize("what", HELPERS)
def test_an_answer_depends_on(tmp_path, what):
    body, expected = HELPERS[what]
    scheme = tiny_scheme(tmp_path, f"def asked(m, folio, order, page):\n    {body}\n", ["asked"])
    assert sources_of(scheme).answers["asked"] == expected


def test_words_statistics_and_the_queue(tmp_path):
    source = """
    def unmap_ptes(m, folio, order, page, nr, mm):
        if atomic_dec_and_negative(m, Z, page):
            mod_stat(m, folio, 1, read(m, X, folio))
            atomic_inc(m, Y, folio)
            if read(m, Y, folio) and folio_test_anon(m, folio):
                deferred_split_folio(m, folio, order)
    """
    found = sources_of(tiny_scheme(tmp_path, source))
    assert found.statistics == {1: {"x", "z"}}
    assert found.words["y"] == {"z"}
    assert found.queue == {"y", "z"}
    assert falls_with(found, ["z"]) == ["y"]
    assert falls_with(found, ["y"]) == []
    assert [frame.function for frame in found.read_at["y"]] == ["unmap_ptes"]


def test_nr_pages_mapped_must_go_before_the_counts_of_pages_can():
    """The thread's sentence. It depends on the counts of pages; none of the others does, and nothing depends on it."""
    for scheme in ("mm-id", "large-mapcount", "nr-pages-mapped", "total-mapcount"):
        found = sources_of(find_scheme(scheme))
        assert falls_with(found, ["_mapcount"]) == ["_nr_pages_mapped"], scheme
        assert falls_with(found, ["_nr_pages_mapped"]) == [], scheme
