"""The scenes in which mapcount and its peers are measured: one process, it and its children, the whole machine."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from load import Load, running_load
from measure import HERE, BenchError, Cost, Runner, Summary, Tool, median_of, summarize

if TYPE_CHECKING:
    from peers import Peers

GIB = 1 << 30
MACHINE_LOADS = 4
MACHINE_CHILDREN = 0
"""In the machine scene every process has memory of its own: 16 GiB mapped is 16 GiB used."""


@dataclass(frozen=True, slots=True)
class Scene:
    """The figures of one scene."""

    name: str
    """`process`, `family` or `machine`"""
    gib: float
    mapped_pages: int
    """Mappings of the load's processes that were captured."""
    tools: list[Summary]
    capture_cpu_s: float
    survey_cpu_s: float
    reads: dict[str, dict[str, int]]
    """Calls, bytes and, of the floor, nanoseconds by what was read."""
    wrong: list[str]
    """Where mapcount's answers differ from the truth."""
    notes: list[str] = field(default_factory=list)

    def tool(self, name: str) -> Summary | None:
        """Return a tool's figures, None if it was not run or failed."""
        return next((tool for tool in self.tools if tool.name == name and not tool.failed), None)

    @property
    def work_cpu_s(self) -> float:
        """Return the CPU seconds of capture and survey, start-up not included."""
        return self.capture_cpu_s + self.survey_cpu_s


@dataclass(frozen=True, slots=True)
class Bench:
    """What all scenes share."""

    runner: Runner
    peers: Peers | None
    runs: int


def python(script: str, *arguments: str) -> list[str]:
    """Return the command that runs one of our scripts."""
    return [sys.executable, str(HERE / script), *arguments]


def process_scenes(bench: Bench, mib: int) -> list[Scene]:
    """Measure one load: its parent alone, then all four processes together."""
    require_memory(mib * 1.2 / 1024)
    with running_load(Path(bench.runner.program("loadgen")), mib) as load:
        parent, family = [str(load.pids[0])], [str(pid) for pid in load.pids]
        more = [
            Tool("import numpy", [sys.executable, "-c", "import numpy"], "start-up of any numpy tool"),
            *_page_types(bench, ["-p", *parent], ["-p", *parent, "-r", "-l", "-M"]),
        ]
        return [
            _scene(bench, "process", mib, load.parent_pages, [load], parent, more),
            _scene(bench, "family", mib, load.all_pages, [load], family, []),
        ]


def machine_scene(bench: Bench, mib: int) -> Scene:
    """Measure the whole machine with `mib` mapped in four processes."""
    require_memory(mib * 1.05 / 1024)
    with contextlib.ExitStack() as ends:
        loads = [
            ends.enter_context(
                running_load(Path(bench.runner.program("loadgen")), mib // MACHINE_LOADS, MACHINE_CHILDREN)
            )
            for _ in range(MACHINE_LOADS)
        ]
        pages = sum(load.all_pages for load in loads)
        return _scene(bench, "machine", mib, pages, loads, [], _page_types(bench, []))


def _page_types(bench: Bench, *arguments: list[str]) -> list[Tool]:
    if bench.peers is None:
        return []
    program = str(bench.peers.page_types)
    return [Tool(" ".join(["page-types", *(_unpid(more))]), [program, *more]) for more in arguments]


def _unpid(arguments: list[str]) -> list[str]:
    return ["PID" if argument.isdigit() else argument for argument in arguments]


def _scene(
    bench: Bench, name: str, mib: int, mapped_pages: int, loads: list[Load], pids: list[str], more: list[Tool]
) -> Scene:
    runner = bench.runner
    trace = str(runner.directory / "reads.trace")
    recorded = runner.must_run(python("read_trace.py", trace, *pids))
    tools = [
        Tool("mapcount", python("capture_survey.py", *pids), "capture and survey, all in", prints_json=True),
        Tool("start-up", python("capture_survey.py", "--start-up"), "interpreter and imports of it"),
        Tool("floor", [runner.program("floor"), trace], "C, the same reads, nothing else"),
        *_thpmaps(bench, pids),
        *more,
    ]
    costs = runner.interleave(tools, bench.runs)
    ours = costs["mapcount"]
    if ours[0].status != 0:
        raise BenchError(f"mapcount failed:\n{ours[0].stderr}")
    by_kind = runner.must_run([runner.program("floor"), trace, "--by-kind"])
    return Scene(
        name=name,
        gib=mib / 1024,
        mapped_pages=mapped_pages,
        tools=[summarize(tool, costs[tool.name]) for tool in tools],
        capture_cpu_s=median_of(ours, "capture_cpu_s"),
        survey_cpu_s=median_of(ours, "survey_cpu_s"),
        reads=_reads(recorded, by_kind),
        wrong=_wrong_answers(ours, loads) if pids else [],
        notes=[*_load_notes(loads), *_failed_reads(by_kind)],
    )


def _thpmaps(bench: Bench, pids: list[str]) -> list[Tool]:
    if bench.peers is None:
        return []
    command = [sys.executable, str(bench.peers.thpmaps)]
    for pid in pids:
        command += ["--pid", pid]
    return [
        Tool("thpmaps --rollup", [*command, "--rollup"], "start-up included"),
        Tool("thpmaps --rollup --cont 64K", [*command, "--rollup", "--cont", "64K"]),
    ]


def _reads(counts: dict[str, dict[str, int]], by_kind: dict[str, int]) -> dict[str, dict[str, int]]:
    """Join calls as recorded with what came back and how long it took in the replay."""
    return {
        what: {
            "calls": count["calls"],
            "bytes": count["bytes"] or by_kind[f"{what}_bytes"],
            "ns": by_kind[f"{what}_ns"],
        }
        for what, count in counts.items()
    }


def _load_notes(loads: list[Load]) -> list[str]:
    return list(dict.fromkeys(note for load in loads for note in load.notes))


def _failed_reads(by_kind: dict[str, int]) -> list[str]:
    failed = by_kind["failed"]
    return [f"{failed} of {by_kind['operations']} reads could not be replayed (processes gone)"] if failed else []


def _wrong_answers(costs: list[Cost], loads: list[Load]) -> list[str]:
    """Compare folios, partially mapped folios and wasted pages per size with the truth, in every run."""
    (load,) = loads
    wrong = []
    for cost in costs:
        sizes = json.loads(cost.stdout)["sizes"]
        for order in ("4", "9"):
            truth = list(load.truth[f"order{order}"].values())
            if sizes.get(order) != truth:
                wrong.append(f"order {order}: folios, partially mapped, wasted pages {sizes.get(order)}, truth {truth}")
    return sorted(set(wrong))


def require_memory(gib: float) -> None:
    """Raise BenchError if less than that and 1 GiB more is available."""
    available = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GIB
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            available = int(line.split()[1]) * 1024 / GIB
    if available < gib + 1:
        raise BenchError(f"this load needs {gib + 1:.1f} GiB, {available:.1f} GiB are available; use smaller --sizes")
