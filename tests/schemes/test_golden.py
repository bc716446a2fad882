"""The words of every scheme that a kernel has, against that kernel's own, after every step that was recorded."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mapcount.mapping.schema import Kind, Level, Op
from mapcount.scenarios.observation import Mapped
from mapcount.scenarios.steps import Access, Fork, Mprotect, Mremap, Munmap, Protection, Span
from mapcount.scenarios.text import step_text
from mapcount.schemes.catalogue import find_scheme
from mapcount.schemes.eras import era_of
from schemes import golden
from schemes.golden import Change, changes, compare, page_tables
from schemes.mutation import mutated

UNSEEN = {"PG_locked", "mapcount_seqcount", "FOLIO_MM_IDS_LOCK"}
"""Locks are free whenever words are read."""
SEEN_AS = {"_mm_id[0]": "_mm_id", "_mm_id[1]": "_mm_id", "FOLIO_MM_IDS_SHARED": "shared"}
SEEN_AS |= {"_mm_id_mapcount[0]": "_mm_id_mapcount", "_mm_id_mapcount[1]": "_mm_id_mapcount"}


@pytest.mark.parametrize("kernel", golden.names())
def test_every_word_is_the_kernels_after_every_step(kernel):
    trace = golden.load(kernel)
    mismatches, compared = compare(trace)
    assert mismatches == []
    era = era_of(trace.kernel, page_mapcount=trace.page_mapcount)
    declared = {place.word.name for place in find_scheme(era.scheme).scheme.places} - UNSEEN
    assert {SEEN_AS.get(word, word) for word in declared} <= set(compared), "all words of the scheme were compared"
    assert min(compared.values()) > 500


def test_there_are_kernels_of_each_scheme_that_one_can_boot():
    eras = {
        era_of(trace.kernel, page_mapcount=trace.page_mapcount).scheme for trace in map(golden.load, golden.names())
    }
    assert {"double-map:before-5.19", "double-map", "large-mapcount", "mm-id", "no-page-mapcount"} == eras


WORDS = (
    "_mapcount",
    "_large_mapcount",
    "_mm_id_mapcount",
    "_mm_id",
    "shared",
    "PG_anon_exclusive",
    "deferred",
    "PG_partially_mapped",
)


SCENARIO = "three-mms-64k"


@pytest.mark.parametrize("word", WORDS)
def test_one_wrong_word_is_found_and_no_other(word):
    trace = golden.load("6.18")
    (recorded,) = [one for one in trace.recorded if one.scenario.name == SCENARIO]
    step, seen = recorded.scenario.steps[7], recorded.observations[7]
    (name,) = [name for name, folio in seen.folios.items() if folio.order == 4]
    right = seen.folios[name].words[word]
    wrong = made_wrong(word, right)
    folio = replace(seen.folios[name], words={**seen.folios[name].words, word: wrong})
    observations = list(recorded.observations)
    observations[7] = replace(seen, folios={**seen.folios, name: folio})
    recorded = replace(recorded, observations=tuple(observations))
    mismatches, _ = compare(replace(trace, recorded=(recorded,)))
    assert [(m.scenario, m.step, m.folio, m.word) for m in mismatches] == [(SCENARIO, step_text(step), name, word)]
    assert (mismatches[0].kernel, mismatches[0].ours) == (wrong, right)


def made_wrong(word, right):
    if isinstance(right, int):
        return right ^ 1
    if word == "_mm_id":
        return right[::-1]
    if word == "_mm_id_mapcount":
        return (right[0] + 1, right[1])
    return ((right[0][0] + 1, right[0][1]), *right[1:])


@pytest.mark.parametrize(
    ("kernel", "scheme", "module", "old", "new", "word"),
    [
        (
            "6.12",
            "large_mapcount",
            "large_mapcount",
            "folio, nr)\n    if UNB",
            "folio, 1)\n    if UNB",
            "_large_mapcount",
        ),
        ("6.18", "mm_id", "mm_slots", "if large != nr - 1:", "if large == nr - 1:", "shared"),
        ("6.1", "double_map", "double_map", "folio) + 1 > 1 and", "folio) + 1 > 2 and", "PG_double_map"),
        (
            "6.1",
            "double_map",
            "double_map",
            "            set_bit(m, PG_double_map, folio)",
            "            pass",
            "PG_double_map",
        ),
    ],
)
def test_a_broken_scheme_is_not_the_kernels(kernel, scheme, module, old, new, word, monkeypatch):
    broken = mutated(scheme, module, old, new)
    monkeypatch.setattr(golden, "find_scheme", lambda _: broken)
    mismatches, _ = compare(golden.load(kernel))
    assert word in {m.word for m in mismatches}


def test_another_kernels_scheme_is_not_this_ones():
    mismatches, _ = compare(golden.load("5.10"), "double-map:seqlock")
    assert mismatches == [], "5.10 differs from the proposal in its lock alone"
    trace = golden.load("6.1")
    with pytest.raises(KeyError):
        compare(trace, "large-mapcount")


ANON = {"f0": Kind.ANON, "f1": Kind.ANON}
SHMEM = {"f0": Kind.SHMEM}


SOME = Span("a", 0, 1)
STEPS = {
    "fork": Fork("p", "c"),
    "munmap": Munmap("p", SOME),
    "mprotect": Mprotect("p", SOME, Protection.READ),
    "read": Access("p", SOME, write=False),
    "write": Access("p", SOME, write=True),
    "mremap": Mremap("p", SOME, "b", 0),
}


def derived(verb, before, after, kinds=ANON, known=("f0",)):
    return changes(STEPS[verb], rows(before), rows(after), kinds, set(known))


def rows(mappings):
    return page_tables(tuple(Mapped(mm, "a", *rest[:-1], Level[rest[-1].upper()]) for mm, *rest in mappings))


def test_a_fork_duplicates_what_the_parent_has():
    before = [["p", 0, "f0", 0, 512, "pmd"], ["p", 1024, "f1", 3, 5, "pte"]]
    after = [*before, ["c", 0, "f0", 0, 512, "pmd"], ["c", 1024, "f1", 3, 5, "pte"]]
    assert derived("fork", before, after) == [
        Change(Op.DUP, Level.PMD, "f0", 0, 512, "c"),
        Change(Op.DUP, Level.PTE, "f1", 3, 5, "c"),
    ]


def test_a_partial_unmap_of_a_pmd_splits_it_first():
    assert derived("munmap", [["p", 0, "f0", 0, 512, "pmd"]], [["p", 16, "f0", 16, 496, "pte"]]) == [
        Change(Op.SPLIT_MAPPING, Level.PMD, "f0", 0, 512, "p"),
        Change(Op.UNMAP, Level.PTE, "f0", 0, 16, "p"),
    ]


def test_a_file_loses_its_pmd_instead():
    assert derived("mprotect", [["p", 0, "f0", 0, 512, "pmd"]], [], SHMEM) == [
        Change(Op.UNMAP, Level.PMD, "f0", 0, 512, "p")
    ]
    assert derived("read", [["p", 0, "f0", 0, 512, "pmd"]], [["p", 96, "f0", 96, 16, "pte"]], SHMEM) == [
        Change(Op.UNMAP, Level.PMD, "f0", 0, 512, "p"),
        Change(Op.MAP, Level.PTE, "f0", 96, 16, "p"),
    ]


def test_what_only_moves_changes_nothing():
    before, after = [["p", 0, "f0", 0, 8, "pte"]], [["p", 0, "f0", 0, 5, "pte"], ["p", 1024, "f0", 5, 3, "pte"]]
    assert derived("mremap", before, after) == []


def test_pages_are_copied_one_after_the_other_and_unmapped_together():
    before, after = [["p", 0, "f0", 0, 8, "pte"]], [["p", 3, "f0", 3, 5, "pte"]]
    assert [change.nr for change in derived("munmap", before, after)] == [3]
    assert [change.nr for change in derived("write", before, after)] == [1, 1, 1]


def test_a_run_ends_where_the_page_table_does():
    after = [["p", 510, "f0", 0, 4, "pte"]]
    assert [change.nr for change in derived("read", [], after)] == [2, 2]


def test_only_the_first_mapping_of_an_anon_folio_is_its_first():
    after = [["p", 0, "f1", 0, 4, "pte"]]
    assert derived("write", [], after) == [Change(Op.FIRST_MAP, Level.PTE, "f1", 0, 4, "p")]
    assert derived("write", [], after, known=("f1",))[0].op == Op.MAP
    assert derived("write", [], [["p", 0, "f0", 0, 4, "pte"]], SHMEM, ())[0].op == Op.MAP
