"""Timing of page-table work on this machine, by folio size: rounds interleaved, settings put back whatever happens.

The program is folio_bench.c, built with gcc when it is needed. Time is CPU time of the thread.
"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from mapcount.cost.measured import Measured, Measurement
from mapcount.cost.operations import PMD_ORDER
from mapcount.errors import KernelFeatureError, NotAllowedError
from mapcount.kernels.c_build import build
from mapcount.kernels.host_settings import HostSettings, apply_settings
from mapcount.kernels.host_watchdog import read_setting
from mapcount.scenarios.scenario import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

SOURCE_NAME = "folio_bench.c"
FLAGS = ("-O2", "-Wall")
TIME_LIMIT_S = 60.0
"""Of one round of one size: some two seconds for 256 MiB where nothing else runs."""
LEAST_RIGHT = 0.95
"""Of the pages that must lie in folios of the size that was asked for, in the median round."""
_THP = "/sys/kernel/mm/transparent_hugepage"


def measure(
    orders: Sequence[int], *, rounds: int, memory_mib: int, progress: Callable[[str], None] = lambda _: None
) -> Measured:
    """
    Return times of each operation on `memory_mib` MiB of folios of each order (0 and 2 to 9), of every round.

    A round goes over all sizes before the next begins, so that what drifts meets all of them; one more before, not counted,
    warms up. Needs root; changes THP settings of the whole host meanwhile. Raises NotAllowedError without root,
    MissingToolError without gcc, KernelFeatureError if this kernel has not a size, does not give folios of it, or a round
    fails.
    """
    if os.geteuid() != 0:
        raise NotAllowedError(
            "--calibrate changes THP settings of this host while it measures, as root alone may; run it as root"
        )
    program = _build()
    times: dict[tuple[str, int], list[float]] = {}
    with HostSettings() as held:
        apply_settings(held, Settings(thp="madvise"))
        for number in range(rounds + 1):
            progress(f"round {number} of {rounds}" if number else "warming up")
            for order in orders:
                for name, ns_per_unit in _round(held, program, order, memory_mib).items():
                    if number:
                        times.setdefault((name, order), []).append(ns_per_unit)
    found = [Measurement(name, order, tuple(values)) for (name, order), values in times.items() if name != "right"]
    right = {order: sorted(times["right", order])[rounds // 2] for order in orders}
    if wrong := [order for order, share in right.items() if share < LEAST_RIGHT]:
        raise KernelFeatureError(
            f"only {right[wrong[0]]:.0%} of the memory came in folios of {4 << wrong[0]} KiB: this machine's memory is too "
            "fragmented to measure that size; give others with --sizes, or free memory"
        )
    return Measured(os.uname().release, memory_mib, rounds, tuple(found))


def _build() -> Path:
    from pathlib import Path

    source = Path(__file__).with_name(SOURCE_NAME)
    return build(source, FLAGS, "folio-bench", what="the benchmark of folios", packages="gcc libc6-dev")


def _round(held: HostSettings, program: Path, order: int, memory_mib: int) -> dict[str, float]:
    """Return nanoseconds a page (of `right` the share of pages) of one process on one size."""
    if order:
        _allow(held, order)
    try:
        done = subprocess.run(
            [str(program), str(order), str(memory_mib)],
            capture_output=True,
            text=True,
            timeout=TIME_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise KernelFeatureError(
            f"a round took more than {TIME_LIMIT_S:g} s: this machine is too busy to measure"
        ) from error
    if done.returncode:
        raise KernelFeatureError(f"the benchmark of folios failed: {done.stderr.strip() or done.returncode}")
    lines = [line.split() for line in done.stdout.splitlines()]
    return {name: float(total) / int(units) for name, total, units in lines}


def _allow(held: HostSettings, order: int) -> None:
    """Let faults make folios of this size alone where madvise asks."""
    for other in range(2, PMD_ORDER + 1):
        path = f"{_THP}/hugepages-{4 << other}kB/enabled"
        wanted = "madvise" if other == order else "never"
        if os.path.exists(path):
            if read_setting(path) != wanted:
                held.set(path, wanted)
        elif other == order:
            raise KernelFeatureError(
                f"{path} is missing: this kernel has no anon folios of that size (Linux 6.8 brought them)"
            )
