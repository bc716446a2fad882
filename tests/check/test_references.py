"""The reference count against arithmetic: mappings, the page cache's, and what else is held."""

from __future__ import annotations

import pytest

from mapcount.check.cells import Cell, model_of
from mapcount.check.explore import explore
from mapcount.check.mixes import MIXES
from mapcount.errors import UsageError
from mapcount.mapping.schema import Kind


@pytest.mark.parametrize("writers", [name for name, mix in MIXES.items() if mix.kind in {Kind.ANON, Kind.SHMEM}])
@pytest.mark.parametrize("scheme", ["large-mapcount", "double-map"])
def test_at_the_end_every_mapping_has_a_reference(scheme, writers):
    try:
        model = model_of(Cell(scheme, "extra_references", writers, 2))
    except UsageError as error:
        pytest.skip(str(error))
    found = explore(model)
    assert found.finals
    for state in found.finals:
        truth = found.steps.moments.settled([found.steps.local(state, n) for n in range(len(found.steps.threads))])
        mappings = sum(truth.ptes.values()) + sum(truth.huge.values())
        cache = 2 if model.kind == Kind.SHMEM else 0
        assert found.steps.words(state)["_refcount"] == (mappings + cache + 1,)


def test_the_reference_comes_before_the_mapping_and_goes_after_it():
    """So a reader of both at one moment never counts more mappings than references: but for the split of a PMD."""
    for writers, at_least in (("zap-fault", 1), ("fork-zap", 1), ("hand-over", 1), ("split-alone", 0)):
        found = explore(model_of(Cell("large-mapcount", "extra_references", writers, 2)))
        least = min(
            words["_refcount"][0] - (words["_large_mapcount"][0] + 1) - (2 if MIXES[writers].kind == Kind.SHMEM else 0)
            for words in _all_words(found)
        )
        assert least == at_least, writers


def _all_words(found):
    """Go through all states once more, by hand."""
    steps, waiting, seen = found.steps, [found.steps.first], set()
    while waiting:
        state = waiting.pop()
        if state in seen:
            continue
        seen.add(state)
        yield steps.words(state)
        waiting += [taken.state for thread in range(len(steps.threads)) if (taken := steps.step(state, thread))]
