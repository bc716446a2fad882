"""/proc/PID/maps: the VMAs of an address space."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mapcount.record import record

if TYPE_CHECKING:
    from mapcount.mapping.schema import U64

USER_END = 1 << 63
"""VMAs from here on ([vsyscall]) are the kernel's own; pagemap does not show them."""


@record(frozen=True)
class VmaList:
    """VMAs in address order, as columns; ranges are half-open byte addresses."""

    start: U64
    end: U64
    perms: list[str]
    offset: list[int]
    dev: list[str]
    inode: list[int]
    path: list[str]

    def __len__(self) -> int:
        return len(self.perms)


def parse_maps(text: bytes) -> VmaList:
    """
    Parse the text of /proc/PID/maps; lines that are no VMA (a read that raced with exit) end the list.

    Paths keep blanks, "(deleted)" and the kernel's octal escapes as they are (Documentation/filesystems/proc.rst).
    """
    starts, ends = [], []
    rest: list[tuple[str, int, str, int, str]] = []
    for line in text.decode("utf-8", "surrogateescape").split("\n"):
        columns = line.split(None, 5)
        if len(columns) < 5:
            break
        first, _, last = columns[0].partition("-")
        start = int(first, 16)
        if start >= USER_END:
            continue
        starts.append(start)
        ends.append(int(last, 16))
        path = columns[5] if len(columns) > 5 else ""
        rest.append((columns[1], int(columns[2], 16), columns[3], int(columns[4]), path))
    return VmaList(
        start=np.array(starts, np.uint64),
        end=np.array(ends, np.uint64),
        perms=[r[0] for r in rest],
        offset=[r[1] for r in rest],
        dev=[r[2] for r in rest],
        inode=[r[3] for r in rest],
        path=[r[4] for r in rest],
    )
