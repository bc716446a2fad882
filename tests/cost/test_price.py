"""Prices against the tables of what real kernels executed, and against counts made by hand."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from mapcount.cost.operations import OPERATIONS, find_operations
from mapcount.cost.price import Prepared, price, prices
from mapcount.errors import UsageError
from mapcount.kernels.access_table import load_recording
from mapcount.schemes.catalogue import SCHEMES, find_scheme
from mapcount.schemes.eras import era_of

RECORDED = sorted((Path(__file__).parent.parent / "golden" / "accesses").glob("*.json"))
IN_KERNELS = {
    "fork": "fork of PTEs",
    "munmap": "exit, the last PTEs",
    "dontneed": "DONTNEED of own half",
    "cow": "COW of a page",
    "pmd-split": "PMD split, exclusive",
    "exit": "exit with shared PTEs",
}
"""Our operations, as the tables of accesses call them."""


def by_hand(scheme, operation, order, *, rmap=True, refs=True):
    (found,) = find_operations([operation])
    return price(find_scheme(scheme), found, order, rmap_batched=rmap, references_batched=refs)


def executed(path):
    """Give (operation, order, LOCKed, stores, LOCKed of _refcount) of what a kernel did to the words of its scheme."""
    recording = load_recording(path)
    era = era_of(recording.release, page_mapcount=recording.page_mapcount)
    words = {place.word.name for place in find_scheme(era.scheme).scheme.places if not place.small_only}
    ours = {name: operation for operation, name in IN_KERNELS.items()}
    for recorded in recording.operations:
        if recorded.name in ours:
            counts = Counter((access.how.name, access.word) for access in recorded.accesses)
            locked, stores = (
                sum(number for (how, word), number in counts.items() if how == wanted and word in words)
                for wanted in ("LOCKED", "STORE")
            )
            yield ours[recorded.name], recorded.order, locked, stores, counts["LOCKED", "_refcount"]


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_prices_are_what_the_kernel_executed(path):
    recording = load_recording(path)
    era = era_of(recording.release, page_mapcount=recording.page_mapcount)
    seen = 0
    for operation, order, locked, stores, references in executed(path):
        batched = era.policies.batches_fork if operation == "fork" else era.policies.batches_unmap
        ours = by_hand(era.scheme, operation, order, rmap=batched, refs=batched)
        assert (operation, order, ours.locked, ours.stores) == (operation, order, locked, stores)
        assert (operation, order, ours.references) == (operation, order, references)
        seen += 1
    assert seen == (6 if era.version < (6, 8) else 11), "of PMD size, and from 6.8 on of 64 KiB"


def test_the_other_way_to_batch_is_not_what_the_kernel_executed():
    """The judge above can fail."""
    (path,) = [path for path in RECORDED if path.stem == "6.12"]
    (fork,) = [row for row in executed(path) if row[:2] == ("fork", 9)]
    assert by_hand("large-mapcount", "fork", 9, rmap=False).locked != fork[2]
    assert by_hand("large-mapcount", "fork", 9, refs=False).references != fork[4]


def test_known_values():
    """Forking an exclusive folio of 8 pages: each page loses its flag and counts; the folio counts once or 8 times."""
    assert by_hand("large-mapcount", "fork", 3).locked == 8 + 8 + 1
    assert by_hand("large-mapcount", "fork", 3, rmap=False).locked == 8 + 8 + 8
    assert by_hand("nr-pages-mapped", "fork", 3).locked == by_hand("nr-pages-mapped", "fork", 3, rmap=False).locked
    # Taking it apart: each page counts, and the folio's count of pages follows, by page or by batch.
    assert by_hand("nr-pages-mapped", "munmap", 3).locked == 8 + 8
    assert by_hand("large-mapcount", "munmap", 3).locked == 8 + 1 + 1
    assert by_hand("large-mapcount:unbatched", "munmap", 3).locked == 8 + 8 + 1
    # A small folio has one count, whatever the design.
    for scheme in SCHEMES:
        assert by_hand(scheme.id, "exit", 0).locked == 1, scheme.id


def test_a_page_of_rmap_id():
    """Each page that forks, of 2 MiB: flag, count, total, the sequence count twice, and three values (order 9)."""
    assert by_hand("rmap-id", "fork", 9).locked == 512 * 8


def test_batching_references_saves_references_alone():
    for name in ("fork", "munmap", "exit"):
        alone, batched = by_hand("mm-id", name, 4, refs=False), by_hand("mm-id", name, 4)
        assert (alone.references, batched.references) == (16, 1)
        assert alone.locked == batched.locked
        assert alone.all_locked - batched.all_locked == 15


def test_struct_pages_are_distinct_and_lines_are_visits():
    """A folio of 16 pages: each call comes to its page and to the second struct page, where the counts are."""
    alone = by_hand("large-mapcount", "fork", 4, rmap=False)
    assert alone.struct_pages == 16
    assert alone.lines == 2 * 16 - 1, "the call for page 1 finds the counts on its own line"
    assert by_hand("large-mapcount", "fork", 4).lines == 16


def test_what_moves_is_not_counted():
    for scheme in SCHEMES:
        moved = by_hand(scheme.id, "remap", 9)
        assert (moved.calls, moved.all_locked, moved.struct_pages) == (0, 0, 0)


@pytest.mark.parametrize("scheme", ["mm-id", "table-pairs", "double-map"])
def test_what_was_asked_before_changes_no_price(scheme):
    """Operations share what is mapped before them; table-pairs also looks at page tables."""
    prepared = Prepared(find_scheme(scheme))
    for operation in (*OPERATIONS, *reversed(OPERATIONS)):
        alone = list(prices(Prepared(find_scheme(scheme)), operation, 9))
        assert list(prices(prepared, operation, 9)) == alone


def test_only_a_folio_of_pmd_size_has_a_pmd_to_split():
    (split,) = find_operations(["pmd-split"])
    assert not list(prices(Prepared(find_scheme("mm-id")), split, 8))
    assert len(list(prices(Prepared(find_scheme("mm-id")), split, 9))) == 4


def test_an_unknown_operation():
    with pytest.raises(UsageError, match=r"no operation 'spoon' to price; there are: fork, munmap"):
        find_operations(["fork", "spoon"])
    assert [one.name for one in find_operations(["Exit", "fork", "exit"])] == ["exit", "fork"]
    assert len({one.name for one in OPERATIONS}) == len(OPERATIONS)
