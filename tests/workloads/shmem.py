"""Memory of a memfd in folios of one size: mapped once, twice by one process, in part, and by a child that faults anew.

Usage: shmem.py ORDER. The memfd's size must be `advise`, others `never`.
"""

import os
import sys

sys.path.insert(0, __file__.rpartition("/")[0])

from kit import MADV_POPULATE_WRITE, MAP_SHARED, PAGE, PMD_ORDER, Workload, madvise

order = int(sys.argv[1])
pages = 1 << order
folio_bytes = PAGE << order
level = "pmd" if order == PMD_ORDER else "pte"
count = 3 if order == PMD_ORDER else 7

w = Workload()


def area(fd, nr_folios):
    return w.area(nr_folios * pages, order=order, flags=MAP_SHARED, fd=fd)


def populate(who, start, folios):
    madvise(start, len(folios) * pages, MADV_POPULATE_WRITE)
    for i, folio in enumerate(folios):
        who.note(start + i * folio_bytes, order, "shmem", level, folio=folio)


def memfd(name, nr_folios):
    fd = os.memfd_create(name)
    os.ftruncate(fd, nr_folios * folio_bytes)
    return fd, [f"{name}.{i}" for i in range(nr_folios)]


once, names = memfd("once", count)
populate(w, area(once, count), names)

# Every page is mapped twice, and yet one process alone maps the folio.
twice, names = memfd("twice", count)
for _ in range(2):
    populate(w, area(twice, count), names)

# What is mapped no more still holds data: unmapped, not waste. A part of a PMD of shmem cannot be dropped: the PMD goes
# whole and its pages fault in again one by one (zap of file PMDs, __split_huge_pmd_locked), so PMD order is left out.
half, names = memfd("half", count)
start = area(half, count)
populate(w, start, names)
if order < PMD_ORDER:
    for i in range(count):
        w.drop(start + i * folio_bytes, pages // 2)
else:
    w.drop(start, pages)

# A child does not inherit the entries of a shared mapping; it faults in what it touches.
family, names = memfd("family", count)
start = area(family, count)
populate(w, start, names)
w.fork("child", lambda c: populate(c, start, names), inherits=lambda folio: False)

w.hold()
