"""Inside every operation, each era's scheme does what a real kernel of the era was seen to do, access by access."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from kernels.recorded_accesses import EXPECTED, NAMES, PATHS
from kernels.wrong_schemes import WRONG
from mapcount.errors import BadLogError
from mapcount.kernels.access_comparison import Verdict, compare
from mapcount.kernels.access_model import accesses_of
from mapcount.kernels.access_operations import operations
from mapcount.kernels.access_table import compare_recording, load_recording, missing, save_recording
from mapcount.schemes.catalogue import find_scheme
from mapcount.schemes.eras import era_of
from mapcount.schemes.ops import Access
from schemes.mutation import mutated

RECORDINGS = {path.stem: load_recording(path) for path in PATHS}


@cache
def rows_of(name):
    return tuple(compare_recording(RECORDINGS[name]))


SCHEMES_OF = {
    "5.10": "double-map:before-5.19",
    "6.1": "double-map",
    "6.12": "large-mapcount",
    "6.16": "mm-id",
    "6.18": "mm-id",
    "7.0": "mm-id",
    "7.3": "mm-id",
    "7.3-no-page-mapcount": "no-page-mapcount",
}


def test_all_kernels_are_there_with_all_operations():
    assert set(NAMES) == EXPECTED
    for name, recording in RECORDINGS.items():
        assert missing(recording) == [], name
        assert len(recording.operations) == (25 if name in {"5.10", "6.1"} else 37)
        assert len(recording.sha256) == 64


@pytest.mark.parametrize("name", NAMES)
def test_a_scheme_does_what_its_kernel_does_in_its_order(name):
    for row in rows_of(name):
        assert row.scheme == SCHEMES_OF[name]
        assert row.comparison.agrees, (row.operation, row.order, row.comparison.counts)
        assert row.comparison.kernel, f"{row.operation} of order {row.order} did nothing"


def test_only_plain_stores_under_the_lock_or_to_a_new_folio_are_swapped_by_compilers():
    """Where the order is not the scheme's, the source has the scheme's: include/linux/rmap.h of 7.3, slots and counts."""
    swapped = {
        access.word
        for name in NAMES
        for row in rows_of(name)
        if row.comparison.verdict is Verdict.COMPILER
        for access, other in zip(row.comparison.kernel, row.comparison.scheme, strict=True)
        if access != other
    }
    assert swapped <= {
        "_large_mapcount",
        "_nr_pages_mapped",
        *(f"_mm_id[{slot}]" for slot in (0, 1)),
        *(f"_mm_id_mapcount[{slot}]" for slot in (0, 1)),
    }
    # Up to 6.12 all are atomic operations or volatile stores.
    for name in ("5.10", "6.1", "6.12"):
        assert {row.comparison.verdict for row in rows_of(name)} == {Verdict.SAME}


@pytest.mark.parametrize(
    ("name", "operation", "order", "locked"),
    [
        # Counted by another plugin, which knew words by their address alone.
        ("6.12", "fork of PTEs", 9, {"_mapcount": 512, "_large_mapcount": 1, "PG_anon_exclusive": 512}),
        ("7.3", "fork of PTEs", 9, {"_mapcount": 512, "FOLIO_MM_IDS_LOCK": 1, "PG_anon_exclusive": 512}),
        ("7.3-no-page-mapcount", "fork of PTEs again", 9, {"FOLIO_MM_IDS_LOCK": 1}),
        ("6.1", "fork of PTEs again", 9, {"_mapcount": 512}),
        ("5.10", "fork of a PMD", 9, {"compound_mapcount": 1}),
        ("6.12", "fork of PTEs", 4, {"_mapcount": 16, "_large_mapcount": 1, "PG_anon_exclusive": 16}),
        ("6.12", "munmap of shared half", 9, {"_mapcount": 256, "_large_mapcount": 1}),
        ("6.1", "PMD split, shared", 9, {"_mapcount": 1024, "compound_mapcount": 1, "PG_double_map": 1}),
        ("6.1", "shmem: mapping by PMD", 9, {"_mapcount": 512, "compound_mapcount": 1}),
    ],
)
def test_locked_accesses_by_hand(name, operation, order, locked):
    [row] = [row for row in rows_of(name) if (row.operation, row.order) == (operation, order)]
    counted = {count.word: count.kernel for count in row.comparison.counts if count.how is Access.LOCKED}
    assert counted == locked


def test_smaps_asks_two_words_of_every_page_in_this_order():
    for name in ("6.12", "6.16", "6.18", "7.0", "7.3"):
        [recorded] = [one for one in RECORDINGS[name].operations if (one.name, one.order) == ("smaps of PTEs", 4)]
        counters = [(access.word, access.at) for access in recorded.accesses if access.word != "_refcount"]
        assert counters == [pair for page in range(16) for pair in (("_mapcount", page), ("_entire_mapcount", 0))]


def test_references_come_before_mappings_and_go_after_them():
    """What the windows of races rest on: a folio never has fewer references than mappings, but in a PMD split."""
    for recording in RECORDINGS.values():
        for operation in recording.operations:
            words = [access.word for access in operation.accesses if access.how is not Access.LOAD]
            if operation.name.startswith("fork"):
                assert words[0] == "_refcount", (recording.release, operation.name)
            if operation.name.startswith(("exit", "munmap", "DONTNEED")):
                assert words[-1] == "_refcount", (recording.release, operation.name)
                assert words[0] != "_refcount"


@pytest.mark.parametrize("what", WRONG)
def test_a_scheme_with_two_accesses_swapped_or_one_too_many_or_few_is_found_out(what):
    scheme, module, old, new, kernels = WRONG[what]
    wrong = mutated(scheme, module, old, new)
    for name in kernels:
        assert not all(row.comparison.agrees for row in compare_recording(RECORDINGS[name], wrong))


@pytest.mark.parametrize("name", NAMES)
def test_no_access_of_a_kernel_can_be_swapped_or_left_out(name):
    """The other way round: every operation is asked, so that none compares nothing."""
    recording = RECORDINGS[name]
    era = era_of(recording.release, page_mapcount=recording.page_mapcount)
    scheme = find_scheme(era.scheme)
    words = {place.word.name for place in scheme.scheme.places if not place.small_only}
    known = {(operation.name, operation.order): operation for operation in operations()}
    for recorded in recording.operations:
        operation = known[recorded.name, recorded.order]
        expected = accesses_of(scheme, operation, era)
        accesses = [access._replace(function="") for access in recorded.accesses if access.word in words]
        assert compare(accesses, expected, words, reads=operation.reads).agrees
        for changed in _changed(accesses):
            assert not compare(changed, expected, words, reads=operation.reads).agrees, (recorded.name, recorded.order)


def _changed(accesses):
    """Yield the sequence without one access, and with two neighbours swapped that are not both plain stores."""
    for at in {0, len(accesses) // 2, len(accesses) - 1}:
        yield accesses[:at] + accesses[at + 1 :]
    pairs = [at for at in range(len(accesses) - 1) if accesses[at] != accesses[at + 1]]
    fixed = [at for at in pairs if {accesses[at].how, accesses[at + 1].how} != {Access.STORE}]
    for at in {fixed[0], fixed[len(fixed) // 2], fixed[-1]} if fixed else set():
        yield [*accesses[:at], accesses[at + 1], accesses[at], *accesses[at + 2 :]]


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_is_the_same_when_it_was_written_and_read(name, tmp_path):
    path = tmp_path / "again.json"
    save_recording(path, RECORDINGS[name])

    assert load_recording(path) == RECORDINGS[name]
    assert path.read_bytes() == PATHS[NAMES.index(name)].read_bytes()


def test_an_operation_of_another_version_is_refused_by_name():
    recording = RECORDINGS["6.12"]
    other = replace(recording.operations[0], name="fork of a PUD")
    with pytest.raises(BadLogError, match="'fork of a PUD' of order 9"):
        list(compare_recording(replace(recording, operations=(other,))))


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"format": 2}', '{"format": 1, "operations": [{"name": "x"}]}'])
def test_what_is_no_recording_is_refused_by_name(text, tmp_path):
    path = tmp_path / "broken.json"
    path.write_text(text)
    with pytest.raises(BadLogError, match=r"broken\.json"):
        load_recording(path)
