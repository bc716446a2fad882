"""The columns of every table, defined once: types, units, meaning. What reads or writes a table looks here.

Ranges are half-open. Pages are `page_size` bytes (metadata). A table is a frozen record of numpy arrays of one length; text
columns are object arrays of str. Columns of a fixed vocabulary are small codes in memory and words in Parquet; a cgroup is
an index into `Snapshot.cgroups` in memory and its path in Parquet. `None` stands for an optional column that is absent.
"""

from __future__ import annotations

import enum
from dataclasses import field, fields
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from mapcount.record import record

SCHEMA_VERSION = 1

U8: TypeAlias = npt.NDArray[np.uint8]
U16: TypeAlias = npt.NDArray[np.uint16]
U32: TypeAlias = npt.NDArray[np.uint32]
U64: TypeAlias = npt.NDArray[np.uint64]
I16: TypeAlias = npt.NDArray[np.int16]
I32: TypeAlias = npt.NDArray[np.int32]
I64: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]
Texts: TypeAlias = npt.NDArray[np.object_]


class Kind(enum.IntEnum):
    """What a folio holds. `zero` is the zero page or the huge zero folio; `device` is anything that is no folio of ours."""

    ANON = 0
    SHMEM = 1
    FILE = 2
    HUGETLB = 3
    KSM = 4
    ZERO = 5
    DEVICE = 6


class Level(enum.IntEnum):
    """The page-table level whose entries map a run."""

    PTE = 0
    PMD = 1
    PUD = 2


class Consistency(enum.IntEnum):
    """
    How far the mappings of a folio agree with the kernel's own counts, read separately and without a lock.

    `checked`: every page's mappings equal kpagecount. `moved`: they changed while they were read. `unseen_mapper`: the
    kernel counts more than was found, twice. `unchecked`: there was no exact count to compare with.
    """

    CHECKED = 0
    MOVED = 1
    UNSEEN_MAPPER = 2
    UNCHECKED = 3


class SwapKind(enum.IntEnum):
    """What a page-table entry that is not present stands for."""

    SWAP = 0
    SPECIAL = 1
    """migration, hwpoison or device-private entry"""
    GUARD = 2
    UFFD_WP = 3


class Op(enum.IntEnum):
    """What a row of the mapping log did."""

    BIRTH = 0
    FIRST_MAP = 1
    MAP = 2
    DUP = 3
    UNMAP = 4
    SPLIT_MAPPING = 5
    COLLAPSE = 6
    FOLIO_SPLIT = 7
    DEATH = 8


class Outcome(enum.IntEnum):
    """Whether an operation of the mapping log took effect."""

    DONE = 0
    REFUSED = 1


class Table:
    """Base of all tables: its dataclass fields are the columns, in order."""

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))  # type: ignore[arg-type]

    def take(self, rows: npt.NDArray[Any] | slice) -> Any:
        """Return the table of the given rows (a mask, an index array or a slice, which copies nothing)."""
        columns = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        return type(self)(**{name: None if values is None else values[rows] for name, values in columns.items()})

    @classmethod
    def empty(cls) -> Any:
        """Return the table without rows; optional columns are absent."""
        columns = {f.name: None if f.metadata["optional"] else np.empty(0, f.metadata["dtype"]) for f in _columns(cls)}
        return cls(**columns)


def _columns(table: type[Table]) -> tuple[Any, ...]:
    return fields(table)  # type: ignore[arg-type]


def column(
    dtype: Any, doc: str, *, words: type[enum.IntEnum] | None = None, cgroup: bool = False, optional: bool = False
) -> Any:
    """Declare a column: its dtype in memory, its meaning with the unit, and its vocabulary if it has one."""
    return field(
        metadata={"dtype": np.dtype(dtype), "doc": doc, "words": words, "cgroup": cgroup, "optional": optional}
    )


@record(frozen=True, eq=False)
class Mms(Table):
    """One address space a row (not one pid: CLONE_VM twins share it)."""

    mm_id: U32 = column(np.uint32, "row number")
    pid: I32 = column(np.int32, "the process; the lowest of those that share it")
    pids: Texts = column(object, "all processes that share it, separated by blanks")
    comm: Texts = column(object, "name of the process")
    task_cgroup: Texts = column(
        object, "cgroup of the process (not of its memory); memory controller first, then unified"
    )
    start_time: U64 = column(np.uint64, "clock ticks since boot at which the process started; tells a reused pid")
    complete: Bools = column(np.bool_, "all of it was read")


@record(frozen=True, eq=False)
class Vmas(Table):
    """One VMA a row, in address order within its mm."""

    vma_id: U32 = column(np.uint32, "row number")
    mm_id: U32 = column(np.uint32, "its mm")
    start: U64 = column(np.uint64, "first byte")
    end: U64 = column(np.uint64, "one past the last byte")
    perms: Texts = column(object, "as in /proc/PID/maps: rwxp or rwxs")
    offset: U64 = column(np.uint64, "bytes into the file")
    dev: Texts = column(object, "device of the file, major:minor in hexadecimal")
    inode: U64 = column(np.uint64, "inode of the file; 0 for none")
    path: Texts = column(object, "file, [heap], [stack], [anon:NAME] or empty")


@record(frozen=True, eq=False)
class Folios(Table):
    """One large folio a row; with --keep-small order-0 ones too, which `small` has all the same. Ids are not in PFN order."""

    folio_id: U32 = column(np.uint32, "row number")
    order: U8 = column(np.uint8, "it has 2^order pages")
    kind: U8 = column(np.uint8, "what it holds", words=Kind)
    charge_cgroup: I32 = column(np.int32, "memory cgroup it is charged to; empty: none or unknown", cgroup=True)
    node: I16 = column(np.int16, "NUMA node; -1: unknown")
    swapcache: Bools = column(np.bool_, "in the swap cache")
    consistency: U8 = column(np.uint8, "how far it agrees with the kernel's counts", words=Consistency)
    pfn: U64 | None = column(np.uint64, "page frame number of the head, only with --keep-pfns", optional=True)


@record(frozen=True, eq=False)
class Runs(Table):
    """Consecutive pages of one folio mapped at consecutive addresses by entries of one level in one page table."""

    mm_id: U32 = column(np.uint32, "mm that maps them")
    vma_id: U32 = column(np.uint32, "VMA they are mapped in")
    address: U64 = column(np.uint64, "where the first page is mapped")
    folio_id: U32 = column(np.uint32, "folio")
    first_page: U32 = column(np.uint32, "first page within the folio")
    nr_pages: U32 = column(np.uint32, "pages; a PMD entry maps 2^pmd_order of them")
    level: U8 = column(np.uint8, "level of the entries", words=Level)


@record(frozen=True, eq=False)
class Small(Table):
    """Order-0 folios as one VMA maps them, aggregated by what is alike about them; with --keep-small too."""

    vma_id: U32 = column(np.uint32, "VMA")
    kind: U8 = column(np.uint8, "what they hold", words=Kind)
    charge_cgroup: I32 = column(np.int32, "memory cgroup they are charged to", cgroup=True)
    mappings: U32 = column(np.uint32, "mappings of each (kpagecount where it was read, else those found)")
    found: U32 = column(np.uint32, "of these, mappings found in captured mms, over all VMAs")
    mms: U32 = column(np.uint32, "captured mms that map each of them")
    pages: U64 = column(np.uint64, "how many pages of this VMA are like that")


@record(frozen=True, eq=False)
class Swap(Table):
    """Page-table entries that are not present, aggregated."""

    vma_id: U32 = column(np.uint32, "VMA")
    kind: U8 = column(np.uint8, "what they stand for", words=SwapKind)
    pages: U64 = column(np.uint64, "entries")


@record(frozen=True, eq=False)
class Unseen(Table):
    """Mappings of folios that must exist (kpagecount) but whose mm was not captured."""

    folio_id: U32 = column(np.uint32, "folio")
    first_page: U32 = column(np.uint32, "first page within the folio")
    nr_pages: U32 = column(np.uint32, "pages")
    mappings: U32 = column(np.uint32, "mappings of each page beyond those in `runs`")


@record(frozen=True, eq=False)
class ObservedCounts(Table):
    """What kpagecount said of the folios, run-length. `counts_are` in the metadata says whether exact or an average."""

    folio_id: U32 = column(np.uint32, "folio")
    first_page: U32 = column(np.uint32, "first page within the folio")
    nr_pages: U32 = column(np.uint32, "pages")
    count: U32 = column(np.uint32, "kpagecount of each")


@record(frozen=True, eq=False)
class ObservedBits(Table):
    """What pagemap's bit 56 ("mapped exactly once") said, run-length, per mm and PTE run of large folios."""

    mm_id: U32 = column(np.uint32, "mm")
    address: U64 = column(np.uint64, "where the first page is mapped")
    nr_pages: U32 = column(np.uint32, "pages")
    mapped_once: Bools = column(np.bool_, "the bit")


@record(frozen=True, eq=False)
class ObservedVmas(Table):
    """What a VMA's page tables say without PFNs (PAGEMAP_SCAN and pagemap's flag bits): the tier that needs no privilege."""

    vma_id: U32 = column(np.uint32, "VMA")
    present: U64 = column(np.uint64, "present pages, zero pages included")
    pmd_mapped: U64 = column(np.uint64, "of these, pages mapped by a PMD or by hugetlb")
    mapped_once: U64 = column(np.uint64, "of these, pages with bit 56")
    file_or_shmem: U64 = column(np.uint64, "of these, pages with bit 61")
    zero: U64 = column(np.uint64, "of these, pages of the zero page or the huge zero folio")
    not_present: U64 = column(np.uint64, "swap, migration and marker entries")


@record(frozen=True, eq=False)
class ObservedWords(Table):
    """
    The words of folios as a kernel had stored them (biased by -1 where it does so), run-length: of a guest, out of its memory.

    Slots `_mm_id[0]` and `[1]` hold an `mm_id`, -1 for none, -2 for an mm that is not in `mms`. `shared` is the bit beside
    them; `deferred` is 1 while the folio is on the deferred split queue.
    """

    folio_id: U32 = column(np.uint32, "folio")
    word: Texts = column(object, "name of the word, as the kernel spells it")
    first_page: U32 = column(np.uint32, "first page within the folio")
    nr_pages: U32 = column(np.uint32, "pages that have this value; all of them for a word that the folio has once")
    value: I64 = column(np.int64, "what is stored")


@record(frozen=True, eq=False)
class ObservedStats(Table):
    """The kernel's own numbers, read before and after the capture. A value that could not be read is -1."""

    source: Texts = column(object, "meminfo, vmstat, mthp, memcg or smaps_rollup")
    subject: Texts = column(object, "whose: empty, a folio size such as 64kB, a cgroup, or `mm N`")
    name: Texts = column(object, "as the kernel spells it")
    unit: Texts = column(object, "bytes, pages, folios or events")
    before: I64 = column(np.int64, "before the mappings were read")
    after: I64 = column(np.int64, "after")


@record(frozen=True, eq=False)
class MappingLog(Table):
    """Changes of mappings, in order. Runs are maximal per system call."""

    seq: U64 = column(np.uint64, "row number")
    batch: U64 = column(np.uint64, "the fault or system call it belongs to")
    op: U8 = column(np.uint8, "what happened", words=Op)
    mm_id: U32 = column(np.uint32, "mm")
    vma_id: U32 = column(np.uint32, "VMA")
    address: U64 = column(np.uint64, "where the first page is mapped")
    folio_id: U32 = column(np.uint32, "folio")
    first_page: U32 = column(np.uint32, "first page within the folio")
    nr_pages: U32 = column(np.uint32, "pages")
    level: U8 = column(np.uint8, "level of the entries", words=Level)
    outcome: U8 = column(np.uint8, "whether it took effect", words=Outcome)


@record(frozen=True, eq=False)
class LogFolios(Table):
    """The folios of a mapping log, one a row: all that ever were, of order 0 too."""

    folio_id: U32 = column(np.uint32, "row number")
    order: U8 = column(np.uint8, "it has 2^order pages")
    kind: U8 = column(np.uint8, "what it holds", words=Kind)
    swapcache: Bools = column(np.bool_, "in the swap cache all along: no row of a log is about that")


SNAPSHOT_TABLES: dict[str, type[Table]] = {
    "mms": Mms,
    "vmas": Vmas,
    "folios": Folios,
    "runs": Runs,
    "small": Small,
    "swap": Swap,
    "unseen": Unseen,
    "observed_counts": ObservedCounts,
    "observed_bits": ObservedBits,
    "observed_vmas": ObservedVmas,
    "observed_stats": ObservedStats,
    "observed_words": ObservedWords,
}
ADDED_TABLES = frozenset({"observed_words"})
"""Those that snapshots of this schema may lack, since they were written before there was such a table: they have no rows."""
