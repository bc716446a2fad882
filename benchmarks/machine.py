#!/usr/bin/env python3
"""How fast the model changes ten million page mappings in some hundred thousand log rows, beside a bare replay of that log.

    benchmarks/machine.py [--rounds N] [-o docs/benchmarks-machine.md]

The load: 64 THPs split to PTEs, every 103rd page given back, then a child forked and ended again and again. The reference is
the compiled replay of the same log in the same round: what counting alone takes, without page tables and VMAs.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import time
from pathlib import Path

from table import markdown

from mapcount.machine.backend import ModelBackend
from mapcount.machine.export import log
from mapcount.replay.engine import replay
from mapcount.scenarios.scenario import Settings
from mapcount.scenarios.steps import Access, Advice, Exit, Fork, Madvise, Mmap, Span

RELEASES = ("6.1", "6.5", "6.12", "6.18")
AREA_PAGES = 64 * 512
HOLE_EVERY = 103
PAGES = 10_000_000
GOAL_S = 10.0


def change(release):
    """Change ten million mappings; return the backend, rows, pages and seconds."""
    backend = ModelBackend(release)
    backend.begin(Settings())
    backend.do(Mmap("p", Span("a", 0, AREA_PAGES), advice=Advice.HUGEPAGE))
    backend.do(Access("p", Span("a", 0, AREA_PAGES), write=True))
    for page in range(0, AREA_PAGES, HOLE_EVERY):
        backend.do(Madvise("p", Span("a", page, page + 1), Advice.DONTNEED))
    rows = backend.machine.rows
    before = len(rows)
    changed = 0
    start = time.perf_counter()
    while changed < PAGES:
        at = len(rows)
        backend.do(Fork("p", "c"))
        backend.do(Exit("c"))
        changed += sum(row[7] for row in rows[at:])
    backend.observe(0)  # counts all that waits
    return backend, len(rows) - before, changed, time.perf_counter() - start


def measure(release, rounds):
    found, replays = [], []
    change(release)  # compiles, if nobody has yet
    for _ in range(rounds):
        backend, rows, pages, elapsed_s = change(release)
        held = log(backend.machine).held()
        start = time.perf_counter()
        replay(held, [backend.scheme], engine="compiled")
        replays.append(time.perf_counter() - start)
        found.append(elapsed_s)
    return rows, pages, statistics.median(found), statistics.median(replays)


def report(rounds):
    table = []
    slowest = 0.0
    for release in RELEASES:
        rows, pages, model_s, replay_s = measure(release, rounds)
        slowest = max(slowest, model_s)
        table.append(
            [release, f"{rows:,}", f"{pages:,}", f"{model_s:.2f}", f"{replay_s:.2f}", f"{model_s / replay_s:.1f}"]
        )
    header = ["era", "rows", "page mappings", "model, s", "replay alone, s", "model / replay"]
    return "\n".join(
        [
            "# Benchmark of the machine",
            "",
            (
                f"Made by `make bench-machine` (`benchmarks/machine.py`), medians of {rounds} rounds, on Linux "
                f"{platform.release()} {platform.machine()}, Python {platform.python_version()}. Others may have used "
                "the machine: ratios are of the same round."
            ),
            "",
            __doc__.strip().split("\n\n")[-1].replace("\n", " "),
            "",
            markdown(header, table),
            "",
            (
                f"Goal: at least {PAGES:,} page mappings in some 100,000 rows in under {GOAL_S:.0f} s: "
                f"{'met' if slowest < GOAL_S else 'missed'} ({slowest:.2f} s at worst)."
            ),
            "",
        ]
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    text = report(args.rounds)
    if args.output:
        args.output.write_text(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
