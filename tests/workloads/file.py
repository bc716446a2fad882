"""A file on disk: mapped whole, in part, and touched at one page (the kernel maps pages around it).

Usage: file.py PATH. What size its folios have is up to the file system, so the truth says which pages are mapped by
whom, with order 0 for "not known".
"""

import ctypes
import os
import sys

sys.path.insert(0, __file__.rpartition("/")[0])

from kit import MADV_POPULATE_READ, MAP_SHARED, PAGE, Workload, madvise

NR_PAGES = 1021

fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
os.write(fd, os.urandom(NR_PAGES * PAGE))
os.fsync(fd)

w = Workload()


def read(who, start, first, nr_pages):
    madvise(start + first * PAGE, nr_pages, MADV_POPULATE_READ)
    for page in range(first, first + nr_pages):
        who.note(start + page * PAGE, 0, "file", "pte", folio=f"page {page}")


whole = w.area(NR_PAGES, huge=False, flags=MAP_SHARED, fd=fd)
read(w, whole, 0, NR_PAGES)

# A hole of 101 pages: a part of the page cache that is not mapped here is no waste.
holed = w.area(NR_PAGES, huge=False, flags=MAP_SHARED, fd=fd)
read(w, holed, 0, NR_PAGES)
w.drop(holed + 307 * PAGE, 101)

# One page is touched by the child; fault-around maps up to 16. Which ones is for the kernel to say.
around = w.area(NR_PAGES, huge=False, flags=MAP_SHARED, fd=fd)
w.facts["around"] = around
w.facts["nr_pages"] = NR_PAGES


def child(c):
    ctypes.string_at(around + 503 * PAGE, 1)


w.fork("child", child, inherits=lambda folio: False)
w.hold()
