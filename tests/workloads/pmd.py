"""2 MiB folios: mapped by a PMD, by PTEs after an mprotect of one page, and by a PMD here and by PTEs in a child."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0])

from kit import PAGE, PMD_ORDER, Workload

PMD_PAGES = 1 << PMD_ORDER
PMD_BYTES = PAGE << PMD_ORDER

w = Workload()

whole = w.area(3 * PMD_PAGES, order=PMD_ORDER)
w.fill(whole, 3, PMD_ORDER)
w.settle(whole, 3 * PMD_PAGES)

# One page read-only in each: three VMAs over one folio, all of whose pages are mapped.
split = w.area(5 * PMD_PAGES, order=PMD_ORDER)
w.fill(split, 5, PMD_ORDER)
w.settle(split, 5 * PMD_PAGES)
for i in range(5):
    w.protect(split + i * PMD_BYTES + 257 * PAGE, 1)

both = w.area(7 * PMD_PAGES, order=PMD_ORDER)
w.fill(both, 7, PMD_ORDER)
w.settle(both, 7 * PMD_PAGES)


def child(c):
    c.protect(both, 1)  # still whole, by PTEs
    c.drop(both + PMD_BYTES + 13 * PAGE, 101)  # a part: the parent's PMD maps the rest
    c.unmap(both + 2 * PMD_BYTES, PMD_PAGES)  # nothing
    c.rewrite(both + 3 * PMD_BYTES + 7 * PAGE, 3)  # copies of three pages


w.fork("child", child)
w.drop(both + 4 * PMD_BYTES, 31)  # a part here: the child's PMD maps the rest
w.hold()
