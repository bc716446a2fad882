"""What no kernel would do is refused, with the call and the reason."""

from __future__ import annotations

import pytest

from mapcount.check.model import Call, Model
from mapcount.errors import UsageError
from mapcount.mapping.schema import Kind
from mapcount.schemes.catalogue import find_scheme

MAP = Call("map_ptes", 0, 2, 1)
NEW = Call("new_pmd", mm=1)
DUP = Call("dup_pmd", mm=2)


@pytest.mark.parametrize(
    ("threads", "more", "reason"),
    [
        ((), {}, "1 to 26 threads, not 0"),
        (((Call("unmap_ptes", 0, 2, 1),),), {}, "unmap_ptes 0..2 mm 1: mm 1 maps that in this way|mm 1 maps that"),
        (((MAP, Call("unmap_ptes", 1, 2, 1)),), {}, "mm 1 maps that"),
        (((MAP, Call("unmap_pmd", mm=1)),), {}, "mm 1 maps that"),
        (((MAP,), (Call("map_ptes", 3, 1, 1),)), {}, "another thread works on mm 1"),
        (((Call("new_pmd", mm=1),),), {}, "it belongs to the start"),
        ((), {"start": (MAP, NEW), "threads": ((),)}, "a folio is new once"),
        ((), {"start": (Call("folio_mapcount"),), "threads": ((),)}, "a reader changes nothing"),
        (((Call("folio_pincount"),),), {}, "no operation or reader 'folio_pincount'; its readers are: folio_mapcount"),
        (((Call("page_mapcount", 4),),), {}, "no page 4"),
        (((Call("folio_mapcount", 1),),), {}, "no page 1"),
        (((Call("map_ptes", 3, 2, 1),),), {}, "has pages 0..4"),
        (((Call("map_ptes", 0, 0, 1),),), {}, "has pages 0..4"),
        (((Call("map_ptes", 0, 1, 0),),), {}, "numbered from 1"),
        (((Call("map_hugetlb", mm=1),),), {}, "operations of their own"),
        (((MAP,),), {"kind": Kind.HUGETLB}, "operations of their own"),
        (((Call("map_pmd", mm=1),),), {"order": 0}, "no PMD mapping"),
        ((), {"order": 0, "kind": Kind.HUGETLB, "threads": ((),)}, "no hugetlb folios of order 0"),
        (((DUP,),), {}, "nobody else maps that"),
        (((DUP,), (Call("unmap_pmd", mm=1),)), {"start": (NEW,)}, "nobody else maps that"),
        (((Call("dup_pmd", mm=1),),), {"start": (NEW,)}, "it is no new child"),
        (((DUP, Call("unmap_pmd", mm=2)),), {"start": (NEW,), "pinned": True}, "may be refused"),
    ],
)
def test_a_model_that_makes_no_sense_is_refused(threads, more, reason):
    arguments = {"order": 2, "threads": threads, **more}
    with pytest.raises(UsageError, match=reason):
        Model(find_scheme("large-mapcount"), **arguments)


def test_a_scheme_has_no_folios_where_its_words_have_no_place():
    with pytest.raises(UsageError, match="total-mapcount has no anon folios of order 1"):
        Model(find_scheme("total-mapcount"), 1, ((MAP,),))


def test_anon_is_mixed_by_a_split_alone_where_a_scheme_counts_so():
    scheme = find_scheme("double-map")
    with pytest.raises(UsageError, match="map_ptes beside new_pmd: with double-map only split_pmd mixes"):
        Model(scheme, 2, ((Call("map_ptes", 0, 2, 2),),), (NEW,))
    assert Model(scheme, 2, ((Call("map_ptes", 0, 2, 2),), (Call("map_pmd", mm=1),)), kind=Kind.FILE)


def test_a_start_that_is_refused_is_no_start():
    model = Model(find_scheme("large-mapcount"), 2, ((),), (NEW, DUP), pinned=True)
    with pytest.raises(UsageError, match="dup_pmd mm 2 was refused"):
        model.memory()


def test_a_model_tells_what_it_is():
    model = Model(find_scheme("mm-id"), 2, ((MAP, Call("page_mapcount", 3)), ()), pinned=True)
    assert repr(model) == (
        "<mm-id, 4 pages, anon, pinned; start: nothing; a: map_ptes 0..2 mm 1, page_mapcount 3; b: nothing>"
    )
