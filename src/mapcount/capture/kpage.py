"""/proc/kpageflags, kpagecount and kpagecgroup: their bits, and what a flag word says of a page.

Source: Documentation/admin-guide/mm/pagemap.rst; include/uapi/linux/kernel-page-flags.h; fs/proc/page.c.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from mapcount.capture.pagemap import as_index
from mapcount.mapping.schema import Kind
from mapcount.record import record

if TYPE_CHECKING:
    from mapcount.mapping.schema import U8, U64

KPF_ANON = 12
KPF_SWAPCACHE = 13
KPF_SWAPBACKED = 14
KPF_COMPOUND_HEAD = 15
KPF_COMPOUND_TAIL = 16
KPF_HUGE = 17
"""hugetlb"""
KPF_NOPAGE = 20
KPF_KSM = 21
KPF_THP = 22
"""A large folio that rmap knows, of any order. KPF_MMAP (11) is never used: it is set on unmapped pages of a mapped folio."""
KPF_OFFLINE = 23
KPF_ZERO_PAGE = 24
KPF_RESERVED = 32

# What is kept of a page in one byte. All zero: not known. A tail has no kind but zero and device: most flags of tails used to
# be garbage (Naoya Horiguchi, "mm, kpageflags: support folio and fix output for compound pages", 2023).
KIND_MASK = 0x07
ROLE_MASK = 0x18
HEAD = 0x08
TAIL = 0x10
SMALL = 0x18
SWAPCACHE = 0x20
READ = 0x40
"""its words were read (not inferred from the head of its folio)"""
SUSPECT = 0x80
"""its mappings and the kernel's counts disagree, or its folio's do"""

_LOW = KPF_ANON
_NR_BITS = KPF_ZERO_PAGE - _LOW + 1


def _classify_words() -> U8:
    """Return the class byte of each combination of bits 12 to 24."""
    words = np.arange(1 << _NR_BITS)

    def bit(number: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        return (words >> (number - _LOW) & 1).astype(np.bool_)

    kind = np.full(len(words), Kind.FILE, np.uint8)
    kind[bit(KPF_SWAPBACKED)] = Kind.SHMEM
    kind[bit(KPF_ANON)] = Kind.ANON
    kind[bit(KPF_KSM)] = Kind.KSM
    kind[bit(KPF_HUGE)] = Kind.HUGETLB
    # A compound page that is neither: a driver's or the kernel's own, mapped by vm_insert_page() or the like.
    compound = bit(KPF_COMPOUND_HEAD) | bit(KPF_COMPOUND_TAIL)
    kind[compound & ~bit(KPF_HUGE) & ~bit(KPF_THP)] = Kind.DEVICE
    kind[bit(KPF_OFFLINE) | bit(KPF_NOPAGE)] = Kind.DEVICE
    kind[bit(KPF_ZERO_PAGE)] = Kind.ZERO
    role = np.full(len(words), SMALL, np.uint8)
    role[bit(KPF_COMPOUND_HEAD)] = HEAD
    role[bit(KPF_COMPOUND_TAIL)] = TAIL
    role[bit(KPF_NOPAGE)] = SMALL
    classes = kind | role
    classes[bit(KPF_SWAPCACHE) & (role != TAIL)] |= SWAPCACHE
    believed = (kind == Kind.ZERO) | (kind == Kind.DEVICE)
    classes[(role == TAIL) & ~believed] = TAIL
    return classes


_CLASSES = _classify_words()
_CLASS_BITS = np.uint64((1 << _NR_BITS) - 1)
_RESERVED_BIT = np.uint64(1 << KPF_RESERVED)


def classify(flags: U64) -> U8:
    """Return the class byte of each kpageflags word: kind, role (head, tail, order 0) and swap cache."""
    classes: U8 = _CLASSES[as_index((flags >> np.uint64(_LOW)) & _CLASS_BITS)]
    if np.bitwise_or.reduce(flags) & _RESERVED_BIT:  # vdso and other kernel pages; the zero page is reserved too
        reserved = flags & _RESERVED_BIT != 0
        classes[reserved & (classes & KIND_MASK != Kind.ZERO)] = Kind.DEVICE | SMALL
    return classes


@record(frozen=True)
class KpageFiles:
    """Open descriptors of the three files; -1 for one that this kernel lacks (kpagecgroup without CONFIG_MEMCG)."""

    flags_fd: int
    count_fd: int
    cgroup_fd: int
    max_pfn: int
    """One past the last PFN that kpageflags knows."""

    def close(self) -> None:
        """Close them."""
        for fd in (self.flags_fd, self.count_fd, self.cgroup_fd):
            if fd >= 0:
                os.close(fd)


def open_kpage_files(proc: str = "/proc") -> KpageFiles:
    """Open the kpage files. Needs root (mode 0400). Raises OSError for kpageflags; the other two become -1."""
    flags_fd = os.open(f"{proc}/kpageflags", os.O_RDONLY | os.O_CLOEXEC)
    others = []
    for name in ("kpagecount", "kpagecgroup"):
        try:
            others.append(os.open(f"{proc}/{name}", os.O_RDONLY | os.O_CLOEXEC))
        except OSError:
            others.append(-1)
    return KpageFiles(flags_fd, others[0], others[1], _end_of(flags_fd))


def _end_of(fd: int) -> int:
    """Find one past the last PFN by bisection: reading at or beyond it returns nothing (fs/proc/page.c)."""
    low, high = 0, 1 << 40
    while low < high:
        middle = (low + high) // 2
        if os.pread(fd, 8, middle * 8):
            low = middle + 1
        else:
            high = middle
    return low
