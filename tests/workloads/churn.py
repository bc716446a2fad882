"""A process that maps, writes, cuts and unmaps private memory for as long as it is let: its pages go through many hands.

Usage: churn.py SEED. The truth names no pages: every one of them is this process's alone, at any time.
"""

import ctypes
import random
import select
import sys

sys.path.insert(0, __file__.rpartition("/")[0])

from kit import (
    MADV_DONTNEED,
    MADV_HUGEPAGE,
    MAP_ANONYMOUS,
    MAP_PRIVATE,
    PAGE,
    PROT_READ,
    PROT_WRITE,
    libc,
    madvise,
    mmap,
    tell_moving,
)

rng = random.Random(int(sys.argv[1]))
held = []


def turn():
    """One area more with a hole in it, and one less."""
    nr_pages = rng.choice((16, 512, 1024))
    start = mmap(None, nr_pages, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS)
    if rng.random() < 0.8:
        madvise(start, nr_pages, MADV_HUGEPAGE)
    ctypes.memset(start, 0x5A, nr_pages * PAGE)
    first = rng.randrange(nr_pages)
    madvise(start + first * PAGE, rng.randrange(1, nr_pages - first + 1), MADV_DONTNEED)
    held.append((start, nr_pages))
    if len(held) > 7:
        old, size = held.pop(rng.randrange(7))
        libc.munmap(old, size * PAGE)


for _ in range(7):
    turn()
tell_moving()
while not select.select([sys.stdin], [], [], 0)[0]:
    turn()
