"""The model beside real kernels in QEMU: words and /proc of a few scenarios, words of walks; a wrong model is caught."""

from __future__ import annotations

import pytest

from mapcount.agreement.allowed import allowance_for
from mapcount.agreement.conform import conform
from mapcount.agreement.pair import Pair
from mapcount.machine.backend import ModelBackend
from mapcount.scenarios.library import load
from mapcount.scenarios.text import text
from mapcount.scenarios.walks import PROFILES, walk_scenario

pytestmark = pytest.mark.kernels
SHOWN = (
    "fork-partial-unmap-2M",
    "three-mms-64k",
    "pmd-split-by-mprotect-2M",
    "small-pages",
)
SEED, STEPS = 3, 43


def pair(kernel, **options):
    model = ModelBackend(kernel.release, page_mapcount=kernel.page_mapcount)
    return Pair(model, kernel, allows=lambda one: allowance_for(one, kernel.release), **options)


def test_words_and_proc(kernel):
    found = conform([load(name) for name in SHOWN], pair(kernel, proc=True))
    assert [(one.differences[0], text(one.scenario)) for one in found.shortest] == []
    assert found.tally.compared["Pss"] and found.tally.compared["bit 56"] and found.tally.compared["kpagecount"]


@pytest.mark.parametrize("profile", PROFILES)
def test_walks(kernel, profile):
    found = conform([walk_scenario(profile, SEED, STEPS)], pair(kernel))
    assert [(one.differences[0], text(one.scenario)) for one in found.shortest] == []
    if found.skipped:
        pytest.skip(found.skipped[f"walk-{profile}-{SEED}"])


def test_a_wrong_model_is_caught_and_shrunk(kernel):
    class Forgets(ModelBackend):
        """The third process is not counted as mapping the first page."""

        def observe(self, result, *, proc=False):
            seen = super().observe(result, proc=proc)
            for state in seen.folios.values():
                runs = state.words.get("_mapcount", ())
                if runs and runs[0][0] == 2 and not state.order:
                    state.words["_mapcount"] = ((1, 1),)
            return seen

    wrong = Forgets(kernel.release, page_mapcount=kernel.page_mapcount)
    found = conform([load("small-pages")], Pair(wrong, kernel), shrink_limit_s=20)
    assert set(found.mismatches) == {"_mapcount"}
    assert len(found.shortest[0].scenario.steps) <= 4, text(found.shortest[0].scenario)
