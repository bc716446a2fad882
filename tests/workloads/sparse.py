"""A VMA of 2 TiB of which 1 MiB is touched: small pages far apart, and a second one with 17 folios of 64 KiB."""

import ctypes
import sys

sys.path.insert(0, __file__.rpartition("/")[0])

from kit import MAP_ANONYMOUS, MAP_NORESERVE, MAP_PRIVATE, PAGE, Workload

TIB_PAGES = (1 << 40) // PAGE
FLAGS = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE

w = Workload()

small = w.area(2 * TIB_PAGES, order=9, huge=False, flags=FLAGS)
for i in range(257):
    address = small + i * 2_089_967 * PAGE
    ctypes.memset(address, 0x5A, 1)
    w.note(address, 0, "anon", "pte")

large = w.area(2 * TIB_PAGES, order=9, flags=FLAGS)
for i in range(17):
    w.fill(large + i * 1_900_009 * 16 * PAGE, 1, 4)
w.settle(large, 2 * TIB_PAGES)

w.facts["virtual_bytes"] = 4 * TIB_PAGES * PAGE
w.hold()
