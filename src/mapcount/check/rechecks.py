"""What callers do when they go ahead: they unmap what they find, look again, and compare the references before they act.

Written like a scheme; the scheme's own readers are put in place (callers.py). Each returns 0 when it goes ahead, and what
stopped it else. What is compared in the end is one access, as in the kernel, where it sets the count to 0 as well: that
nobody gets a reference from then on is after all that is judged.
"""

# The scheme's readers are put in place of names that do not exist here.
# mypy: disable-error-code="name-defined, no-any-return"
# ruff: noqa: F821

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.check.locks import FOLIO_LOCK, RMAP_LOCK, hold, release
from mapcount.check.page_tables import replace_all
from mapcount.check.references import _refcount
from mapcount.schemes.ops import atomic_read

if TYPE_CHECKING:
    from mapcount.schemes.memory import Memory

EXPECTED = 0
FREEZE = 1
"""Whether the references are compared before it acts."""


def migration(m: Memory, folio: int, order: int, page: int) -> int:
    """
    Migrate the folio unless it seems pinned, as compaction does.

    References less mappings, then all mappings become migration entries, then nothing may map it, then the references are
    compared with what is expected, which is the mapcount (read first) and the references that are known of. Sources, 7.3:
    mm/compaction.c isolate_migratepages_block(); mm/migrate.c migrate_folio_unmap(), folio_migrate_mapping().
    """
    count = atomic_read(m, _refcount, folio)
    if count - EXPECTED > folio_mapcount(m, folio, order, page):
        return 1
    hold(m, FOLIO_LOCK)
    hold(m, RMAP_LOCK)
    replace_all(m, folio, order, 0)
    release(m, RMAP_LOCK)
    stopped = 0
    if folio_mapped(m, folio, order, page):
        stopped = 1
    elif FREEZE:
        expected = folio_mapcount(m, folio, order, page) + EXPECTED
        if atomic_read(m, _refcount, folio) != expected:
            stopped = 1
    release(m, FOLIO_LOCK)
    return stopped


def split_to_the_end(m: Memory, folio: int, order: int, page: int) -> int:
    """
    Split the folio unless it seems pinned: what is compared in the end is what is known of, without any mapcount.

    Source: mm/huge_memory.c __folio_split(), unmap_folio(), __folio_freeze_and_split_unmapped(), 7.3.
    """
    expected = folio_mapcount(m, folio, order, page) + EXPECTED
    if atomic_read(m, _refcount, folio) != expected:
        return 1
    replace_all(m, folio, order, 1)
    if FREEZE and atomic_read(m, _refcount, folio) != EXPECTED:
        return 1
    return 0


def remove_mapping(m: Memory, folio: int, order: int, page: int) -> int:
    """
    Reclaim the folio if nothing seems to map it: each mapping has a reference, and there must be none.

    What it unmaps otherwise is not modelled. Source: mm/vmscan.c shrink_folio_list(), __remove_mapping(), 7.3.
    """
    if folio_mapped(m, folio, order, page):
        return 1
    if FREEZE and atomic_read(m, _refcount, folio) != EXPECTED:
        return 1
    return 0
