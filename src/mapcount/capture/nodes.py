"""Which NUMA node a page frame belongs to, from the zones that /proc/zoneinfo lists."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from mapcount.capture.settings import read_text
from mapcount.record import record

if TYPE_CHECKING:
    import numpy.typing as npt

    from mapcount.mapping.schema import I16, U64

_ZONE = re.compile(r"^Node (\d+), zone\s+\S+$", re.MULTILINE)
_SPANNED = re.compile(r"^\s+spanned\s+(\d+)$", re.MULTILINE)
_START = re.compile(r"^\s+start_pfn:\s+(\d+)$", re.MULTILINE)


@record(frozen=True)
class Nodes:
    """PFN intervals `[first, end)` of the zones in ascending order of `first`, with the node of each."""

    first: U64
    end: U64
    node: I16

    def of(self, pfns: npt.NDArray[Any]) -> I16:
        """
        Return the node of each PFN; -1 where no zone holds it.

        Where zones of two nodes overlap (their spans may, mm/mm_init.c) the one that starts last wins.
        """
        if not len(self.first):
            return np.full(len(pfns), -1, np.int16)
        wanted = np.asarray(pfns, np.uint64)
        zone = np.searchsorted(self.first, wanted, side="right") - 1
        inside = (zone >= 0) & (wanted < self.end[zone])
        return np.where(inside, self.node[zone], np.int16(-1))


def parse_zones(text: str) -> Nodes:
    """Return the zones of a zoneinfo text. Empty ones are left out: the kernel lists them without `start_pfn`."""
    heads = list(_ZONE.finditer(text))
    zones = []
    for index, head in enumerate(heads):
        end = heads[index + 1].start() if index + 1 < len(heads) else len(text)
        spanned, start = (pattern.search(text, head.end(), end) for pattern in (_SPANNED, _START))
        if spanned and start and int(spanned[1]):
            zones.append((int(start[1]), int(start[1]) + int(spanned[1]), int(head[1])))
    zones.sort()
    first, last, node = zip(*zones, strict=True) if zones else ((), (), ())
    return Nodes(np.array(first, np.uint64), np.array(last, np.uint64), np.array(node, np.int16))


def read_nodes(*, proc: str = "/proc") -> Nodes:
    """Return the zones of this machine; none if zoneinfo cannot be read, and then every node is -1."""
    return parse_zones(read_text(os.path.join(proc, "zoneinfo")) or "")
