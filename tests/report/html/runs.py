"""The page of a short scenario on the model."""

from __future__ import annotations

from functools import cache

from mapcount.kernels.backends import open_backend
from mapcount.report.html.run_page import run_page
from mapcount.report.scenario_record import ScenarioRun
from mapcount.scenarios.parser import parse
from mapcount.scenarios.run import run

TEXT = """\
p: mmap a 2M huge
p: write a[0]
p: fork c
c: munmap a[0:16]
expect a[0] mapcount 1*16 2*496
"""


@cache
def run_of():
    """Return the page of `TEXT` on a model of 6.18."""
    scenario = parse(TEXT)
    with open_backend("model", release="6.18.0", page_mapcount=True, scheme_id="") as backend:
        done = list(run(scenario, backend))
        return run_page(ScenarioRun(scenario, backend.name, backend.release, backend.page_mapcount, done))
