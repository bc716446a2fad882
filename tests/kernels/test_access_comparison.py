"""What counts as the same: LOCKed accesses in their order; plain stores may be swapped only between two fixed accesses."""

from __future__ import annotations

from mapcount.kernels.access_comparison import Count, Verdict, compare
from mapcount.kernels.word_access import WordAccess
from mapcount.schemes.ops import Access

WORDS = {"_large_mapcount", "_mm_id[0]", "_mm_id_mapcount[0]", "FOLIO_MM_IDS_LOCK", "FOLIO_MM_IDS_SHARED"}


def locked(word, before=0, after=1):
    return WordAccess(Access.LOCKED, word, 0, before, after)


def store(word, before=0, after=1):
    return WordAccess(Access.STORE, word, 0, before, after)


LOCK, UNLOCK = locked("FOLIO_MM_IDS_LOCK"), store("FOLIO_MM_IDS_LOCK", 1, 0)
A, B = store("_mm_id[0]"), store("_mm_id_mapcount[0]")


def test_the_same_sequence_is_the_same_whatever_the_functions():
    comparison = compare([LOCK._replace(function="f"), A, UNLOCK], [LOCK, A, UNLOCK], WORDS)
    assert (comparison.verdict, comparison.first_difference) == (Verdict.SAME, None)


def test_plain_stores_under_the_lock_may_be_swapped():
    comparison = compare([LOCK, B, A, UNLOCK], [LOCK, A, B, UNLOCK], WORDS)
    assert (comparison.verdict, comparison.first_difference) == (Verdict.COMPILER, 1)
    assert comparison.agrees


def test_volatile_stores_keep_their_order_and_others_may_pass_them():
    large, entire = store("_large_mapcount"), store("_entire_mapcount")
    words = WORDS | {"_entire_mapcount"}
    assert compare([B, large, entire, A], [large, A, entire, B], words).verdict is Verdict.COMPILER
    assert compare([entire, large], [large, entire], words).verdict is Verdict.ORDER


def test_a_store_may_not_leave_the_lock():
    for kernel in ([LOCK, B, UNLOCK, A], [A, LOCK, B, UNLOCK]):
        assert compare(kernel, [LOCK, A, B, UNLOCK], WORDS).verdict is Verdict.ORDER


def test_locked_accesses_may_not_be_swapped():
    one, two = locked("_large_mapcount"), locked("_mm_id[0]")
    assert compare([two, one], [one, two], WORDS).verdict is Verdict.ORDER


def test_a_locked_access_is_no_plain_store():
    comparison = compare([locked("_mm_id[0]")], [A], WORDS)
    assert comparison.verdict is Verdict.COUNTS
    assert comparison.counts == (
        Count(Access.LOCKED, "_mm_id[0]", 1, 0),
        Count(Access.STORE, "_mm_id[0]", 0, 1),
    )


def test_another_value_is_a_difference():
    comparison = compare([locked("_large_mapcount", 5, 6)], [locked("_large_mapcount", 6, 7)], WORDS)
    assert (comparison.verdict, comparison.first_difference) == (Verdict.ORDER, 0)


def test_one_access_more_or_less_is_found_at_the_end():
    for kernel, scheme in (([LOCK, UNLOCK, A], [LOCK, UNLOCK]), ([LOCK, UNLOCK], [LOCK, UNLOCK, A])):
        comparison = compare(kernel, scheme, WORDS)
        assert (comparison.verdict, comparison.first_difference) == (Verdict.COUNTS, 2)


def test_what_changes_nothing_in_shared_bytes_is_what_the_scheme_does_there_without_change():
    nothing, clear = store("_mm_ids", 0, 0), store("FOLIO_MM_IDS_SHARED", 0, 0)
    assert compare([LOCK, nothing, UNLOCK], [LOCK, clear, UNLOCK], WORDS).verdict is Verdict.SAME
    set_it = store("FOLIO_MM_IDS_SHARED", 0, 1)
    assert not compare([LOCK, nothing, UNLOCK], [LOCK, set_it, UNLOCK], WORDS).agrees
    assert not compare([LOCK, nothing, UNLOCK], [LOCK, UNLOCK], WORDS).agrees


def test_other_words_are_told_apart_and_loads_left_out():
    load = WordAccess(Access.LOAD, "_large_mapcount", 0, 5, 5)
    comparison = compare([locked("_refcount"), load, LOCK, locked("_refcount")], [load, load, LOCK], WORDS)
    assert comparison.verdict is Verdict.SAME
    assert comparison.others == {"LOCKED _refcount": 2}
