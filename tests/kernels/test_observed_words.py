"""Words as rows, against rows written down by hand."""

from __future__ import annotations

from mapcount.kernels.observed_words import NOBODY, NOT_IN_THE_SNAPSHOT, words_table
from mapcount.mapping.schema import Kind
from mapcount.scenarios.observation import FolioState


def rows(states):
    table = words_table(states)
    columns = (table.folio_id, table.word, table.first_page, table.nr_pages, table.value)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_words_of_pages_are_stretches_and_others_are_of_the_whole_folio():
    large = FolioState(4, Kind.ANON, {"_mapcount": ((-1, 3), (0, 13)), "_large_mapcount": 12, "shared": 1})
    assert rows({7: FolioState(0, Kind.FILE, {"_mapcount": ((5, 1),), "_refcount": 7}), 3: large}) == [
        (3, "_mapcount", 0, 3, -1),
        (3, "_mapcount", 3, 13, 0),
        (3, "_large_mapcount", 0, 16, 12),
        (3, "shared", 0, 16, 1),
        (7, "_mapcount", 0, 1, 5),
        (7, "_refcount", 0, 1, 7),
    ]


def test_slots_hold_address_spaces_of_the_snapshot():
    words = {"_mm_id": ("11", None), "_mm_id_mapcount": (4, -1)}
    assert rows({0: FolioState(2, Kind.ANON, words)}) == [
        (0, "_mm_id[0]", 0, 4, 11),
        (0, "_mm_id[1]", 0, 4, NOBODY),
        (0, "_mm_id_mapcount[0]", 0, 4, 4),
        (0, "_mm_id_mapcount[1]", 0, 4, -1),
    ]
    [(_, _, _, _, gone), *_] = rows({0: FolioState(2, Kind.ANON, words | {"_mm_id": ("mm id 9", None)})})
    assert gone == NOT_IN_THE_SNAPSHOT


def test_nothing():
    assert rows({}) == []
