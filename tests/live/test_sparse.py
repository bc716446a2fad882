"""Address space that is not used costs nothing: 4 TiB of it, 2 MiB touched, measured in reads, bytes and memory."""

from __future__ import annotations

import json
import subprocess
import sys

import mapcount
from live.captured import large_view, small_counts
from live.view import differences
from live.view import small_counts as true_small_counts

MIB = 1 << 20
COST = """
import json, mapcount, sys
meta = mapcount.capture(pids=[int(sys.argv[1])]).meta
print(json.dumps([meta.reads, meta.bytes_read, meta.peak_rss_bytes]))
"""


def cost(pid: int) -> tuple[int, int, int]:
    """Return (reads, bytes read, peak resident bytes) of a capture in a process of its own."""
    done = subprocess.run([sys.executable, "-c", COST, str(pid)], capture_output=True, text=True, check=True)
    return tuple(json.loads(done.stdout))


def test_sparse_areas_are_captured(workload, thp):
    thp(anon=(64,))
    running = workload("sparse.py")
    snapshot = mapcount.capture(pids=[running.pids["parent"]])
    assert differences(running.view().select(large=True), large_view(snapshot, running.pids, running.areas)) == []
    assert small_counts(snapshot, running.pids, running.areas) == true_small_counts(running.view())


def test_sparse_areas_cost_little(workload, thp):
    """Reading their pagemap would be 8 GiB; what is touched costs at most 8 reads and 64 KiB for each piece."""
    thp(anon=(64,))
    dense_reads, dense_bytes, dense_peak = cost(workload("twins.py", "threads").pids["parent"])
    running = workload("sparse.py")
    assert running.facts["virtual_bytes"] == 4 << 40
    reads, bytes_read, peak = cost(running.pids["parent"])
    pieces = 257 + 17
    assert reads < dense_reads + 8 * pieces
    assert bytes_read < dense_bytes + 65536 * pieces
    assert peak < dense_peak + 16 * MIB
