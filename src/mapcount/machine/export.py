"""The model's state as a Snapshot, and its past as a Log: report, compare and replay take a scenario as they take a machine."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

import mapcount
from mapcount.machine.folios import PMD_ORDER, PMD_PAGES
from mapcount.machine.page_tables import SWAP, ZERO, PmdEntry, Table
from mapcount.mapping import schema
from mapcount.mapping.log import Log, LogMetadata
from mapcount.mapping.schema import Consistency, Kind, Level, MappingLog, Outcome, SwapKind
from mapcount.mapping.snapshot import Metadata, Snapshot, empty_tables
from mapcount.scenarios.steps import Protection

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mapcount.machine.machine import LogRow, Machine, Mm
    from mapcount.machine.vmas import Vma

PAGE_SIZE = 4096
BATCH_ROWS = 1 << 16
_PERMS = {Protection.NONE: "---", Protection.READ: "r--", Protection.WRITE: "rw-"}


def log(machine: Machine) -> Log:
    """Return all that has happened on a machine, decided by its era. Order-0 folios are in it."""
    rows = tuple(machine.rows)
    return Log(
        meta=LogMetadata(mapcount_version=mapcount.__version__, decided_by=machine.era.release, pmd_order=PMD_ORDER),
        orders=np.array(machine.orders, np.uint8),
        kinds=np.array(machine.kinds, np.uint8),
        swapcache=np.zeros(len(machine.orders), np.bool_),
        batches=lambda: _batches(rows),
    )


def snapshot(machine: Machine) -> Snapshot:
    """
    Return who maps what now. Order-0 folios are rows of `folios` as well as of `small`; zero pages are of kind ZERO.

    `mms` and `vmas` are those that live, renumbered; a folio that nothing maps is there if it holds data of a file.
    """
    return _Export(machine).snapshot()


def living(machine: Machine) -> list[int]:
    """Return the numbers in the log of the folios that a snapshot has now, in the order of its rows."""
    return list(machine.folios)


def _batches(rows: Sequence[LogRow]) -> Iterator[MappingLog]:
    for at in range(0, len(rows), BATCH_ROWS):
        part = rows[at : at + BATCH_ROWS]
        batch, op, mm, vma, page, folio, first, nr_pages, level = zip(*part, strict=True)
        yield _table(
            MappingLog,
            seq=range(at, at + len(part)),
            batch=batch,
            op=op,
            mm_id=mm,
            vma_id=vma,
            address=np.array(page, np.uint64) * np.uint64(PAGE_SIZE),
            folio_id=folio,
            first_page=first,
            nr_pages=nr_pages,
            level=level,
            outcome=[Outcome.DONE] * len(part),
        )


class _Export:
    """Numbers of rows while a snapshot is put together."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._mms = list(machine.mms.values())
        self._vmas = [(number, vma) for number, mm in enumerate(self._mms) for vma in mm.vmas]
        self._vma_row = {vma.vma_id: row for row, (_, vma) in enumerate(self._vmas)}
        self._folios = list(machine.folios.values())
        self._folio_row = {folio.number: row for row, folio in enumerate(self._folios)}
        self._runs: list[tuple[int, int, int, int, int, int, int]] = []
        self._small: Counter[tuple[int, int]] = Counter()
        self._zero: Counter[int] = Counter()
        self._swap: Counter[int] = Counter()

    def snapshot(self) -> Snapshot:
        for row, mm in enumerate(self._mms):
            self._walk(row, mm)
        mm_id, vma_id, address, folio_id, first, nr_pages, level = (
            zip(*self._runs, strict=True) if self._runs else [()] * 7
        )
        tables = empty_tables() | {
            "mms": self._mm_table(),
            "vmas": self._vma_table(),
            "folios": self._folio_table(),
            "runs": _table(
                schema.Runs,
                mm_id=mm_id,
                vma_id=vma_id,
                address=address,
                folio_id=folio_id,
                first_page=first,
                nr_pages=nr_pages,
                level=level,
            ),
            "small": self._small_table(),
            "swap": _table(
                schema.Swap,
                vma_id=self._swap.keys(),
                kind=[SwapKind.SWAP] * len(self._swap),
                pages=self._swap.values(),
            ),
        }
        era = self._machine.era
        meta = Metadata(
            mapcount_version=mapcount.__version__,
            kernel_release=era.release,
            pmd_order=PMD_ORDER,
            counts_are="average" if era.quirks.average_page_mapcount else "exact",
            counts_probe="a model: the era says so",
            notes=["A model, not a machine."],
        )
        return Snapshot(meta=meta, **tables)

    def _walk(self, row: int, mm: Mm) -> None:
        for pmd, entry in sorted(mm.tables.items()):
            if isinstance(entry, PmdEntry):
                if entry.folio != ZERO:
                    vma = self._machine.vma_of(mm, pmd * PMD_PAGES)
                    self._run(row, vma, pmd * PMD_PAGES, entry.folio, 0, entry.nr_pages, entry.level)
                continue
            for run in entry.runs(0, PMD_PAGES):
                self._cut_by_vma(row, mm, pmd * PMD_PAGES + run.at, run.folio, run.first, run.nr_pages)
            self._others(mm, pmd, entry)

    def _cut_by_vma(self, row: int, mm: Mm, page: int, folio: int, first: int, nr_pages: int) -> None:
        # mprotect makes two VMAs of one without touching what is mapped: a run belongs to one.
        while nr_pages:
            vma = self._machine.vma_of(mm, page)
            part = min(nr_pages, vma.end - page)
            self._run(row, vma, page, folio, first, part, Level.PTE)
            page, first, nr_pages = page + part, first + part, nr_pages - part

    def _run(self, row: int, vma: Vma, page: int, folio: int, first: int, nr_pages: int, level: Level) -> None:
        vma_row = self._vma_row[vma.vma_id]
        self._runs.append((row, vma_row, page * PAGE_SIZE, self._folio_row[folio], first, nr_pages, level))
        if not self._machine.folios[folio].order:
            self._small[vma_row, folio] += 1

    def _others(self, mm: Mm, pmd: int, table: Table) -> None:
        for code, found in ((ZERO, self._zero), (SWAP, self._swap)):
            for at in np.flatnonzero(table.folio == code).tolist():
                vma = self._machine.vma_of(mm, pmd * PMD_PAGES + at)
                found[self._vma_row[vma.vma_id]] += 1

    def _mm_table(self) -> schema.Mms:
        numbers = range(len(self._mms))
        names = [mm.process for mm in self._mms]
        pids = [100 + mm.number for mm in self._mms]
        table: schema.Mms = _table(
            schema.Mms,
            mm_id=numbers,
            pid=pids,
            pids=list(map(str, pids)),
            comm=names,
            task_cgroup=[""] * len(names),
            start_time=[mm.number for mm in self._mms],
            complete=[True] * len(names),
        )
        return table

    def _vma_table(self) -> schema.Vmas:
        vmas = [vma for _, vma in self._vmas]
        inodes = {file: 1 + number for number, file in enumerate(dict.fromkeys(v.file for v in vmas if v.file))}
        table: schema.Vmas = _table(
            schema.Vmas,
            vma_id=range(len(vmas)),
            mm_id=[row for row, _ in self._vmas],
            start=[vma.first * PAGE_SIZE for vma in vmas],
            end=[vma.end * PAGE_SIZE for vma in vmas],
            perms=[_PERMS[vma.protection] + ("s" if vma.shared else "p") for vma in vmas],
            offset=[vma.offset * PAGE_SIZE if vma.file else 0 for vma in vmas],
            dev=["00:01" if vma.file else "00:00" for vma in vmas],
            inode=[inodes[vma.file] if vma.file else 0 for vma in vmas],
            path=[f"/memfd:{vma.file.name} (deleted)" if vma.file else "" for vma in vmas],
        )
        return table

    def _folio_table(self) -> schema.Folios:
        folios = self._folios
        table: schema.Folios = _table(
            schema.Folios,
            folio_id=range(len(folios)),
            order=[folio.order for folio in folios],
            kind=[folio.kind for folio in folios],
            charge_cgroup=[0] * len(folios),
            node=[0] * len(folios),
            swapcache=[folio.extra_refs > 0 for folio in folios],
            consistency=[Consistency.CHECKED] * len(folios),
            pfn=None,
        )
        return table

    def _small_table(self) -> schema.Small:
        mms: dict[int, set[int]] = {}
        for vma_row, number in self._small:
            mms.setdefault(number, set()).add(self._vmas[vma_row][0])
        alike: Counter[tuple[int, int, int, int]] = Counter()
        for (vma_row, number), pages in self._small.items():
            folio = self._machine.folios[number]
            alike[vma_row, folio.kind, folio.entries, len(mms[number])] += pages
        for vma_row, pages in self._zero.items():
            alike[vma_row, Kind.ZERO, 1, 1] += pages
        rows = sorted(alike.items())
        table: schema.Small = _table(
            schema.Small,
            vma_id=[key[0] for key, _ in rows],
            kind=[key[1] for key, _ in rows],
            charge_cgroup=[0] * len(rows),
            mappings=[key[2] for key, _ in rows],
            found=[key[2] for key, _ in rows],
            mms=[key[3] for key, _ in rows],
            pages=[pages for _, pages in rows],
        )
        return table


def _table(table: type[schema.Table], **columns: Iterable[Any] | None) -> Any:
    fields: dict[str, Any] = vars(table)["__dataclass_fields__"]
    return table(
        **{
            name: None if values is None else np.array(list(values), fields[name].metadata["dtype"])
            for name, values in columns.items()
        }
    )
