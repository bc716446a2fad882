"""The verdicts of the default set, reckoned once for all tests of them; as a script, stores what the tests compare."""

from __future__ import annotations

import functools
from pathlib import Path

from mapcount.check.default_models import SIZES, default_cells
from mapcount.check.verdicts import judge
from mapcount.report.races import mark_of
from mapcount.schemes.catalogue import SCHEMES

STORED = Path(__file__).with_name("counterexamples.txt")
"""A line a violation: the text that replays it, the property, what the reader returned, what was true meanwhile."""
BOTH = Path(__file__).with_name("sizes.txt")
"""A line a model of the catalogue, at every size: its mark, its states, and the properties that it violates."""


@functools.cache
def default_verdicts():
    """Return a verdict for each cell, in their order."""
    return tuple(judge(cell) for cell in default_cells())


def lines():
    """Return what is to be stored of them."""
    return [
        f"{verdict.replay_id(one)} {one.property} {one.value} {','.join(map(str, one.true))}"
        for verdict in default_verdicts()
        for one in verdict.violations
    ]


def size_line(verdict):
    """Return what is to be stored of a verdict at one size."""
    broken = ",".join(one.property for one in verdict.violations) or "nothing"
    return f"{verdict.cell} {mark_of(verdict)} {verdict.states} {broken}"


def size_lines(scheme):
    """Return that of each model of a scheme, without those that do not exist."""
    known = {verdict.cell: verdict for verdict in default_verdicts()}
    cells = [cell for cell in default_cells((scheme,)) if cell.pages in SIZES]
    verdicts = [known.get(cell) or judge(cell) for cell in cells]
    return [size_line(verdict) for verdict in verdicts if not verdict.cannot]


if __name__ == "__main__":
    STORED.write_text("".join(f"{line}\n" for line in lines()))
    BOTH.write_text("".join(f"{line}\n" for scheme in SCHEMES for line in size_lines(scheme.id)))
