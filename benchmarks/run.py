"""The benchmark: mapcount beside a C floor, thpmaps and page-types, on loads whose truth is known. Needs root: `make bench`.

CPU is user and system time of the whole process (wait4), memory its peak. Runs are interleaved, so that what disturbs the
machine disturbs all tools alike; medians are shown. The kernel's tools are fetched into a cache outside of this repository.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from goals import Goal, judge
from load import LoadError
from measure import BenchError, Runner, build
from peers import Peers, PeersError, default_cache, get_peers
from scenes import Bench, Scene, machine_scene, process_scenes
from table import goals_text, scene_text, victim_text
from thp_settings import THP, unwind_on_signals
from victim import victim_phases

DOCS = Path(__file__).resolve().parents[1] / "docs" / "reference" / "benchmarks.md"


def parse_arguments() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1,2,4,8", help="GiB mapped by the process, separated by commas; 0: none")
    parser.add_argument("--runs", type=int, default=5, help="runs of each tool, of which the medians are shown")
    parser.add_argument("--machine-gib", type=float, default=16, help="GiB in the whole-machine scene; 0: leave it out")
    parser.add_argument(
        "--victim-seconds", type=float, default=10, help="seconds of each victim phase; 0: leave it out"
    )
    parser.add_argument("--quick", action="store_true", help="1 GiB, 3 runs, 1 GiB machine, 3 s victim: a rehearsal")
    parser.add_argument(
        "--peers", type=Path, default=default_cache(), metavar="DIR", help="cache of the kernel's tools"
    )
    parser.add_argument("--no-peers", action="store_true", help="leave thpmaps and page-types out")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--write-docs", action="store_true", help=f"write {DOCS.parent.name}/{DOCS.name}")
    options = parser.parse_args()
    if options.quick:
        options.sizes, options.runs, options.machine_gib, options.victim_seconds = "1", 3, 1, 3
    try:
        options.sizes_mib = [round(float(size) * 1024) for size in options.sizes.split(",") if float(size)]
    except ValueError:
        parser.error(f"--sizes {options.sizes!r}: numbers of GiB separated by commas, such as 1,2,4,8")
    if options.runs < 1:
        parser.error(f"--runs {options.runs}: at least 1")
    return options


def main() -> int:
    """Run what was asked for and print it; return the exit status."""
    options = parse_arguments()
    options.load_before = os.getloadavg()[0]
    if os.geteuid() != 0:
        print("the benchmark needs root: PFNs, kpage files and THP settings; run: sudo make bench", file=sys.stderr)
        return 3
    unwind_on_signals()
    try:
        peers = None if options.no_peers else get_peers(options.peers)
        with tempfile.TemporaryDirectory(prefix="mapcount-bench-") as directory:
            build(Path(directory))
            bench = Bench(Runner(Path(directory)), peers, options.runs)
            scenes, victim = run_all(bench, options)
    except (BenchError, LoadError, PeersError) as error:
        print(f"run.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    goals = judge(scenes)
    page = document(scenes, victim, goals, peers, options)
    print(page)
    if options.json:
        options.json.write_text(json.dumps(figures(scenes, victim, goals), indent=1) + "\n", encoding="utf-8")
    if options.write_docs:
        write_docs(page)
    return 0


def run_all(bench: Bench, options: argparse.Namespace) -> tuple[list[Scene], dict[str, Any]]:
    """Run the scenes, saying on stderr what is going on."""
    scenes: list[Scene] = []
    for mib in options.sizes_mib:
        progress(f"one process of {mib / 1024:g} GiB")
        scenes += process_scenes(bench, mib)
    if options.machine_gib:
        progress(f"the whole machine with {options.machine_gib:g} GiB in four processes")
        scenes.append(machine_scene(bench, round(options.machine_gib * 1024)))
    victim: dict[str, Any] = {}
    if options.victim_seconds:
        progress("a victim while it is captured")
        victim = victim_phases(bench, options.victim_seconds)
    return scenes, victim


def progress(text: str) -> None:
    """Say what begins."""
    print(f"{time.strftime('%H:%M:%S')} {text} ...", file=sys.stderr, flush=True)


def figures(scenes: list[Scene], victim: dict[str, Any], goals: list[Goal]) -> dict[str, Any]:
    """Return all figures for --json, in base units."""
    return {
        "scenes": [dataclasses.asdict(scene) for scene in scenes],
        "victim": victim,
        "goals": [dataclasses.asdict(goal) for goal in goals],
    }


def document(
    scenes: list[Scene], victim: dict[str, Any], goals: list[Goal], peers: Peers | None, options: argparse.Namespace
) -> str:
    """Return docs/reference/benchmarks.md."""
    parts = [
        "# Benchmarks",
        f"Made by `make bench` (`benchmarks/run.py`), medians of {options.runs} interleaved runs, on {machine()}.",
        f"Load average: {options.load_before:.1f} when it began, {os.getloadavg()[1]:.1f} over its last five minutes.",
        f"Peers: thpmaps and page-types of Debian's {peers.package}." if peers else "Peers: left out.",
        ABOUT,
        "## Goals",
        goals_text(goals),
        "## What limits it",
        LIMITS,
        "## Figures",
        *map(scene_text, scenes),
    ]
    if victim:
        parts += ["## A page-faulting process while it is captured", VICTIM, victim_text(victim)]
    return "\n\n".join(parts) + "\n"


ABOUT = """CPU is user plus system seconds of the whole process, all threads. The floor is a C program that makes exactly
the reads that one capture makes (recorded call by call) into one buffer and looks at nothing. `capture + survey` is what
mapcount itself costs once it is imported; `start-up` is the interpreter and the imports; `all in` is the whole process.
Like its commands, mapcount is run so that numpy's BLAS starts no threads: at its import these cost CPU, not time.
The load: 60 % in 64 KiB folios (every 31st partially dropped), 25 % in 2 MiB folios (of 17, 14 PMD-mapped, one with its
PMD split, one without every 4th page, one half dropped), 15 % in 4 KiB pages, and three children: one shares all, one
dropped half, one rewrote an eighth of the small pages. `ns a page` is per mapped page of what is captured.
The second table of each scene counts what that capture read: a page costs 8 bytes in each of pagemap, kpageflags and
kpagecount, a folio 8 bytes in kpagecgroup, and a PMD-mapped folio only its head in these; `floor ms` is the replay by
file, slower for being timed call by call."""

LIMITS = """Most of a capture is the kernel's own work, which the floor shows: about 0.15 us for an entry of kpageflags or
kpagecount, 0.1 us for one of kpagecgroup, 0.5 us for a read call more. thpmaps reads pagemap and kpageflags alone. kpagecount
and kpagecgroup are what it takes to tell who else maps a page, what is wasted, what raced, and who is charged.

What stays above the floor is spread thin: about 0.3 us of Python for each read call, many passes of numpy over what was read,
page faults (3.4 us each on a virtual machine), and what every capture does (the kernel's own numbers before and after,
settings, the probe of kpagecount): that of a process which maps next to nothing takes 30 ms.

Cost per page falls with size for three reasons that the floor shares: these fixed parts; smaps_rollup, which is read up to
1 GiB alone; and small loads, whose pages the kernel scatters over more ranges when memory is fragmented."""

VICTIM = """It maps, touches and unmaps 64 pages again and again, with 512 MiB resident, while captures follow one
another without a pause: far more than anyone would take. Microseconds, two clock readings included. The busy process
shows what company alone costs, the rest is the captures'. `captures` is how many were completed."""


def machine() -> str:
    """Return what the figures depend on: kernel, processor, memory, THP setting."""
    model = "unknown processor"
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    memory_gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / (1 << 30)
    thp = THP.joinpath("enabled").read_text(encoding="ascii").strip()
    return (
        f"Linux {platform.release()} {platform.machine()}, {model}, {os.cpu_count()} CPUs, {memory_gib:.0f} GiB, "
        f"Python {platform.python_version()}, THP `{thp}`"
    )


def write_docs(page: str) -> None:
    """Write docs/reference/benchmarks.md, owned by whoever owns docs/: this runs as root."""
    DOCS.write_text(page, encoding="utf-8")
    owner = DOCS.parent.stat()
    os.chown(DOCS, owner.st_uid, owner.st_gid)
    print(f"Wrote {DOCS}", file=sys.stderr)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        sys.exit(f"run.py: {error}")
