"""Random models of a shipped scheme: whatever Model accepts, drawn call by call."""

from __future__ import annotations

from hypothesis import strategies as st

from mapcount.check.model import Call, Model
from mapcount.errors import UsageError
from mapcount.mapping.schema import Kind
from mapcount.schemes.scheme import HUGETLB_OPERATIONS, PMD_OPERATIONS, PTE_OPERATIONS

KINDS = (Kind.ANON, Kind.FILE, Kind.SHMEM, Kind.HUGETLB)


def _call(draw, scheme, order, mms, *, new):
    names = [*PTE_OPERATIONS, *PMD_OPERATIONS, *HUGETLB_OPERATIONS]
    names = [name for name in names if new or not name.startswith("new_")]
    name = draw(st.sampled_from(names))
    first = draw(st.integers(0, (1 << order) - 1)) if name in PTE_OPERATIONS else 0
    nr = draw(st.integers(1, (1 << order) - first)) if name in PTE_OPERATIONS else 1
    return Call(name, first, nr, draw(st.sampled_from(mms)))


def _accepted(scheme, order, kind, start, threads, pinned):
    try:
        model = Model(scheme, order, threads, start, kind, pinned, statistics=True, keep_results=True)
        model.memory()  # a start with a refused dup is no start
    except UsageError:
        return None
    return model


@st.composite
def models(draw, scheme, nr_threads, calls=4):
    """Draw a model of so many threads, each with its own two mms and at most `calls` calls."""
    kind = draw(st.sampled_from(KINDS))
    orders = [order for order in (0, 1, 2) if order not in scheme.scheme.unsupported_orders]
    order = draw(st.sampled_from(orders if kind != Kind.HUGETLB else [2]))
    pinned = kind == Kind.ANON and draw(st.booleans())
    start, threads = (), ((),) * nr_threads
    for _ in range(draw(st.integers(0, 8))):
        call = _call(draw, scheme, order, list(range(1, 2 * nr_threads + 1)), new=kind != Kind.FILE and not start)
        if _accepted(scheme, order, kind, (*start, call), threads, pinned):
            start = (*start, call)
    for thread in range(nr_threads):
        for _ in range(draw(st.integers(1, calls))):
            if draw(st.booleans()):
                call = _call(draw, scheme, order, [2 * thread + 1, 2 * thread + 2], new=False)
            else:
                reader = draw(st.sampled_from(scheme.scheme.readers))
                call = Call(reader.name, draw(st.integers(0, (1 << order) - 1)) if reader.per_page else 0)
            more = (*threads[:thread], (*threads[thread], call), *threads[thread + 1 :])
            if _accepted(scheme, order, kind, start, more, pinned):
                threads = more
    return _accepted(scheme, order, kind, start, threads, pinned)
