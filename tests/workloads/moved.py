"""Folios that mremap carried to an address that does not suit them: whole, but not aligned; some over two page tables."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0])

from kit import PAGE, PMD_ORDER, Workload

PMD_PAGES = 1 << PMD_ORDER

w = Workload()

# 64 KiB folios, one page off.
source = w.area(13 * 16, order=4)
w.fill(source, 13, 4)
w.settle(source, 13 * 16)
w.move(source, 13 * 16, w.area(13 * 16, order=4, skip=1, huge=False))

# 2 MiB folios, 257 pages off: each is mapped in two page tables.
source = w.area(3 * PMD_PAGES, order=PMD_ORDER)
w.fill(source, 3, PMD_ORDER)
w.settle(source, 3 * PMD_PAGES)
w.move(source, 3 * PMD_PAGES, w.area(3 * PMD_PAGES, order=PMD_ORDER, skip=257, huge=False))

# One page out of the middle of each of seven folios goes to another place: mapped whole, in three pieces.
source = w.area(7 * 16, order=4)
w.fill(source, 7, 4)
w.settle(source, 7 * 16)
target = w.area(7, huge=False)
for i in range(7):
    w.move(source + i * (16 * PAGE) + 5 * PAGE, 1, target + i * PAGE)

w.hold()
