"""Random models of a shipped scheme: call by call, one of those that Model accepts next."""

from __future__ import annotations

from hypothesis import strategies as st

from mapcount.check.model import Call, Model
from mapcount.errors import UsageError
from mapcount.mapping.schema import Kind
from mapcount.schemes.scheme import HUGETLB_OPERATIONS, PMD_OPERATIONS, PTE_OPERATIONS

KINDS = (Kind.ANON, Kind.ANON, Kind.FILE, Kind.SHMEM, Kind.HUGETLB)


def _operations(order, mms, kind):
    """Return every operation on every range by every mm."""
    if kind == Kind.HUGETLB:
        return [Call(name, mm=mm) for name in HUGETLB_OPERATIONS for mm in mms]
    pages = 1 << order
    ranges = [(first, nr) for first in range(pages) for nr in range(1, pages - first + 1)]
    found = [Call(name, first, nr, mm) for name in PTE_OPERATIONS for first, nr in ranges for mm in mms]
    return found + [Call(name, mm=mm) for name in PMD_OPERATIONS for mm in mms]


def _draw_accepted(draw, calls, build):
    """Draw a kind of call, then one of that kind, of those with which `build` makes a model; None if there is none."""
    accepted = {}
    for call in calls:
        try:
            build(call).memory()  # a start with a refused dup is no start
        except UsageError:
            continue
        accepted.setdefault(call.name, []).append(call)
    if not accepted:
        return None
    return draw(st.sampled_from(accepted[draw(st.sampled_from(sorted(accepted)))]))


@st.composite
def models(draw, scheme, nr_threads, calls=4):
    """Draw a model of so many threads, each with its own two mms and at most `calls` calls."""
    kind = draw(st.sampled_from(KINDS))
    orders = [order for order in (0, 1, 2, 2) if order not in scheme.scheme.unsupported_orders]
    order = draw(st.sampled_from(orders if kind != Kind.HUGETLB else [2]))
    pinned = kind == Kind.ANON and draw(st.booleans())
    start, threads = (), ((),) * nr_threads

    def build(start, threads):
        return Model(scheme, order, threads, start, kind, pinned, statistics=True, keep_results=True)

    every = _operations(order, range(1, 2 * nr_threads + 1), kind)
    for _ in range(draw(st.integers(2, 6))):
        call = _draw_accepted(draw, every, lambda call: build((*start, call), threads))  # noqa: B023 (called at once)
        if call:
            start = (*start, call)
    for thread in range(nr_threads):
        own = [call for call in every if (call.mm - 1) // 2 == thread]
        for _ in range(draw(st.integers(1, calls))):

            def more(call, thread=thread):
                return (*threads[:thread], (*threads[thread], call), *threads[thread + 1 :])  # noqa: B023

            call = None
            if draw(st.integers(0, 2)):
                call = _draw_accepted(draw, own, lambda call: build(start, more(call)))
            if call is None:
                reader = draw(st.sampled_from(scheme.scheme.readers))
                call = Call(reader.name, draw(st.integers(0, (1 << order) - 1)) if reader.per_page else 0)
            threads = more(call)
    return build(start, threads)
