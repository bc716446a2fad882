"""The verdicts of the default set, reckoned once for all tests of them; as a script, stores the counterexamples."""

from __future__ import annotations

import functools
from pathlib import Path

from mapcount.check.default_models import default_cells
from mapcount.check.verdicts import judge

STORED = Path(__file__).with_name("counterexamples.txt")
"""A line a violation: the text that replays it, the property, what the reader returned, what was true meanwhile."""


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


if __name__ == "__main__":
    STORED.write_text("".join(f"{line}\n" for line in lines()))
