"""Entries that map nothing: guard regions in 64 KiB folios, and write-protect markers of a userfaultfd."""

import ctypes
import os
import struct
import sys

sys.path.insert(0, __file__.rpartition("/")[0])

from kit import MADV_GUARD_INSTALL, PAGE, Workload, libc, madvise

SYS_USERFAULTFD = 323  # x86-64
UFFDIO_API, UFFDIO_REGISTER, UFFDIO_WRITEPROTECT = 0xC018AA3F, 0xC020AA00, 0xC018AA06
UFFD_API, FEATURE_WP_UNPOPULATED, MODE_WP = 0xAA, 1 << 13, 2

w = Workload()


def guard():
    """Put guards over the first five pages of each of seven folios: what was there is mapped no more."""
    start = w.area(11 * 16, order=4)
    w.fill(start, 11, 4)
    w.settle(start, 11 * 16)
    for i in range(7):
        try:
            madvise(start + i * 16 * PAGE, 5, MADV_GUARD_INSTALL)
        except OSError as error:
            w.facts["guard"] = f"this kernel has no MADV_GUARD_INSTALL: {error.strerror}"
            return
        w._forget(start + i * 16 * PAGE, 5)
    w.facts["guard_pages"] = 35


def ioctl(fd, request, *words):
    buffer = ctypes.create_string_buffer(struct.pack(f"<{len(words)}Q", *words))
    if libc.ioctl(fd, ctypes.c_ulong(request), buffer) < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def markers():
    """Write-protect 13 pages of which 8 were never touched: those get a marker and no page."""
    start = w.area(13, huge=False)
    fd = libc.syscall(SYS_USERFAULTFD, os.O_CLOEXEC)
    if fd < 0:
        w.facts["uffd"] = f"no userfaultfd: {os.strerror(ctypes.get_errno())}"
        return
    try:
        ioctl(fd, UFFDIO_API, UFFD_API, FEATURE_WP_UNPOPULATED, 0)
        ioctl(fd, UFFDIO_REGISTER, start, 13 * PAGE, MODE_WP, 0)
        ctypes.memset(start, 0x5A, 5 * PAGE)
        ioctl(fd, UFFDIO_WRITEPROTECT, start, 13 * PAGE, 1)
    except OSError as error:
        w.facts["uffd"] = f"no write-protect markers: {error.strerror}"
        return
    for i in range(5):
        w.note(start + i * PAGE, 0, "anon", "pte")
    w.facts["uffd_pages"] = 8


guard()
markers()
w.hold()
