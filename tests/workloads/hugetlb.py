"""Huge pages of 2 MiB out of the pool: private, shared by fork, and in a page table that two processes share.

Usage: hugetlb.py. 13 free huge pages are needed.
"""

import ctypes
import os
import sys

sys.path.insert(0, __file__.rpartition("/")[0])

from kit import (
    MAP_ANONYMOUS,
    MAP_HUGETLB,
    MAP_NORESERVE,
    MAP_PRIVATE,
    MAP_SHARED,
    MFD_HUGETLB,
    PAGE,
    PMD_ORDER,
    Workload,
    give_up,
)

PMD_PAGES = 1 << PMD_ORDER
PMD_BYTES = PAGE << PMD_ORDER
GIB_ORDER = 18

w = Workload()


def touch(who, start, folios):
    for i, folio in enumerate(folios):
        ctypes.memset(start + i * PMD_BYTES, 0x5A, 1)
        who.note(start + i * PMD_BYTES, PMD_ORDER, "hugetlb", "pmd", folio=folio)


try:
    private = w.area(3 * PMD_PAGES, order=PMD_ORDER, huge=False, flags=MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB)
    touch(w, private, [f"private.{i}" for i in range(3)])

    memfd = os.memfd_create("family", MFD_HUGETLB)
    os.ftruncate(memfd, 5 * PMD_BYTES)
    family = w.area(5 * PMD_PAGES, order=PMD_ORDER, huge=False, flags=MAP_SHARED, fd=memfd)
    names = [f"family.{i}" for i in range(5)]
    touch(w, family, names)

    # A whole aligned GiB of one shared file: huge_pmd_share (mm/hugetlb.c) gives the child the parent's page table, and
    # with it every page of it. Five pages of it exist.
    memfd = os.memfd_create("table", MFD_HUGETLB)
    os.ftruncate(memfd, PAGE << GIB_ORDER)
    table = w.area(1 << GIB_ORDER, order=GIB_ORDER, huge=False, flags=MAP_SHARED | MAP_NORESERVE, fd=memfd)
    shared = [f"table.{i}" for i in range(5)]
    touch(w, table, shared)
except OSError as error:
    give_up(f"no huge pages of 2 MiB: {error.strerror}")

w.facts["table"] = table


def child(c):
    touch(c, family, names[:3])
    ctypes.memset(table, 0x5A, 1)
    for i, folio in enumerate(shared):
        c.note(table + i * PMD_BYTES, PMD_ORDER, "hugetlb", "pmd", folio=folio)


# fork copies the entries of private mappings alone.
w.fork("child", child, inherits=lambda folio: folio.startswith("private"))
w.hold()
