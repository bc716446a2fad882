"""A workload's price against the sum of its operations, one at a time, and against counts by hand."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mapcount.cost.calls import page_by_page, table_of
from mapcount.cost.operations import Change, find_operations
from mapcount.cost.price import price
from mapcount.cost.references import references
from mapcount.cost.workload import price_workload
from mapcount.mapping.log import Log, LogMetadata
from mapcount.mapping.schema import Kind, Level, Op
from mapcount.schemes.catalogue import find_scheme

SCHEME = find_scheme("mm-id")


def log_of(order, changes):
    table = table_of(changes)
    return Log(
        LogMetadata(),
        np.array([order], np.uint8),
        np.array([Kind.ANON], np.uint8),
        np.zeros(1, bool),
        lambda: iter([table]),
    )


def test_a_workload_is_the_sum_of_its_operations():
    fork, leave = find_operations(["fork", "exit"])
    changes = (*fork.before(5), *fork.changes(5), *leave.changes(5))
    found = list(price_workload(log_of(5, changes), [SCHEME]))
    for batched in (False, True):
        mine = {one.op: one for one in found if one.rmap_batched == batched}
        for operation, op in ((fork, "dup"), (leave, "unmap")):
            alone = price(SCHEME, operation, 5, rmap_batched=batched, references_batched=batched)
            assert mine[op].pages == 32 and mine[op].calls == alone.calls
            for name in ("locked", "stores", "loads", "lines"):
                assert getattr(mine[op], name) == getattr(alone, name), (op, name, batched)
            assert (mine[op].references_by_page, mine[op].references_batched) == (32, 1)


CHANGES = st.lists(
    st.builds(
        lambda op, first, nr: Change(op, Level.PTE, 1, first, nr),
        st.sampled_from([Op.MAP, Op.DUP, Op.UNMAP, Op.FIRST_MAP]),
        st.integers(0, 8),
        st.integers(1, 7),
    ),
    min_size=1,
    max_size=11,
)


@settings(max_examples=53)
@given(CHANGES)
def test_page_by_page_tells_the_same_pages_in_the_same_order(changes):
    told = page_by_page(table_of(changes))
    rows = list(zip(told.op, told.first_page, told.nr_pages, told.address, strict=True))
    expected = []
    for change in changes:
        at = int(table_of([change]).address[0])
        if change.op == Op.FIRST_MAP:
            expected.append((change.op, change.first, change.nr, at))
        else:
            expected += [(change.op, change.first + i, 1, at + 4096 * i) for i in range(change.nr)]
    assert rows == expected


def test_references_by_hand():
    pmd = Change(Op.FIRST_MAP, Level.PMD, 0, 0, 512)
    changes = [
        pmd,
        pmd._replace(op=Op.DUP),
        pmd._replace(op=Op.SPLIT_MAPPING),
        Change(Op.FIRST_MAP, Level.PTE, 0, 0, 16),
        Change(Op.DUP, Level.PTE, 0, 0, 13),
        Change(Op.UNMAP, Level.PTE, 0, 0, 1),
    ]
    assert references(table_of(changes), batched=True).tolist() == [0, 1, 1, 1, 1, 1]
    assert references(table_of(changes), batched=False).tolist() == [0, 1, 1, 1, 13, 1]
