"""Two snapshots compared: by kind and size, by process, and by program where a process has no counterpart."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from mapcount.mapping.schema import Kind
from mapcount.record import record
from mapcount.survey.facts import Facts
from mapcount.survey.large import large_only
from mapcount.survey.owners import process_rows
from mapcount.survey.sizes import size_rows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mapcount.mapping.snapshot import Snapshot
    from mapcount.survey.types import ProcessRow, SizeRow

SIZE_FIELDS = (
    "folios", "bytes", "mapped_bytes", "fully_mapped", "partially_mapped", "unmapped_bytes", "wasted_bytes",
    "exclusive", "shared", "unknown", "pmd_mapped_bytes",
)  # fmt: skip
PROCESS_FIELDS = (
    "rss_bytes", "pss_bytes", "uss_bytes", "swap_bytes", "anon_large_bytes", "file_large_bytes", "pmd_mapped_bytes",
    "large_folios", "partially_mapped", "wasted_bytes",
)  # fmt: skip


@record(frozen=True)
class Delta:
    """One number in both snapshots."""

    before: int
    after: int
    delta: int
    """`after - before`"""


@record(frozen=True)
class SizeDelta:
    """One kind and order that occurs in either snapshot; `values` by the names of SIZE_FIELDS."""

    kind: str
    order: int
    folio_bytes: int
    values: dict[str, Delta]


@record(frozen=True)
class ProcessDelta:
    """A process that is in both, or all processes of one name without a counterpart; `values` by PROCESS_FIELDS."""

    comm: str
    pid: int
    """0 for a program"""
    processes: Delta
    """How many there are: 1 and 1 for a process."""
    values: dict[str, Delta]


@record(frozen=True)
class Difference:
    """What changed between two snapshots. Rows without any change are there too."""

    same_boot: bool
    """Known to be; false too where a redacted snapshot does not tell."""
    sizes: list[SizeDelta]
    processes: list[ProcessDelta]
    """Largest change of Rss first."""
    notes: list[str]
    """What stands in the way of comparing them, one sentence each."""


def diff(before: Snapshot, after: Snapshot) -> Difference:
    """
    Compare two snapshots.

    Within one boot a process is matched by pid and start time. All others, and all of them across boots, are added up
    by program (comm), which counts shared pages once per process in Rss, as Rss does.
    """
    redacted = before.meta.redacted or after.meta.redacted
    same_boot = not redacted and before.meta.boot_id == after.meta.boot_id
    before, after = large_only(before), large_only(after)
    first, second = Facts(before), Facts(after)
    return Difference(
        same_boot,
        _sizes(size_rows(first), size_rows(second)),
        _processes(before, after, process_rows(first), process_rows(second), same_boot=same_boot),
        _notes(before, after, same_boot=same_boot),
    )


def _delta(before: int, after: int) -> Delta:
    return Delta(before, after, after - before)


def _sizes(before: list[SizeRow], after: list[SizeRow]) -> list[SizeDelta]:
    old, new = ({(row.kind, row.order): row for row in rows} for rows in (before, after))
    rows = []
    for key in sorted(old.keys() | new.keys(), key=lambda key: (Kind[key[0].upper()], key[1])):
        a, b = old.get(key), new.get(key)
        values = {name: _delta(getattr(a, name, 0), getattr(b, name, 0)) for name in SIZE_FIELDS}
        size = a or b
        assert size is not None
        rows.append(SizeDelta(size.kind, size.order, size.folio_bytes, values))
    return rows


def _processes(
    before: Snapshot, after: Snapshot, old: list[ProcessRow], new: list[ProcessRow], *, same_boot: bool
) -> list[ProcessDelta]:
    keys_old, keys_new = _keys(before), _keys(after)
    matched = keys_old.keys() & keys_new.keys() if same_boot else set()
    rows = []
    for key in matched:
        a, b = old[keys_old[key]], new[keys_new[key]]
        values = {name: _delta(getattr(a, name), getattr(b, name)) for name in PROCESS_FIELDS}
        rows.append(ProcessDelta(b.comm, b.pid, _delta(1, 1), values))
    left_old = [old[row] for key, row in keys_old.items() if key not in matched]
    left_new = [new[row] for key, row in keys_new.items() if key not in matched]
    rows += _programs(left_old, left_new)
    return sorted(rows, key=lambda row: (-abs(row.values["rss_bytes"].delta), row.comm, row.pid))


def _keys(snapshot: Snapshot) -> dict[tuple[int, int], int]:
    pids, starts = snapshot.mms.pid.tolist(), snapshot.mms.start_time.tolist()
    return {(pid, start): row for row, (pid, start) in enumerate(zip(pids, starts, strict=True))}


def _programs(old: list[ProcessRow], new: list[ProcessRow]) -> list[ProcessDelta]:
    count_old, count_new = (Counter(row.comm for row in rows) for rows in (old, new))
    sums_old, sums_new = _sums(old), _sums(new)
    return [
        ProcessDelta(
            comm,
            0,
            _delta(count_old[comm], count_new[comm]),
            {name: _delta(sums_old[comm, name], sums_new[comm, name]) for name in PROCESS_FIELDS},
        )
        for comm in sorted(count_old.keys() | count_new.keys())
    ]


def _sums(rows: Iterable[ProcessRow]) -> Counter[tuple[str, str]]:
    sums: Counter[tuple[str, str]] = Counter()
    for row in rows:
        for name in PROCESS_FIELDS:
            sums[row.comm, name] += getattr(row, name)
    return sums


def _notes(before: Snapshot, after: Snapshot, *, same_boot: bool) -> list[str]:
    a, b = before.meta, after.meta
    notes = []
    if not same_boot and (a.redacted or b.redacted):
        which = "both are" if a.redacted and b.redacted else f"the {'first' if a.redacted else 'second'} is"
        notes.append(
            f"Whether the snapshots are of one boot of one machine cannot be told, because {which} redacted. "
            "Processes are compared by name, and equal hidden names need not stand for one program."
        )
    elif not same_boot:
        notes.append("The snapshots are of different boots or machines: processes are compared by name.")
    if (a.scope, a.scope_detail) != (b.scope, b.scope_detail):
        notes.append("The snapshots were taken of different sets of processes.")
    if a.counts_are != b.counts_are:
        notes.append("The two kernels count mappings differently, so Pss and Uss may differ for that alone.")
    if a.page_size != b.page_size:
        notes.append("The page sizes differ, so orders stand for different sizes.")
    notes += [
        f"The {name} snapshot is partial: {meta.partial}"
        for name, meta in (("first", a), ("second", b))
        if meta.partial
    ]
    return notes
