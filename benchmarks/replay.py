#!/usr/bin/env python3
"""Replay against hand-written C, with and without costs; its memory; and what the second start costs.

    benchmarks/replay.py [--rounds N] [--quick] [-o docs/reference/benchmarks-replay.md]

Needs gcc. Everything is compared within one run, interleaved: figures of other machines or days do not matter.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import fields
from pathlib import Path

import numpy as np
from table import markdown

from mapcount.mapping.log import Log, LogMetadata
from mapcount.mapping.schema import SNAPSHOT_TABLES, Kind, Level, MappingLog, Op
from mapcount.mapping.snapshot import Metadata, Snapshot, empty_tables
from mapcount.replay.compiled import CompiledReplay
from mapcount.replay.engine import replay, replay_each
from mapcount.replay.histories import log_of
from mapcount.replay.result import FolioSpecs
from mapcount.schemes.catalogue import find_scheme, scheme_ids
from mapcount.views.comparison import compare, default_schemes

HERE = Path(__file__).resolve().parent
EXAMPLE = HERE.parent / "src" / "mapcount" / "data" / "example.mapsnap"
ORDER = 4
NR_PAGES = 1 << 20
MIB = 1 << 20


def table_of(kind, **columns):
    """Return a table of these columns; the others hold zeros or empty texts."""
    rows = len(next(iter(columns.values())))
    made = {}
    for field in fields(kind):
        dtype = field.metadata["dtype"]
        if field.name in columns:
            made[field.name] = np.asarray(columns[field.name]).astype(dtype)
        else:
            made[field.name] = (
                None if field.metadata["optional"] else np.full(rows, "" if dtype.kind == "O" else 0, dtype)
            )
    return kind(**made)


# Speed.


class CReplay:
    """The C program with the interface of CompiledReplay."""

    NAMES = ("_mapcount", "PG_anon_exclusive", "_large_mapcount", "_entire_mapcount", "_nr_pages_mapped")

    def __init__(self, library, folios: FolioSpecs, *, least: bool = False) -> None:
        self._library, self._least, nr = library, least, len(folios)
        start = {"_nr_pages_mapped": 0, "PG_anon_exclusive": 0}
        of_pages = {"_mapcount", "PG_anon_exclusive"}
        self.words = {
            name: np.full(
                folios.nr_pages if name in of_pages else nr,
                start.get(name, -1),
                np.uint8 if name == "PG_anon_exclusive" else np.int32,
            )
            for name in self.NAMES
        }
        self.stats = np.zeros((5, nr), np.int64)
        self.flags = [np.zeros(nr, np.uint8) for _ in range(4)]
        arrays = [*self.words.values(), self.stats, *self.flags, folios.kinds, folios.orders, folios.base]
        self._kept = arrays
        self._memory = (ctypes.c_int64 * (len(arrays) + 1))(*(array.ctypes.data for array in arrays), nr)

    def count(self, log: MappingLog) -> None:
        columns = (log.op, log.level, log.folio_id, log.first_page, log.nr_pages)
        pointers = [ctypes.c_void_p(column.ctypes.data) for column in columns]
        if self._least:
            self._library.replay_least(self._memory, pointers[0], *pointers[2:], ctypes.c_int64(len(log)))
            return
        assert self._library.replay(self._memory, *pointers, ctypes.c_int64(len(log))) == 0


def pte_log(pages) -> MappingLog:
    """Map each page by a PTE, then unmap each, in these two orders."""
    both = np.concatenate(pages)
    op = np.repeat([Op.MAP, Op.UNMAP], len(pages[0]))
    return table_of(
        MappingLog, op=op, folio_id=both >> ORDER, first_page=both & (1 << ORDER) - 1, nr_pages=both * 0 + 1
    )


def speed(directory: Path, rounds: int) -> list[dict]:
    """Return medians in ns a row, of C, replay, and replay with costs."""
    shared = directory / "replay_floor.so"
    command = ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", str(shared), "replay_floor.c"]
    subprocess.run(command, check=True, cwd=HERE)
    library = ctypes.CDLL(str(shared))
    library.replay.restype = ctypes.c_int64
    folios = FolioSpecs.of(np.full(NR_PAGES >> ORDER, ORDER), np.full(NR_PAGES >> ORDER, Kind.ANON))
    scheme, rng = find_scheme("large-mapcount"), np.random.default_rng(1)
    engines = {
        "C": lambda: CReplay(library, folios),
        "least C": lambda: CReplay(library, folios, least=True),
        "replay": lambda: CompiledReplay(scheme, folios, None, cost=False),
        "costs": lambda: CompiledReplay(scheme, folios, None, cost=True),
    }
    pages = np.arange(NR_PAGES)
    logs = {
        "in sequence": pte_log((pages, pages)),
        "at random": pte_log((rng.permutation(pages), rng.permutation(pages))),
    }
    made = []
    for how, log in logs.items():
        times = {name: [] for name in engines}
        for number in range(rounds + 1):
            ends = {}
            for name, engine in engines.items():
                running = engine()
                begin = time.perf_counter()
                running.count(log)
                if number:  # the first round warms up, and compiles
                    times[name].append(time.perf_counter() - begin)
                words = running.words if "C" in name else running.result().words
                ends[name] = {word: words[word].sum(dtype=np.int64) for word in CReplay.NAMES}
            assert all(end == ends["C"] for end in ends.values())
        made.append({"how": how} | {name: statistics.median(values) / len(log) * 1e9 for name, values in times.items()})
    return made


# Memory.


def machine_snapshot(gib: float) -> Snapshot:
    """
    All memory of a machine in large folios: by size 60 % order 4, 40 % order 9, a third of the latter mapped by PTEs.

    Every other folio is shared by two mms, every seventh lacks a page in one.
    """
    total = int(gib * (1 << 18))
    small, large = int(total * 0.6) >> 4, int(total * 0.4) >> 9
    order = np.concatenate([np.full(small, 4), np.full(large, 9)])
    folio = np.arange(len(order))
    address = (1 << 40) + folio * (2 * MIB)
    by_pmd = (order == 9) & (folio % 3 != 0)
    runs = []
    for mm in (0, 1):
        mapped = folio % 2 == 0 if mm else folio >= 0
        less = (folio % 7 == 0) & ~by_pmd & (mm == 0)
        first = less.astype(np.int64)
        columns = {
            "mm_id": np.full(len(folio), mm),
            "vma_id": np.full(len(folio), mm),
            "folio_id": folio,
            "first_page": first,
            "nr_pages": (1 << order) - first,
            "level": np.where(by_pmd, Level.PMD, Level.PTE),
            "address": address + first * 4096,
        }
        runs.append({name: values[mapped] for name, values in columns.items()})
    joined = {name: np.concatenate([part[name] for part in runs]) for name in runs[0]}
    tables = empty_tables()
    tables["mms"] = table_of(SNAPSHOT_TABLES["mms"], mm_id=[0, 1], start_time=[1, 2])
    tables["vmas"] = table_of(SNAPSHOT_TABLES["vmas"], vma_id=[0, 1], mm_id=[0, 1], end=[1 << 47, 1 << 47])
    tables["folios"] = table_of(SNAPSHOT_TABLES["folios"], folio_id=folio, order=order)
    tables["runs"] = table_of(SNAPSHOT_TABLES["runs"], **joined)
    return Snapshot(meta=Metadata(), **tables)


def peak_mib() -> float:
    """Return the peak resident size of this process. Not getrusage's: that starts with what the parent had."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def child_machine(gib: float, how: str) -> dict:
    """Replay a machine's snapshot under all schemes, each dropped before the next, or all kept; or compare them."""
    snapshot, schemes = machine_snapshot(gib), [find_scheme(name) for name in scheme_ids()]
    before = peak_mib()
    begin = time.perf_counter()
    if how == "compare":
        numbers, answers = default_schemes("mm-id")[0], [scheme.id for scheme in schemes]
        found = compare(snapshot, numbers=numbers, answers=answers, running="mm-id")
        return {"histories": len(found.histories), "seconds": time.perf_counter() - begin, "peak": peak_mib()}
    if how == "kept":
        folios = [replayed.folios.nr_pages for replayed in replay(snapshot, schemes)]
    else:
        folios = [replayed.folios.nr_pages for replayed in replay_each(snapshot, schemes)]
    rows = sum(len(batch) for batch in log_of(snapshot).batches())
    return {
        "schemes": len(schemes),
        "folios": len(snapshot.folios),
        "pages": folios[0],
        "rows": rows,
        "seconds": time.perf_counter() - begin,
        "before": before,
        "peak": peak_mib(),
    }


def child_stream(path: str) -> dict:
    """Replay a log from disk."""
    log = Log.load(path)
    begin = time.perf_counter()
    replay(log, [find_scheme("large-mapcount")])
    return {"seconds": time.perf_counter() - begin, "peak": peak_mib()}


def write_log(path: Path, rows: int) -> None:
    """Write a log of so many rows about 2^14 folios."""
    folios, size = 1 << 14, 1 << 18
    pages = np.arange(folios << ORDER)

    def batches():
        for number in range(rows // size):
            op = np.full(size, Op.UNMAP if number % 2 else Op.MAP)
            yield table_of(
                MappingLog, op=op, folio_id=pages >> ORDER, first_page=pages & (1 << ORDER) - 1, nr_pages=pages * 0 + 1
            )

    meta = LogMetadata(decided_by="nobody")
    Log(meta, np.full(folios, ORDER, np.uint8), np.zeros(folios, np.uint8), np.zeros(folios, bool), batches).save(path)


# Starts.


def run_child(what: str, cache: Path, *arguments: str) -> dict:
    """Run one of the above, or `mapcount compare`, in a process of its own; return what it says, and its wall and CPU time."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    env |= {"XDG_CACHE_HOME": str(cache), "PYTHONPYCACHEPREFIX": str(cache / "pycache")}
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, str(HERE / "replay.py"), "--child", what, *arguments]
    if what == "compare":
        command = [sys.executable, "-m", "mapcount", "compare", *arguments]
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return (json.loads(done.stdout) if what in CHILDREN else {}) | {"wall": wall, "cpu": cpu}


CHILDREN = {
    "machine": lambda gib, how: child_machine(float(gib), how),
    "stream": child_stream,
}


# The page.


def goal(wanted: str, found: str, *, met: bool) -> list[str]:
    return [wanted, found, "met" if met else "missed"]


C_TEXT = (
    "Ratios are of the same run; others may have used the machine. The C program does the same job by hand: the same log, "
    "all operations of `large-mapcount` on folios of any kind and order, `gcc -O2`. `least C` knows nothing but PTEs of large "
    "anon folios and checks nothing: not the same job, a floor for this one log."
)


def _machine_text(gib: float, figures: dict) -> str:
    return (
        f"All memory of a {gib:g} GiB machine in large folios: {figures['folios']:,} folios, {figures['pages']:,} pages, "
        f"{figures['rows']:,} rows of `whole-then-trimmed`, {figures['schemes']} schemes and variants with all their "
        "readers. MiB resident, of the whole process with Python and the snapshot."
    )


def page(figures: dict) -> str:
    """Return the Markdown page."""
    goals, speeds = [], figures["speed"]
    for row in speeds:
        ratio = row["C"] / row["replay"]
        goals.append(
            goal(f"PTEs of order-4 folios {row['how']}: at least 0.9 times C", f"{ratio:.2f}", met=ratio >= 0.9)
        )
    slower = speeds[0]["costs"] / speeds[0]["replay"]
    goals.append(goal("costs counted, in sequence: at most 1.5 times slower", f"{slower:.2f}", met=slower <= 1.5))
    each, kept, compared = figures["machine"]
    goals.append(
        goal(
            f"a snapshot of {figures['gib']:g} GiB under all {each['schemes']} schemes within 1 GiB",
            f"{each['peak']:.0f} MiB, compared {compared['peak']:.0f} MiB",
            met=max(each["peak"], compared["peak"]) <= 1024,
        )
    )
    streams = figures["stream"]
    grown = streams[-1]["peak"] - streams[0]["peak"]
    goals.append(goal("memory does not grow with rows", f"{grown:+.0f} MiB for 16 times the rows", met=grown < 32))
    second = statistics.median(start["wall"] for start in figures["starts"][1:])
    goals.append(
        goal("second start of `mapcount compare` on the example: under 2 s", f"{second:.2f} s", met=second < 2)
    )
    machine = (
        f"Linux {platform.release()} {platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"
    )
    parts = [
        "# Benchmarks of replay",
        f"Made by `make bench-replay` (`benchmarks/replay.py`), medians of {figures['rounds']} rounds, on {machine}. "
        "Load average: {:.1f} when it began, {:.1f} when it ended.".format(*figures["load"]),
        C_TEXT,
        "## Goals",
        markdown(["goal", "found", "verdict"], goals),
        "## Speed",
        f"{NR_PAGES:,} pages in order-4 folios; each mapped by a PTE and then unmapped, a row each. ns a row.",
        markdown(
            ["order of pages", "C", "replay", "with costs", "C / replay", "costs / replay", "least C"],
            [
                [
                    row["how"],
                    *(f"{row[name]:.1f}" for name in ("C", "replay", "costs")),
                    f"{row['C'] / row['replay']:.2f}",
                    f"{row['costs'] / row['replay']:.2f}",
                    f"{row['least C']:.1f}",
                ]
                for row in speeds
            ],
        ),
        "## Memory",
        _machine_text(figures["gib"], each),
        markdown(
            ["results", "before", "peak", "seconds"],
            [
                [
                    "each dropped before the next",
                    f"{each['before']:.0f}",
                    f"{each['peak']:.0f}",
                    f"{each['seconds']:.1f}",
                ],
                ["all kept", f"{kept['before']:.0f}", f"{kept['peak']:.0f}", f"{kept['seconds']:.1f}"],
                [
                    f"compared, {compared['histories']} pasts",
                    f"{each['before']:.0f}",
                    f"{compared['peak']:.0f}",
                    f"{compared['seconds']:.1f}",
                ],
            ],
        ),
        "A log from Parquet, about 16,384 folios of order 4, one scheme:",
        markdown(
            ["rows", "peak MiB", "seconds"],
            [[f"{row['rows']:,}", f"{row['peak']:.0f}", f"{row['seconds']:.2f}"] for row in streams],
        ),
        "## Starts",
        "`mapcount compare` of the example snapshot, the whole command: first with an empty cache, then again.",
        markdown(
            ["start", "wall s", "CPU s"],
            [
                [str(number + 1), f"{start['wall']:.2f}", f"{start['cpu']:.2f}"]
                for number, start in enumerate(figures["starts"])
            ],
        ),
    ]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--gib", type=float, default=24)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        what, *arguments = args.child
        print(json.dumps(CHILDREN[what](*arguments)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        cache = directory / "cache"
        os.environ["XDG_CACHE_HOME"] = str(cache)
        figures = {"rounds": args.rounds, "gib": args.gib, "load": [os.getloadavg()[0]]}
        written = ["-o", str(directory / "compared.txt"), "--force"]
        figures["starts"] = [run_child("compare", cache, str(EXAMPLE), *written) for _ in range(6)]
        figures["speed"] = speed(directory, args.rounds)
        figures["machine"] = [run_child("machine", cache, str(args.gib), how) for how in ("each", "kept", "compare")]
        figures["stream"] = []
        for rows in (1 << 20, 1 << 22, 1 << 24):
            path = directory / f"{rows}.maplog"
            write_log(path, rows)
            figures["stream"].append(run_child("stream", cache, str(path)) | {"rows": rows})
        figures["load"].append(os.getloadavg()[0])
    text = page(figures)
    print(text)
    if args.output:
        args.output.write_text(text)


if __name__ == "__main__":
    main()
