"""Callers: the locks that the source of 7.3 shows, told here once more; what each asks can be asked."""

from __future__ import annotations

import pytest

from mapcount.check.callers import QUESTIONS
from mapcount.check.cells import Cell
from mapcount.check.contexts import CONTEXTS
from mapcount.check.default_models import MOST_MODELS, default_cells
from mapcount.check.harm import Class
from mapcount.check.locks import FOLIO_LOCK, MMAP_LOCK, PAGE_TABLE, RMAP_LOCK
from mapcount.check.verdicts import judge
from mapcount.schemes.catalogue import SCHEMES

# Read off 7.3 (move_pages: 6.5, cow-by-mapcount: 5.17), caller by caller.
LOCKS = {
    "mapcount": set(),
    "mapcount-twice": set(),
    "kpagecount-pages": set(),
    "kpagecount": set(),
    "kpageflags": set(),
    "compaction": set(),
    # It takes the folio's and the rmap's when it goes ahead.
    "migration": set(),
    "move_pages": set(),
    "referenced": set(),
    "smaps": {"ptl"},
    "madvise": {"ptl"},
    "madvise-whole": {"ptl"},
    "numa": {"ptl"},
    "cow-reuse": {"ptl"},
    "khugepaged-scan": {"ptl", "mmap"},
    "cow-by-mapcount": {"ptl", "folio"},
    "split": {"folio", "rmap"},
    "split-to-the-end": {"folio", "rmap"},
    "reclaim": {"folio"},
    "remove-mapping": {"folio"},
    "memory-failure": {"folio"},
    "lazyfree": {"folio", "rmap", "ptl"},
    "collapse": {"folio", "ptl", "mmap"},
}


def test_locks():
    assert {context.id: set(context.locks) for context in CONTEXTS.values()} == LOCKS


def test_the_locks_of_a_process_are_those_of_the_readers():
    assert set(CONTEXTS["collapse"].holds()) == {FOLIO_LOCK, PAGE_TABLE + 1, MMAP_LOCK + 1}
    assert set(CONTEXTS["compaction"].holds(["rmap"])) == {RMAP_LOCK}
    # A lock that it has is not taken twice.
    assert CONTEXTS["split"].holds(["folio"]).count(FOLIO_LOCK) == 1


@pytest.mark.parametrize("context", CONTEXTS.values(), ids=CONTEXTS)
def test_each_says_where_it_is_from_and_what_it_asks(context):
    readers = {reader.name for scheme in SCHEMES for reader in scheme.readers}
    assert set(context.asks) <= readers | set(QUESTIONS)
    assert context.source
    assert context.relies
    for harm in context.relies.values():
        assert harm.damage
        assert bool(harm.recheck) is (harm.kind is Class.RECHECKED)


def test_a_caller_is_hurt_by_one_property_and_only_slowed_down_by_another():
    """Read off 7.3: what comes of a count that hides a pin, and of one that invents one."""
    kinds = {(context.id, name): harm.kind for context in CONTEXTS.values() for name, harm in context.relies.items()}
    # wp_can_reuse_anon_folio(): written in place though shared, or copied for nothing.
    assert kinds["cow-reuse", "no-false-exclusive"] is Class.CONSEQUENTIAL
    assert kinds["cow-reuse", "no-false-shared"] is Class.TORN
    # isolate_migratepages_block(): isolated (migration freezes the references), or goto isolate_fail_put.
    assert kinds["compaction", "pin-never-hidden"] is Class.RECHECKED
    assert kinds["compaction", "never-over"] is Class.TORN
    # __folio_split(): unmaps and freezes, or -EAGAIN.
    assert kinds["split", "pin-never-hidden"] is Class.RECHECKED
    assert kinds["split", "never-over"] is Class.TORN
    # add_folio_for_migration(): goes on, or -EACCES.
    assert kinds["move_pages", "no-false-exclusive"] is Class.CONSEQUENTIAL
    assert kinds["move_pages", "no-false-shared"] is Class.TORN
    for caller in ("collapse", "lazyfree"):
        assert kinds[caller, "pin-never-hidden"] is Class.CONSEQUENTIAL


def test_callers_that_ask_what_others_do_are_not_in_the_default_set():
    assert {context.id for context in CONTEXTS.values() if not context.by_default} == {
        "kpageflags",
        "referenced",
        "memory-failure",
        "numa",
        "madvise-whole",
        "khugepaged-scan",
        # Several reads, for which there is an order or not.
        "mapcount-twice",
        "kpagecount-pages",
        # What comes after a look, judged beside it.
        "migration",
        "split-to-the-end",
        "remove-mapping",
    }
    assert len({cell for cell in default_cells() if cell.context == "referenced"}) == 0
    assert MOST_MODELS == 150


@pytest.mark.parametrize(
    ("scheme", "reader", "broken"),
    [
        # 6.2's loop can pass a page before it is mapped and another after it is unmapped; one counter cannot.
        ("nr-pages-mapped", "referenced", {"never-under"}),
        ("large-mapcount", "referenced", set()),
        ("mm-id", "memory-failure", set()),
        # Without owner slots two processes of a page each look like one: wrong without a race.
        ("large-mapcount", "numa", {"no-false-exclusive"}),
        ("mm-id", "numa", set()),
    ],
)
def test_callers_on_request(scheme, reader, broken):
    verdict = judge(Cell(scheme, reader, CONTEXTS[reader].writers[0], 2))
    assert {one.property for one in verdict.violations} == broken
    assert verdict.complete
