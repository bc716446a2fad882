"""Anonymous folios of one size: whole ones, and ones whose beginning, middle or end is mapped no more.

Usage: anon.py ORDER. Sizes other than this one must be `never`, this one `madvise`.
"""

import sys

sys.path.insert(0, __file__.rpartition("/")[0])

from kit import PAGE, Workload

order = int(sys.argv[1])
pages = 1 << order
few = min(5, pages - 1)
folio_bytes = PAGE << order
whole = 23 if order < 9 else 7

w = Workload()

full = w.area(whole * pages, order=order)
w.fill(full, whole, order)

# Pages out of the middle (or what is the middle of a small folio), by MADV_DONTNEED: the VMA stays one.
holed = w.area(7 * pages, order=order)
w.fill(holed, 7, order)
w.settle(holed, 7 * pages)
for i in range(7):
    w.drop(holed + i * folio_bytes + PAGE * (pages // 3), few)

# The first pages, the last pages, both: what is left does not begin or end where the folio does.
ends = w.area(11 * pages, order=order)
w.fill(ends, 11, order)
w.settle(ends, 11 * pages)
for i in range(3):
    w.drop(ends + i * folio_bytes, 1)
for i in range(3, 5):
    w.drop(ends + (i + 1) * folio_bytes - few * PAGE, few)
for i in range(5, 8):
    w.drop(ends + i * folio_bytes, 1)
    w.drop(ends + (i + 1) * folio_bytes - PAGE, 1)
for i in range(8, 11):  # gone altogether: no folio is left
    w.drop(ends + i * folio_bytes, pages)

# Both ends of the area by munmap: no VMA of ours is beside what is left.
cut = w.area(5 * pages, order=order)
w.fill(cut, 5, order)
w.settle(cut, 5 * pages)
w.unmap(cut, few)
w.unmap(cut + 5 * folio_bytes - few * PAGE, few)

# One page alone is left of a folio, and it is the last.
last = w.area(3 * pages, order=order)
w.fill(last, 3, order)
w.settle(last, 3 * pages)
for i in range(3):
    w.drop(last + i * folio_bytes, pages - 1)

w.hold()
