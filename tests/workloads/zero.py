"""Reads of memory that nobody wrote: the zero page and the huge zero folio, which belong to nobody."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0])

from kit import MADV_POPULATE_READ, PAGE, PMD_ORDER, Workload, madvise

PMD_PAGES = 1 << PMD_ORDER

w = Workload()

small = w.area(13, huge=False)
madvise(small, 13, MADV_POPULATE_READ)
for i in range(13):
    w.note(small + i * PAGE, 0, "zero", "pte", folio="zero")

huge = w.area(3 * PMD_PAGES, order=PMD_ORDER)
madvise(huge, 3 * PMD_PAGES, MADV_POPULATE_READ)
for i in range(3):
    w.note(huge + i * (PAGE << PMD_ORDER), PMD_ORDER, "zero", "pmd", folio="huge zero")

# Beside zero pages, five that were written to.
mixed = w.area(11, huge=False)
madvise(mixed, 11, MADV_POPULATE_READ)
for i in range(11):
    w.note(mixed + i * PAGE, 0, "zero", "pte", folio="zero")
w.rewrite(mixed + 3 * PAGE, 5)

w.facts["areas_anon_kb"] = 5 * 4
w.hold()
