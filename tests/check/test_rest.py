"""When all is over the invariants of a scheme hold, whatever the order; and statistics balance, or are known not to."""

from __future__ import annotations

import pytest

from mapcount.check.explore import explore
from mapcount.check.model import Call, Model
from mapcount.check.rest import broken_at_rest
from mapcount.mapping.schema import Kind
from mapcount.schemes.catalogue import find_scheme, scheme_ids

MODELS = [
    (((Call("map_ptes", 0, 3, 1),), (Call("map_ptes", 1, 3, 2),)), ()),
    (((Call("unmap_pmd", mm=1),), (Call("map_pmd", mm=2),)), (Call("map_pmd", mm=1),)),
    (((Call("unmap_ptes", 0, 2, 1),), (Call("map_ptes", 0, 2, 2),)), (Call("map_ptes", 0, 2, 1),)),
]


@pytest.mark.parametrize("scheme_id", scheme_ids())
@pytest.mark.parametrize(("threads", "start"), MODELS)
def test_in_every_order_the_end_is_consistent(scheme_id, threads, start):
    found = explore(Model(find_scheme(scheme_id), 2, threads, start, Kind.FILE, statistics=True))
    assert found.complete
    assert not found.stuck
    assert {text for state in found.finals for text in broken_at_rest(found.steps, state)} == set()


def test_a_wrong_end_is_told():
    """The same final words beside the truth of another model are inconsistent."""
    scheme = find_scheme("large-mapcount")
    found = explore(Model(scheme, 2, ((Call("map_ptes", 0, 3, 1),),), (), Kind.FILE, statistics=True))
    (state,) = found.finals
    wrong = list(state)
    wrong[found.steps.layout.names.index("_mapcount")] += 1
    assert broken_at_rest(found.steps, state) == []
    assert broken_at_rest(found.steps, tuple(wrong))
