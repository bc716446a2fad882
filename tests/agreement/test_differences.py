"""Differences between states that were written down by hand: entries, folios, words, /proc."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mapcount.agreement.differences import Difference, Matcher
from mapcount.mapping.schema import Kind, Level
from mapcount.scenarios.observation import FolioState, Mapped, Observation, VmaReading


def anon(order=0, **words):
    return FolioState(order, Kind.ANON, words)


def pte(process, page, folio, first=0, nr_pages=1):
    return Mapped(process, "a", page, folio, first, nr_pages, Level.PTE)


def seen(*mappings, result=0, **folios):
    return Observation(result, tuple(sorted(mappings)), folios)


def differences(left, right, step=0):
    return Matcher().compare(step, left, right)


SIXTEEN = seen(pte("p", 0, "f0", 0, 16), f0=anon(4))


def test_equal_states_have_none_and_names_do_not_matter():
    left = seen(pte("p", 0, "f0"), pte("p", 1, "f1"), f0=anon(_refcount=1), f1=anon(_refcount=2))
    right = seen(pte("p", 0, "f1"), pte("p", 1, "x"), x=anon(_refcount=2), f1=anon(_refcount=1))
    matcher = Matcher()
    assert matcher.compare(0, left, right) == []
    assert matcher.tally.compared["_refcount"] == 2


def test_results_and_steps_are_told():
    assert differences(seen(result=3), seen(result=-14), step=7) == [Difference(7, "", "result", 3, -14)]


def test_the_pages_that_differ_are_named():
    right = seen(pte("p", 0, "f0", 0, 5), pte("p", 7, "f0", 7, 9), f0=anon(4))
    assert differences(SIXTEEN, right) == [
        Difference(0, "p: a[5:7]", "page tables", "f0[5:7] pte", "not mapped"),
    ]


def test_another_page_of_the_folio_is_a_difference():
    right = seen(pte("p", 0, "f0", 0, 15), pte("p", 15, "f0", 14), f0=anon(4))
    assert differences(SIXTEEN, right) == [Difference(0, "p: a[15]", "page tables", "f0[15] pte", "f0[14] pte")]


def test_a_pmd_is_not_512_ptes():
    left = seen(Mapped("p", "a", 0, "f0", 0, 512, Level.PMD), f0=anon(9))
    right = seen(pte("p", 0, "f0", 0, 512), f0=anon(9))
    assert differences(left, right)[0] == Difference(0, "p: a[0:512]", "page tables", "f0[0:512] pmd", "f0[0:512] pte")


def test_runs_that_are_cut_elsewhere_are_equal():
    right = seen(pte("p", 0, "f0", 0, 7), pte("p", 7, "f0", 7, 9), f0=anon(4))
    assert differences(SIXTEEN, right) == []


def test_a_process_that_only_one_has():
    right = seen(pte("p", 0, "f0", 0, 16), pte("c", 3, "f0", 3), f0=anon(4))
    assert differences(SIXTEEN, right) == [Difference(0, "c: a[3]", "page tables", "not mapped", "f0[3] pte")]


def test_stretches_end_where_the_folio_does():
    right = seen(pte("p", 0, "f0", 0, 12), f0=anon(4))
    left = seen(pte("p", 0, "f0", 0, 14), pte("p", 14, "f1"), pte("p", 15, "f2"), f0=anon(4), f1=anon(), f2=anon())
    assert [one.subject for one in differences(left, right)[:3]] == ["p: a[12:14]", "p: a[14]", "p: a[15]"]


def test_one_folio_that_is_two_there():
    left = seen(pte("p", 0, "f0"), pte("c", 0, "f0"), f0=anon())
    right = seen(pte("p", 0, "f0"), pte("c", 0, "f1"), f0=anon(), f1=anon())
    found = differences(left, right)
    assert {one.field for one in found} == {"identity", "folios"}
    assert Difference(0, "", "folios", (), ("f0 (anon, order 0)",)) in found


def test_two_folios_that_are_one_there():
    left = seen(pte("p", 0, "f0"), pte("c", 0, "f1"), f0=anon(), f1=anon())
    right = seen(pte("p", 0, "f0"), pte("c", 0, "f0"), f0=anon())
    assert {one.field for one in differences(left, right)} == {"identity", "folios"}


def test_what_was_one_stays_one():
    matcher = Matcher()
    before = seen(pte("p", 0, "f0"), pte("c", 1, "f1"), f0=anon(), f1=anon())
    assert matcher.compare(0, before, before) == []
    swapped = seen(pte("p", 0, "f1"), pte("c", 1, "f0"), f0=anon(), f1=anon())
    assert [one.field for one in matcher.compare(1, before, swapped)] == ["identity", "identity"]


def test_a_folio_that_nobody_maps_any_more_is_still_compared():
    matcher, file = Matcher(), FolioState(0, Kind.SHMEM, {"_refcount": 2})
    assert matcher.compare(0, seen(pte("p", 0, "f0"), f0=file), seen(pte("p", 0, "g"), g=file)) == []
    other = FolioState(0, Kind.SHMEM, {"_refcount": 1})
    assert matcher.compare(1, seen(f0=file), seen(g=other)) == [Difference(1, "f0", "_refcount", 2, 1)]
    assert matcher.compare(2, seen(f0=file), seen())[0].field == "folios"


def test_a_name_may_come_again_for_another_folio():
    matcher = Matcher()
    matcher.compare(0, seen(pte("p", 0, "f0"), f0=anon()), seen(pte("p", 0, "f0"), f0=anon()))
    matcher.compare(1, seen(), seen())
    after = seen(pte("p", 5, "f0"), f0=anon()), seen(pte("p", 5, "f1"), f1=anon())
    assert matcher.compare(2, *after) == []


@pytest.mark.parametrize(
    ("word", "here", "there"),
    [
        ("_mapcount", ((0, 5), (1, 11)), ((0, 16),)),
        ("_mm_id", ("p", None), (None, "p")),
        ("_mm_id_mapcount", (15, -1), (-1, 15)),
        ("shared", 0, 1),
    ],
)
def test_words_of_each_form(word, here, there):
    left, right = (replace(SIXTEEN, folios={"f0": anon(4, **{word: value})}) for value in (here, there))
    assert differences(left, right) == [Difference(0, "f0", word, here, there)]


def test_order_and_kind():
    right = replace(SIXTEEN, folios={"f0": FolioState(5, Kind.SHMEM, {})})
    assert [one.field for one in differences(SIXTEEN, right)] == ["order", "kind"]


def test_what_only_one_has_is_counted_and_not_compared():
    matcher = Matcher()
    left, right = (replace(SIXTEEN, folios={"f0": anon(4, **words)}) for words in ({"here": 1}, {"there": 2}))
    assert matcher.compare(0, left, right) == []
    assert (matcher.tally.only_left["here"], matcher.tally.only_right["there"]) == (1, 1)
    assert "here" not in matcher.tally.compared


def test_words_of_folios_are_compared_though_tables_differ():
    left = seen(pte("p", 0, "f0"), pte("p", 9, "f1"), f0=anon(_refcount=1), f1=anon(_refcount=1))
    right = seen(pte("p", 0, "f0"), f0=anon(_refcount=3))
    assert Difference(0, "f0", "_refcount", 1, 3) in differences(left, right)


def reading(once=((1, 3),), **sizes):
    return VmaReading("p", "a", 0, 3, sizes, once)


def test_numbers_of_proc():
    left = replace(seen(), proc=(reading(Rss=4096, Shared_Clean=1, Shared_Dirty=2, Left=1),))
    right = replace(seen(), proc=(reading(((0, 3),), Rss=8192, Shared=4, Right=1),))
    matcher = Matcher()
    assert matcher.compare(0, left, right) == [
        Difference(0, "p: a[0:3]", "Rss", 4096, 8192),
        Difference(0, "p: a[0:3]", "Shared", 3, 4),
        Difference(0, "p: a[0:3]", "bit 56", ((1, 3),), ((0, 3),)),
    ]
    assert matcher.tally.only_left["Left"] == matcher.tally.only_right["Right"] == 1


def test_vmas_that_only_one_has():
    left = replace(seen(), proc=(reading(Rss=4096),))
    right = replace(seen(), proc=(replace(reading(Rss=4096), end=5),))
    assert differences(left, right) == [Difference(0, "", "VMAs", ("p: a[0:3]",), ("p: a[0:5]",))]


def test_kpagecount_where_both_read_it():
    left = replace(SIXTEEN, kpagecount={"f0": ((1, 16),)})
    assert differences(left, SIXTEEN) == []
    right = replace(SIXTEEN, kpagecount={"f0": ((2, 16),)})
    assert [one.field for one in differences(left, right)] == ["kpagecount"]
