"""Builds the C programs and runs commands for what they cost: CPU, wall, peak memory; interleaved, medians."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PROGRAMS = ("loadgen", "floor", "victim", "timed")


class BenchError(Exception):
    """The benchmark cannot go on; the message says why."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run of a command cost, its threads and children waited for included."""

    cpu_s: float
    wall_s: float
    peak_rss_bytes: int
    status: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class Tool:
    """A command to be measured."""

    name: str
    command: list[str]
    note: str = ""
    prints_json: bool = False
    """Its output is kept; that of others goes to /dev/null, so that writing 10 MB costs nobody anything."""


@dataclass(frozen=True, slots=True)
class Summary:
    """Runs of one tool: medians, and the least and largest CPU time."""

    name: str
    note: str
    runs: int
    cpu_s: float
    cpu_min_s: float
    cpu_max_s: float
    wall_s: float
    peak_rss_bytes: int
    failed: str = ""
    """Empty, or the last line of what it printed if it did not end with status 0."""


def build(directory: Path) -> None:
    """Compile the C programs into `directory`. Raises BenchError."""
    for name in PROGRAMS:
        command = ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(directory / name), str(HERE / f"{name}.c")]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except FileNotFoundError as error:
            raise BenchError("gcc is not installed; on Debian: apt-get install gcc libc6-dev") from error
        except subprocess.CalledProcessError as error:
            raise BenchError(f"{name}.c does not compile:\n{error.stderr}") from error


class Runner:
    """Runs commands through `timed`, with bytecode cached outside of the tree and of every other cache."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        """Where the C programs are and temporary files go."""
        self._env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        self._env["PYTHONPYCACHEPREFIX"] = str(directory / "pycache")

    def program(self, name: str) -> str:
        """Return the path of a compiled program."""
        return str(self.directory / name)

    def run(self, command: list[str], *, keep_output: bool) -> Cost:
        """Run a command and return what it cost. Output is kept through files: a pipe would cost both ends."""
        report, err = self.directory / "last.cost", self.directory / "last.err"
        out = self.directory / "last.out" if keep_output else Path(os.devnull)
        with out.open("wb") as stdout, err.open("wb") as stderr:
            subprocess.run(
                [self.program("timed"), str(report), *command],
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env=self._env,
            )
        cost = json.loads(report.read_text(encoding="ascii"))
        texts = [path.read_text(encoding="utf-8", errors="replace") for path in (out, err)]
        cpu_s = cost["user_s"] + cost["system_s"]
        return Cost(cpu_s, cost["wall_s"], cost["peak_rss_bytes"], cost["status"], *texts)

    def must_run(self, command: list[str]) -> Any:
        """Run a command that prints one JSON object, and return it. Raises BenchError if it fails."""
        cost = self.run(command, keep_output=True)
        if cost.status != 0:
            raise BenchError(f"{' '.join(command)} ended with status {cost.status}:\n{cost.stderr.strip()}")
        return json.loads(cost.stdout)

    def interleave(self, tools: list[Tool], runs: int) -> dict[str, list[Cost]]:
        """Run every tool once unmeasured, then all in turn, `runs` times: what disturbs one disturbs all alike."""
        costs: dict[str, list[Cost]] = {tool.name: [] for tool in tools}
        working = []
        for tool in tools:
            warm = self.run(tool.command, keep_output=True)
            if warm.status == 0:
                working.append(tool)
            else:
                costs[tool.name].append(warm)
        for _ in range(runs):
            for tool in working:
                costs[tool.name].append(self.run(tool.command, keep_output=tool.prints_json))
        return costs


def summarize(tool: Tool, costs: list[Cost]) -> Summary:
    """Return the medians of a tool's runs; a run that failed makes the tool failed."""
    cpu = [cost.cpu_s for cost in costs]
    bad = next((cost for cost in costs if cost.status != 0), None)
    return Summary(
        name=tool.name,
        note=tool.note,
        runs=len(costs),
        cpu_s=statistics.median(cpu),
        cpu_min_s=min(cpu),
        cpu_max_s=max(cpu),
        wall_s=statistics.median(cost.wall_s for cost in costs),
        peak_rss_bytes=int(statistics.median(cost.peak_rss_bytes for cost in costs)),
        failed="" if bad is None else _complaint(bad),
    )


def _complaint(cost: Cost) -> str:
    lines = (cost.stderr.strip() or cost.stdout.strip()).splitlines()
    return lines[-1] if lines else f"status {cost.status}"


def median_of(costs: list[Cost], key: str) -> float:
    """Return the median of a number that the tool printed as JSON in each run."""
    return float(statistics.median(json.loads(cost.stdout)[key] for cost in costs))
