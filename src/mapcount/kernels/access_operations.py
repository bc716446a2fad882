"""The operations whose accesses are compared: how a kernel is brought to each, and what a scheme is told of it.

The scenario has a process p, which maps one folio at page 0 of area a, and its descendants c and d.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mapcount.mapping.schema import Kind, Level, Op
from mapcount.scenarios.scenario import Settings
from mapcount.scenarios.steps import (
    Access,
    Advice,
    Exit,
    Fork,
    Madvise,
    Memfd,
    Mmap,
    Mprotect,
    Munmap,
    Protection,
    Span,
)

if TYPE_CHECKING:
    from mapcount.scenarios.steps import Step
    from mapcount.schemes.eras import Era

PMD_ORDER = 9
PARENT, CHILD, THIRD = 1, 2, 3
"""Numbers of the address spaces of p, c and d."""
_COPIED = 5
"""The page that is written in copy-on-write by PTE."""
_AROUND: Final = (32, 16)
"""Pages that a read fault at page 33 maps around it: fault_around_bytes is 64 KiB."""


@dataclass(frozen=True)
class Call:
    """A change of mappings, as dispatch.apply takes it; `first` and `nr` are pages of the folio."""

    op: Op
    level: Level
    mm: int
    first: int = 0
    nr: int = 1


@dataclass(frozen=True)
class ReadSmaps:
    """Read /proc/PID/smaps of a process: no step of a scenario, as it changes nothing."""

    process: str


@dataclass(frozen=True)
class Operation:
    """
    One step of a kernel, on a folio of `order`: the steps that lead there, and the changes that schemes are told.

    `born`: it makes the folio; `frees`: it takes the folio's last mapping and reference. `reads`: it asks as often as a
    scheme's reader has to be asked, for each page or for the folio, and it is loads that are compared.
    """

    name: str
    order: int
    kind: Kind
    before: tuple[Step, ...]
    step: Step | ReadSmaps
    calls_before: tuple[Call, ...]
    calls: tuple[Call, ...]
    settings: Settings
    born: bool = False
    frees: bool = False

    @property
    def reads(self) -> bool:
        """Whether it is a reader."""
        return isinstance(self.step, ReadSmaps)

    def runs_on(self, era: Era) -> bool:
        """Tell whether kernels of this era can have such a folio."""
        return self.kind is not Kind.ANON or self.order == PMD_ORDER or era.policies.large_anon_below_pmd


def split_into_calls(call: Call, era: Era) -> list[Call]:
    """Return the calls of rmap that the era makes of a change by PTEs: one, or one a page."""
    batched = {
        Op.DUP: era.policies.batches_fork,
        Op.UNMAP: era.policies.batches_unmap,
        Op.MAP: era.policies.batches_file_map,
    }
    if call.level is not Level.PTE or batched.get(call.op, True):
        return [call]
    return [Call(call.op, call.level, call.mm, page, 1) for page in range(call.first, call.first + call.nr)]


def operations() -> tuple[Operation, ...]:
    """Return all operations, each once for every order that it is compared for."""
    return (*_pmd_operations(), *_pte_operations(PMD_ORDER), *_pte_operations(4), *_shmem_operations())


def _span(first: int, end: int) -> Span:
    return Span("a", first, end)


class _Anon:
    """Operations on an anon folio that p has alone at first."""

    def __init__(self, order: int) -> None:
        self.nr = 1 << order
        self.order = order
        self.settings = Settings() if order == PMD_ORDER else Settings(anon={order: "madvise"})
        self.level = Level.PMD if order == PMD_ORDER else Level.PTE
        self.map = Mmap("p", _span(0, self.nr), advice=Advice.HUGEPAGE)
        self.touch = Access("p", _span(0, 1), write=True)
        self.split = _mprotect("p", Protection.READ)
        self.by_ptes: tuple[Step, ...] = (self.map, self.touch)
        """Leads to a folio that PTEs map. Page 1 gets its rights back: rmap's calls end with a VMA."""
        if order == PMD_ORDER:
            self.by_ptes += (self.split, _mprotect("p", Protection.WRITE))

    def new(self) -> Call:
        return Call(Op.FIRST_MAP, self.level, PARENT, 0, self.nr)

    def ptes(self, op: Op, mm: int, first: int = 0, end: int | None = None) -> Call:
        return Call(op, Level.PTE, mm, first, (self.nr if end is None else end) - first)

    def operation(
        self,
        name: str,
        before: tuple[Step, ...],
        step: Step | ReadSmaps,
        calls_before: tuple[Call, ...],
        *calls: Call,
        born: bool = False,
        frees: bool = False,
    ) -> Operation:
        return Operation(
            name, self.order, Kind.ANON, before, step, calls_before, calls, self.settings, born=born, frees=frees
        )


def _pmd_operations() -> list[Operation]:
    f = _Anon(PMD_ORDER)
    mapped, shared = (f.map, f.touch), (f.map, f.touch, Fork("p", "c"))
    dup, unmap = Call(Op.DUP, Level.PMD, CHILD), Call(Op.UNMAP, Level.PMD, CHILD)
    split, split_by_child = (Call(Op.SPLIT_MAPPING, Level.PMD, mm) for mm in (PARENT, CHILD))
    child_splits = _mprotect("c", Protection.READ)
    return [
        f.operation("first mapping by PMD", (f.map,), f.touch, (), f.new(), born=True),
        f.operation("fork of a PMD", mapped, Fork("p", "c"), (f.new(),), dup),
        f.operation("PMD split, exclusive", mapped, f.split, (f.new(),), split),
        f.operation("PMD split, shared", shared, f.split, (f.new(), dup), split),
        f.operation("PMD split of the last", (*shared, f.split), child_splits, (f.new(), dup, split), split_by_child),
        f.operation("exit with a shared PMD", shared, Exit("c"), (f.new(), dup), unmap),
        f.operation("exit, PMD beside PTEs", (*shared, f.split), Exit("c"), (f.new(), dup, split), unmap),
        f.operation(
            "exit, the last PMD",
            mapped,
            Exit("p"),
            (f.new(),),
            Call(Op.UNMAP, Level.PMD, PARENT),
            frees=True,
        ),
        f.operation("smaps of a PMD", shared, ReadSmaps("p"), (f.new(), dup)),
        f.operation("COW under a PMD", shared, f.touch, (f.new(), dup), split, f.ptes(Op.UNMAP, PARENT, 0, 1)),
    ]


def _mprotect(process: str, protection: Protection) -> Step:
    """Change a page's rights: a PMD that maps it is split, or zapped if it maps a file."""
    return Mprotect(process, _span(1, 2), protection)


def _pte_operations(order: int) -> list[Operation]:
    f = _Anon(order)
    half = f.nr // 2
    by_pmd = order == PMD_ORDER
    alone = f.by_ptes
    told = (f.new(), Call(Op.SPLIT_MAPPING, Level.PMD, PARENT)) if by_pmd else (f.new(),)
    shared, told_shared = (*alone, Fork("p", "c")), (*told, f.ptes(Op.DUP, CHILD))
    third = f.ptes(Op.DUP, THIRD)
    first = [] if by_pmd else [f.operation("first mapping by PTEs", (f.map,), f.touch, (), f.new(), born=True)]
    munmap, dontneed = Munmap("c", _span(0, half)), Madvise("p", _span(half, f.nr), Advice.DONTNEED)
    return [
        *first,
        f.operation("fork of PTEs", alone, Fork("p", "c"), told, f.ptes(Op.DUP, CHILD)),
        f.operation("fork of PTEs again", shared, Fork("p", "d"), told_shared, third),
        f.operation("munmap of shared half", shared, munmap, told_shared, f.ptes(Op.UNMAP, CHILD, 0, half)),
        f.operation("DONTNEED of own half", alone, dontneed, told, f.ptes(Op.UNMAP, PARENT, half)),
        f.operation(
            "COW of a page",
            shared,
            Access("p", _span(_COPIED, _COPIED + 1), write=True),
            told_shared,
            f.ptes(Op.UNMAP, PARENT, _COPIED, _COPIED + 1),
        ),
        f.operation("exit with shared PTEs", shared, Exit("c"), told_shared, f.ptes(Op.UNMAP, CHILD)),
        f.operation(
            "exit of a third mm", (*shared, Fork("p", "d")), Exit("d"), (*told_shared, third), f.ptes(Op.UNMAP, THIRD)
        ),
        f.operation("exit of the first mm", shared, Exit("p"), told_shared, f.ptes(Op.UNMAP, PARENT)),
        f.operation(
            "fork by the survivor",
            (*shared, Exit("p")),
            Fork("c", "d"),
            (*told_shared, f.ptes(Op.UNMAP, PARENT)),
            third,
        ),
        f.operation("smaps of PTEs", shared, ReadSmaps("p"), told_shared),
        f.operation("exit, the last PTEs", alone, Exit("p"), told, f.ptes(Op.UNMAP, PARENT), frees=True),
    ]


def _shmem_operations() -> list[Operation]:
    nr = 1 << PMD_ORDER
    settings = Settings(shmem={PMD_ORDER: "advise"})
    file = Memfd("p", "f", nr)
    mapped: tuple[Step, ...] = (
        file,
        Mmap("p", _span(0, nr), Kind.SHMEM, shared=True, advice=Advice.HUGEPAGE, file="f"),
    )
    touch = Access("p", _span(0, 1), write=True)
    first, around = _AROUND
    read = Access("p", _span(first + 1, first + 2), write=False)
    split = _mprotect("p", Protection.READ)
    new = Call(Op.MAP, Level.PMD, PARENT)
    unmap = Call(Op.UNMAP, Level.PMD, PARENT)

    def shmem(
        name: str, before: tuple[Step, ...], step: Step, told: tuple[Call, ...], call: Call, *, born: bool
    ) -> Operation:
        return Operation(name, PMD_ORDER, Kind.SHMEM, before, step, told, (call,), settings, born=born)

    return [
        shmem("shmem: mapping by PMD", mapped, touch, (), new, born=True),
        shmem("shmem: zap of the PMD", (*mapped, touch), split, (new,), unmap, born=False),
        shmem(
            "shmem: fault-around",
            (*mapped, touch, split),
            read,
            (new, unmap),
            Call(Op.MAP, Level.PTE, PARENT, first, around),
            born=False,
        ),
        shmem(
            "shmem: exit with PTEs",
            (*mapped, touch, split, read),
            Munmap("p", _span(2, nr)),
            (new, unmap, Call(Op.MAP, Level.PTE, PARENT, first, around)),
            Call(Op.UNMAP, Level.PTE, PARENT, first, around),
            born=False,
        ),
    ]
