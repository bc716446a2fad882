"""What the model's /proc says: smaps and bit 56 of each VMA, kpagecount of each folio, by the views of its era."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from mapcount.machine.export import PAGE_SIZE, snapshot
from mapcount.machine.observe import name_of
from mapcount.replay.result import FolioSpecs, Replayed
from mapcount.scenarios.observation import Runs, VmaReading
from mapcount.scenarios.steps import place_of
from mapcount.scenarios.values import runs_of
from mapcount.schemes.ops import NR_STATS
from mapcount.views.reading import PSS_SHIFT
from mapcount.views.view import kernel_view

if TYPE_CHECKING:
    from mapcount.machine.machine import Machine
    from mapcount.mapping.snapshot import Snapshot
    from mapcount.views.smaps import Smaps
    from mapcount.views.view import View

_SMAPS = {
    "Rss": "rss",
    "Shared": "shared",
    "Private": "private",
    "Anonymous": "anonymous",
    "AnonHugePages": "anon_huge",
    "ShmemPmdMapped": "shmem_pmd",
    "FilePmdMapped": "file_pmd",
    "Shared_Hugetlb": "shared_hugetlb",
    "Private_Hugetlb": "private_hugetlb",
}
_KIB = 1024


def read_proc(machine: Machine) -> tuple[tuple[VmaReading, ...], dict[str, Runs]]:
    """
    Return what user space reads of a machine: by VMA, in the order of processes and addresses; kpagecount by folio's name.

    Sizes are whole KiB, as smaps prints them. UsageError if the scheme does not answer what /proc of this era asks.
    """
    seen = snapshot(machine)
    view = kernel_view(seen, _counted(machine, seen), machine.era.quirks)
    return _by_vma(seen, view), _kpagecount(machine, view)


def _counted(machine: Machine, seen: Snapshot) -> Replayed:
    counts, folios = machine.counts, list(machine.folios.values())
    answers = {}
    for reader in counts.scheme.scheme.readers:
        if reader.name in {"page_mapcount", "folio_average_page_mapcount", "mapped_shared"}:
            answers[reader.name] = np.array(
                [
                    counts.ask(reader.name, folio.number, page)
                    for folio in folios
                    for page in (range(folio.nr_pages) if reader.per_page else (0,))
                ],
                np.int64,
            )
    return Replayed(
        counts.scheme,
        FolioSpecs.of(seen.folios.order, seen.folios.kind),
        {},
        np.zeros((NR_STATS, len(folios)), np.int64),
        np.array([counts.flag("deferred", folio.number) for folio in folios], np.bool_),
        np.array([counts.flag("partially_mapped", folio.number) for folio in folios], np.bool_),
        answers,
    )


def _by_vma(seen: Snapshot, view: View) -> tuple[VmaReading, ...]:
    found = []
    bits = _bits(view)
    for row, (start, end) in enumerate(zip(seen.vmas.start.tolist(), seen.vmas.end.tolist(), strict=True)):
        mm = int(seen.vmas.mm_id[row])
        area, first = place_of(start // PAGE_SIZE)
        of = range(start // PAGE_SIZE, end // PAGE_SIZE)
        found.append(
            VmaReading(
                str(seen.mms.comm[mm]),
                area,
                first,
                first + len(of),
                _smaps(view.by_vma, row),
                runs_of(bits.get((mm, page), 0) for page in of),
            )
        )
    return tuple(sorted(found, key=lambda reading: (reading.process, reading.area, reading.first)))


def _smaps(smaps: Smaps, row: int) -> dict[str, int]:
    sizes = {name: int(getattr(smaps, column)[row]) for name, column in _SMAPS.items()}
    sizes["Pss"] = (int(smaps.pss[row]) >> PSS_SHIFT) // _KIB * _KIB
    return sizes


def _bits(view: View) -> dict[tuple[int, int], int]:
    bits = view.bits
    columns = (bits.mm_id.tolist(), bits.address.tolist(), bits.nr_pages.tolist(), bits.mapped_once.tolist())
    return {
        (mm, address // PAGE_SIZE + page): int(once)
        for mm, address, pages, once in zip(*columns, strict=True)
        for page in range(pages)
    }


def _kpagecount(machine: Machine, view: View) -> dict[str, Runs]:
    counts = view.kpagecount
    folios = list(machine.folios.values())
    rows = zip(counts.folio_id.tolist(), counts.count.tolist(), counts.nr_pages.tolist(), strict=True)
    return {
        name_of(folios[folio]): tuple((count, pages) for _, count, pages in group)
        for folio, group in groupby(rows, key=lambda row: row[0])
        if folios[folio].was_seen
    }
