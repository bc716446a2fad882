#!/usr/bin/env python3
"""The checker against SPIN: the same models in the same run, time to the verdict and memory.

    benchmarks/check_spin.py [--rounds N] [--no-large] [-o docs/reference/benchmarks-check.md]

Needs spin and gcc. Ours is a process of its own, from the start of Python to the verdict, with a warm cache of compiled code;
SPIN's time is that of `spin -a`, `gcc -O2` and the verifier. Both go through all states; that they find the same is checked.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

from table import markdown

from mapcount.check.cells import model_of, parse_cell
from mapcount.check.explore import Explored, explore
from mapcount.check.model import Call, Model
from mapcount.check.promela import promela
from mapcount.check.scaling import scaled
from mapcount.check.spin import differences, run_spin
from mapcount.mapping.schema import Kind
from mapcount.schemes.catalogue import find_scheme

MOST_STATES = 30_000_000
MIB = 1 << 20
MATRIX = (
    "double-map/compaction/fork-zap/2",
    "total-mapcount/split/fork-zap/4",
    "mm-id/kpagecount/zap-fault/2",
    "total-mapped-pages/lazyfree/split-zap/4",
)
"""Of the default matrix, and with four pages."""


def page_by_page(pages: int, mm: int) -> tuple[Call, ...]:
    """Map each page by a PTE of its own, then unmap each."""
    return tuple(Call(name, i, 1, mm) for name in ("map_ptes", "unmap_ptes") for i in range(pages))


def free_model(scheme_id: str, order: int, writers: int) -> Model:
    """Return PTE writers that go page by page, one writer of a PMD, and folio_mapcount."""
    pmd = (Call("map_pmd", mm=writers + 1), Call("unmap_pmd", mm=writers + 1))
    ptes = tuple(page_by_page(1 << order, mm + 1) for mm in range(writers))
    scheme = scaled(find_scheme(scheme_id), order, writers + 1)
    return Model(scheme, order, (*ptes, pmd, (Call("folio_mapcount"),)), (), Kind.FILE)


FREE = {
    "nr-pages-mapped, 8 pages, page by page, 1 + 1 + 1": ("nr-pages-mapped", 3, 1),
    "nr-pages-mapped, 4 pages, page by page, 2 + 1 + 1": ("nr-pages-mapped", 2, 2),
    "mm-id, 4 pages, page by page, 2 + 1 + 1": ("mm-id", 2, 2),
}
LARGE = {"nr-pages-mapped, 8 pages, page by page, 2 + 1 + 1": ("nr-pages-mapped", 3, 2)}


def model(name: str) -> Model:
    """Return a model of this benchmark."""
    free = FREE | LARGE
    return free_model(*free[name]) if name in free else model_of(parse_cell(name))


def peak_bytes() -> int:
    """Return the peak resident size of this process."""
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) << 10


def child(name: str) -> dict:
    """Explore a model as a command would."""
    found = explore(model(name), max_states=MOST_STATES)
    return {"states": found.states, "steps": found.transitions, "violated": bool(found.violations)}


def child_memory(name: str) -> dict:
    """Measure what a large model takes beyond a small one, by the compiled search."""
    explore(model(MATRIX[0]), engine="numba")
    before = peak_bytes()
    found = explore(model(name), max_states=MOST_STATES, engine="numba")
    return {"bytes": (peak_bytes() - before) / found.states}


def ours(what: str, name: str) -> dict:
    """Run one of the above in a process of its own; return what it says, and its wall and CPU time."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, __file__, "--child", what, name]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    return json.loads(done.stdout) | {"wall": wall, "cpu": _cpu(before, after)}


def _cpu(before: resource.struct_rusage, after: resource.struct_rusage) -> float:
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def narrowed(text: str) -> str:
    """Return an export with 16 bits for what this program gives 32: as someone would write who knows how large things get."""
    return re.sub(r"^int (m_\w+|[a-z]\d+)", r"short \1", text, flags=re.MULTILINE)


def theirs(found: Explored, text: str) -> dict:
    """Run SPIN; both must have found the same."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = run_spin(text, expected_states=found.states)
    cpu = _cpu(before, resource.getrusage(resource.RUSAGE_CHILDREN))
    told = differences(found, run)
    if told:
        raise SystemExit(f"SPIN disagrees: {told}")
    return {
        "wall": run.total_s,
        "cpu": cpu,
        "search": run.search_s,
        "bytes": run.memory_bytes / run.states,
        "vector": run.vector_bytes,
    }


def measure(name: str, rounds: int) -> dict:
    """Return medians of a model, interleaved."""
    found = explore(model(name), max_states=MOST_STATES)
    text, large = promela(found.steps.model, telling=True), found.states > 100_000
    row: dict = {"name": name, "states": found.states, "steps": found.transitions}
    runs = {"ours": [], "spin": []}
    for _ in range(rounds):
        runs["ours"].append(ours("verdict", name))
        runs["spin"].append(theirs(found, narrowed(text)))
    for who, made in runs.items():
        row[who] = {key: statistics.median(one[key] for one in made) for key in made[0] if key != "violated"}
    begin = time.process_time()
    explore(model(name), max_states=MOST_STATES, engine="numba")
    row["rate"] = found.states / (time.process_time() - begin)
    row["bytes"] = ours("memory", name)["bytes"] if large else 0.0
    row["bytes_int"] = theirs(found, text)["bytes"] if large else 0.0
    return row


def goals(rows: list[dict]) -> list[list[str]]:
    """Hold the figures against the goals."""
    worst = max(rows, key=lambda row: row["ours"]["cpu"] / row["spin"]["cpu"])
    ratio = worst["ours"]["cpu"] / worst["spin"]["cpu"]
    made = [["time to the verdict: at most SPIN's, each model", f"{ratio:.2f} at worst ({worst['name']})", _met(ratio)]]
    large = [row for row in rows if row["bytes"]]
    if large:
        fattest = max(row["bytes"] / row["spin"]["bytes"] for row in large)
        made.append(["memory per state: at most SPIN's, each large model", f"{fattest:.2f} at worst", _met(fattest)])
    return made


def _met(ratio: float) -> str:
    return "met" if ratio <= 1 else "missed"


TEXT = """Made by `make bench-check` (`benchmarks/check_spin.py`), {rounds} interleaved rounds, medians, on {machine}; SPIN \
{spin}.

Both go through every state of the same model, and the run stops if they find anything different. Ours is a process from the \
start of Python to the verdict, with a warm cache of compiled code (the first start ever compiles for half a minute). SPIN's \
is `spin -a`, `gcc -O2` and the verifier, with the options that `src/mapcount/check/spin.py` explains, and with 16-bit words \
and registers (the export as it is gives them the kernel's 32). CPU seconds, since others use the machine; `search` is the \
verifier alone, by its own clock."""
MEMORY = """Bytes a state, with the hash table. Ours: the growth of the process beyond that for a small model. SPIN's: what \
the verifier says of states and hash table, without its stack, which it needs as well."""


def page(rows: list[dict], rounds: int) -> str:
    """Return the Markdown page."""
    spin = subprocess.run(["spin", "-V"], capture_output=True, text=True, check=True).stdout.split()[2]
    machine = (
        f"Linux {platform.release()} {platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"
    )
    times = [
        [
            row["name"],
            f"{row['states']:,}",
            f"{row['steps']:,}",
            f"{row['ours']['cpu']:.2f}",
            f"{row['spin']['cpu']:.2f}",
            f"{row['ours']['cpu'] / row['spin']['cpu']:.2f}",
            f"{row['spin']['search']:.2f}",
        ]
        for row in rows
    ]
    sizes = [
        [
            row["name"],
            f"{row['bytes']:.0f}",
            f"{row['spin']['bytes']:.0f}",
            f"{row['bytes_int']:.0f}",
            f"{row['rate']:,.0f}",
        ]
        for row in rows
        if row["bytes"]
    ]
    parts = [
        "# Benchmarks of the checker",
        TEXT.format(rounds=rounds, machine=machine, spin=spin),
        "## Goals",
        markdown(["goal", "found", "verdict"], goals(rows)),
        "## Time to the verdict",
        markdown(["model", "states", "steps", "ours s", "SPIN s", "ours / SPIN", "search s"], times),
        "## Memory",
        MEMORY,
        markdown(["model", "ours", "SPIN, 16 bits", "SPIN, 32 bits", "our states/s"], sizes),
    ]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-large", action="store_true", help="without the model of over ten million states")
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps({"verdict": child, "memory": child_memory}[args.child[0]](args.child[1])))
        return
    names = [*MATRIX, *FREE, *(() if args.no_large else LARGE)]
    rows = [measure(name, 1 if name in LARGE else args.rounds) for name in names]
    text = page(rows, args.rounds)
    print(text)
    if args.output:
        args.output.write_text(text)


if __name__ == "__main__":
    main()
