"""Verdicts on a value and a set of truths, by hand."""

from __future__ import annotations

import pytest

from mapcount.check.explore import explore
from mapcount.check.interval import claims, explained, values_of
from mapcount.check.model import Call, Model
from mapcount.schemes.catalogue import find_scheme
from mapcount.schemes.scheme import Promise, Quantity, Reader


@pytest.mark.parametrize(
    ("promise", "fits"),
    [
        (Promise.EXACT, {2, 5}),
        (Promise.NEVER_LESS, {2, 3, 4, 5, 6, 7}),
        (Promise.NEVER_MORE, {-1, 0, 1, 2, 3, 4, 5}),
    ],
)
def test_a_value_fits_one_of_the_truths_2_and_5(promise, fits):
    reader = Reader("r", Quantity.ENTRIES, promise, "a test's")
    assert claims(reader)
    assert {value for value in range(-1, 8) if explained(reader, value, 1 << 2 | 1 << 5)} == fits
    assert values_of(1 << 2 | 1 << 5) == (2, 5)


@pytest.mark.parametrize("promise", [Promise.BOUNDED, Promise.ESTIMATE])
def test_an_estimate_claims_nothing_of_moments(promise):
    reader = Reader("r", Quantity.ENTRIES, promise, "a test's")
    assert not claims(reader)
    assert explained(reader, 7, 0) is None


def test_a_refused_dup_has_changed_nothing():
    """The folio is pinned and exclusive, so fork copies: one mapping before, while (two are possible) and after."""
    dup = (Call("dup_ptes", 0, 1, 2),)
    model = Model(
        find_scheme("large-mapcount"), 1, (dup, (Call("folio_mapcount"),)), (Call("new_ptes", 0, 1, 1),), pinned=True
    )
    found = explore(model)
    assert {one.value for one in found.answers} == {1}
    assert found.steps.moments.settled([found.steps.local(found.finals[0], thread) for thread in (0, 1)]).entries() == 1
    free = Model(find_scheme("large-mapcount"), 1, model.threads, model.start)
    assert {one.value for one in explore(free).answers} == {1, 2}


def test_what_is_told_to_the_surroundings_does_not_prolong_an_operation():
    """
    large-mapcount unmaps one of two PTEs: total, page, pages mapped, and a look at them. Then it queues the folio.

    Once these four are done the truth is 1 and nothing else, though two steps are to come.
    """
    unmap = (Call("unmap_ptes", 0, 1, 1),)
    threads = (unmap, (Call("folio_mapcount"),))
    model = Model(find_scheme("large-mapcount"), 2, threads, (Call("new_ptes", 0, 2, 1),))
    steps = explore(model).steps
    state, truths = steps.first, []
    while taken := steps.step(state, 0):
        state = taken.state
        locals_ = [steps.local(state, thread) for thread in (0, 1)]
        truths.append(values_of(steps.moments.attainable(1, 0, locals_)))
    assert truths == [(1, 2), (1, 2), (1, 2), (1,), (1,), (1,)]
    assert steps.words(state)["PG_partially_mapped"] == (1,)
