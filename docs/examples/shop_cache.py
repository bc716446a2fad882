"""A cache of blocks in huge pages that evicts almost all of each block: what the handbook's tutorial looks at.

`python3 shop_cache.py [BLOCKS]` fills that many blocks of 2 MiB (1,153 if not told: 2.3 GiB), gives back 461 of the 512
pages of each with MADV_DONTNEED, as an allocator does that frees objects, forks one worker, and waits for Enter.
Run as root with `--cgroup NAME` it first puts itself into a new memory cgroup of that name, which it leaves behind.
"""

import argparse
import ctypes
import mmap
import os
import signal
from pathlib import Path

PAGE, BLOCK = 4096, 2 << 20
LIVE_PAGES = 51
MEMORY_CGROUPS = ("/sys/fs/cgroup/memory", "/sys/fs/cgroup")


def enter(name):
    root = next(Path(root) for root in MEMORY_CGROUPS if Path(root, "cgroup.procs").exists())
    group = root / name.strip("/")
    group.mkdir(parents=True, exist_ok=True)
    (group / "cgroup.procs").write_text(str(os.getpid()))


def fill(blocks):
    area = mmap.mmap(-1, (blocks + 1) * BLOCK, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    area.madvise(mmap.MADV_HUGEPAGE)
    first = -ctypes.addressof(ctypes.c_char.from_buffer(area)) % BLOCK
    starts = range(first, first + blocks * BLOCK, BLOCK)
    for start in starts:
        area[start] = 1
    return area, starts


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("blocks", nargs="?", type=int, default=1153)
    parser.add_argument("--cgroup")
    options = parser.parse_args()
    Path("/proc/self/comm").write_text("shop-cache")
    if options.cgroup:
        enter(options.cgroup)
    area, starts = fill(options.blocks)
    for start in starts:
        area.madvise(mmap.MADV_DONTNEED, start + LIVE_PAGES * PAGE, BLOCK - LIVE_PAGES * PAGE)
    worker = os.fork()
    if worker == 0:
        Path("/proc/self/comm").write_text("shop-worker")
        signal.pause()
    print(f"ready {os.getpid()}", flush=True)
    try:
        input()
    finally:
        os.kill(worker, signal.SIGTERM)
        os.wait()


if __name__ == "__main__":
    main()
