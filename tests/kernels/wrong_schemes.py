"""Schemes that are wrong inside an operation, though right after it: source texts to be replaced, and who must tell."""

from __future__ import annotations

from typing import NamedTuple


class Wrong(NamedTuple):
    scheme: str
    module: str
    old: str
    new: str
    kernels: tuple[str, ...]


WRONG = {
    "large-mapcount, unmap of a PMD: the total last": Wrong(
        "large_mapcount",
        "large_mapcount",
        """\
    atomic_dec(m, _large_mapcount, folio)
    if atomic_dec_and_negative(m, _entire_mapcount, folio):
        unmapped = pages_from_last_pmd(m, folio, order)
""",
        """\
    if atomic_dec_and_negative(m, _entire_mapcount, folio):
        unmapped = pages_from_last_pmd(m, folio, order)
    atomic_dec(m, _large_mapcount, folio)
""",
        ("6.12",),
    ),
    "mm-id, fork of a PMD: the slots first": Wrong(
        "mm_id",
        "mm_id",
        """\
    atomic_inc(m, _entire_mapcount, folio)
    add_large_mapcount(m, folio, 1, mm)
    return 0""",
        """\
    add_large_mapcount(m, folio, 1, mm)
    atomic_inc(m, _entire_mapcount, folio)
    return 0""",
        ("6.16", "6.18", "7.0", "7.3"),
    ),
    "mm-id, PMD split: AnonExclusive before the counts": Wrong(
        "mm_id",
        "mm_id",
        """\
    map_ptes(m, folio, order, page, 1 << order, mm)
    hand_down(m, page, 1 << order, exclusive)
""",
        """\
    hand_down(m, page, 1 << order, exclusive)
    map_ptes(m, folio, order, page, 1 << order, mm)
""",
        ("6.16", "6.18", "7.0", "7.3"),
    ),
    "mm-id: the lock is released before the slots change": Wrong(
        "mm_id",
        "mm_slots",
        """\
    add_to_slot(m, folio, large, nr, mm)
    bit_spin_unlock(m, FOLIO_MM_IDS_LOCK, folio)
""",
        """\
    bit_spin_unlock(m, FOLIO_MM_IDS_LOCK, folio)
    add_to_slot(m, folio, large, nr, mm)
""",
        ("6.16", "6.18", "7.0", "7.3"),
    ),
    "mm-id: a second store of the total": Wrong(
        "mm_id",
        "mm_slots",
        """\
    sub_from_slot(m, folio, large, nr, mm)
""",
        """\
    store(m, _large_mapcount, folio, large)
    sub_from_slot(m, folio, large, nr, mm)
""",
        ("6.16", "6.18", "7.0", "7.3"),
    ),
    "large-mapcount: _nr_pages_mapped is not touched when pages go": Wrong(
        "large_mapcount",
        "pages_mapped",
        """\
    if last and atomic_sub_return_relaxed(m, _nr_pages_mapped, folio, last) < ENTIRELY_MAPPED:
""",
        """\
    if last:
""",
        ("6.12",),
    ),
    "no-page-mapcount, unmap of a PMD: the slots first": Wrong(
        "no_page_mapcount",
        "no_page_mapcount",
        """\
    last = atomic_dec_and_negative(m, _entire_mapcount, folio)
    mapcount = sub_large_mapcount(m, folio, 1, mm)
""",
        """\
    mapcount = sub_large_mapcount(m, folio, 1, mm)
    last = atomic_dec_and_negative(m, _entire_mapcount, folio)
""",
        ("7.3-no-page-mapcount",),
    ),
    "double-map, fork: the count before AnonExclusive": Wrong(
        "double_map",
        "double_map",
        """\
            share(m, folio, i)
        atomic_inc(m, _mapcount, i)
""",
        """\
            pass
        atomic_inc(m, _mapcount, i)
        share(m, folio, i)
""",
        ("6.1",),
    ),
}
