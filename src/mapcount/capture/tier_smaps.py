"""What smaps says of each VMA: the stand-in for PAGEMAP_SCAN in the tier without PFNs (before Linux 6.7)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mapcount.capture.maps import parse_maps
from mapcount.record import record

if TYPE_CHECKING:
    from mapcount.capture.maps import VmaList
    from mapcount.capture.processes import Process

_SMAPS_VMA = re.compile(rb"^([0-9a-f]+)-[0-9a-f]+ .*$", re.MULTILINE)
_SMAPS_FIELD = re.compile(rb"^(\w+):\s+(\d+) kB$", re.MULTILINE)
_HUGETLB = (b"Shared_Hugetlb", b"Private_Hugetlb")
_PMD_MAPPED = (b"AnonHugePages", b"ShmemPmdMapped", b"FilePmdMapped", *_HUGETLB)


@record(frozen=True)
class SmapsVma:
    """What /proc/PID/smaps says of one VMA."""

    pmd_bytes: int
    """Mapped by PMDs, hugetlb included."""
    counted_bytes: int
    """Rss, and hugetlb, which Rss leaves out."""
    empty: bool
    """Nothing present and nothing swapped; zero pages and markers are not seen."""
    pfnmap: bool
    """VM_PFNMAP: its entries are no pages of ours. PAGEMAP_SCAN does not report them either."""


def parse_smaps(text: bytes) -> tuple[VmaList, dict[int, SmapsVma]]:
    """
    Return the VMAs of smaps, and what it says of each by its start address.

    Its own VMAs, since those of an earlier read of maps may have merged with a neighbour in between.
    """
    heads = list(_SMAPS_VMA.finditer(text))
    found = {}
    for index, head in enumerate(heads):
        body = text[head.end() : heads[index + 1].start() if index + 1 < len(heads) else len(text)]
        size = {name: int(kib) * 1024 for name, kib in _SMAPS_FIELD.findall(body)}
        counted = sum(size.get(name, 0) for name in (b"Rss", *_HUGETLB))
        flags = re.search(rb"^VmFlags: (.*)$", body, re.MULTILINE)
        found[int(head[1], 16)] = SmapsVma(
            pmd_bytes=sum(size.get(name, 0) for name in _PMD_MAPPED),
            counted_bytes=counted,
            empty=counted == 0 and size.get(b"Swap", 0) == 0,
            pfnmap=flags is not None and b"pf" in flags[1].split(),
        )
    return parse_maps(b"\n".join(head[0] for head in heads)), found


def read_smaps(process: Process) -> tuple[VmaList, dict[int, SmapsVma]]:
    """
    Return the VMAs of a process and what smaps says of each, for which the kernel walks its page tables.

    Raises OSError if smaps cannot be read.
    """
    with open(f"{process.directory}/smaps", "rb") as file:
        return parse_smaps(file.read())
