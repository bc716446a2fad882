"""Traces that another program recorded from real kernels (tests/golden/*.json), as scenarios and observations."""

from __future__ import annotations

import json
from pathlib import Path

from mapcount.mapping.schema import Kind, Level
from mapcount.scenarios.observation import FolioState, Mapped, Observation
from mapcount.scenarios.parser import parse
from mapcount.scenarios.scenario import Settings

GOLDEN = Path(__file__).parent.parent / "golden"
_KINDS = {"anon": Kind.ANON, "shmem": Kind.SHMEM, "file": Kind.FILE, "hugetlb": Kind.HUGETLB}
_PMD_ORDER = 9
_ORDER_OF_64K = 4


def names():
    """Return the kernels of which there is a trace."""
    return sorted(path.stem for path in GOLDEN.glob("*.json"))


def load(name):
    """Return a trace by the kernel's name."""
    return json.loads((GOLDEN / f"{name}.json").read_text())


def scenario_of(recorded):
    """Return a recorded scenario: its steps are written in our language."""
    parsed = parse("\n".join(step["do"] for step in recorded["steps"]), name=recorded["name"])
    return parsed.steps, settings_of(recorded["settings"])


def settings_of(recorded):
    """Return what was switched on."""
    shmem = {
        _PMD_ORDER: recorded["shmem_enabled"],
        _ORDER_OF_64K: recorded.get("hugepages-64kB/shmem_enabled", "never"),
    }
    anon = recorded.get("hugepages-64kB/enabled", "never")
    return Settings(
        anon={} if anon == "never" else {_ORDER_OF_64K: anon},
        shmem={order: word for order, word in shmem.items() if word != "never"},
        hugetlb_pages=recorded.get("nr_hugepages", 0),
    )


def observation_of(step, areas):
    """Return what was seen after a recorded step. The recorder's areas lie side by side: `areas` says where each begins."""
    rows = [_row(*row, areas) for row in step["mappings"]]
    folios = {
        name: FolioState(
            folio["order"], _KINDS[folio["kind"]], {word: _value(word, value) for word, value in folio["words"].items()}
        )
        for name, folio in step["folios"].items()
    }
    return Observation(step["result"], tuple(sorted(rows)), folios)


def _row(process, vpn, folio, first, nr_pages, level, areas):
    area = max((name for name, about in areas.items() if about["vpn"] <= vpn), key=lambda name: areas[name]["vpn"])
    return Mapped(process, area, vpn - areas[area]["vpn"], folio, first, nr_pages, Level[level.upper()])


def _value(word, value):
    if word in {"_mm_id", "_mm_id_mapcount"}:
        return tuple(value)
    return tuple(map(tuple, value)) if isinstance(value, list) else value
