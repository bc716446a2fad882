"""What is explored: one folio of a scheme, what has happened to it before, and what several threads do to it at once.

Which models make sense is checked here, so that no trace shows what a kernel could not do: whoever unmaps has mapped, and
nobody else works on the same address space (its page-table lock would keep them apart; that lock is not modelled).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from mapcount.check.lower import Entry
from mapcount.errors import UsageError
from mapcount.mapping.schema import Kind
from mapcount.schemes.scheme import HUGETLB_OPERATIONS, OPERATIONS, PMD_OPERATIONS, PTE_OPERATIONS
from mapcount.schemes.truth import FolioTruth

if TYPE_CHECKING:
    from types import FunctionType

    from mapcount.schemes.bind import BoundScheme
    from mapcount.schemes.memory import Memory
    from mapcount.schemes.scheme import Reader


@dataclass(frozen=True)
class Call:
    """
    One call of an operation or a reader.

    `name` is an operation of scheme.OPERATIONS or a reader of the scheme. PTE operations are about the pages
    [first, first + nr) of the folio; a per-page reader about page `first`. `mm` is the address space, from 1; of a dup the
    child's.
    """

    name: str
    first: int = 0
    nr: int = 1
    mm: int = 0

    @property
    def is_operation(self) -> bool:
        """Whether it changes mappings."""
        return self.name in OPERATIONS

    @property
    def may_refuse(self) -> bool:
        """Whether it returns that it did nothing."""
        return self.name.startswith("dup_")

    @property
    def by(self) -> int:
        """How many entries per page it adds (1) or takes away (-1)."""
        return -1 if self.name.startswith("unmap_") else 1

    def __str__(self) -> str:
        pages = f" {self.first}..{self.first + self.nr}" if self.name in PTE_OPERATIONS else ""
        pages = f" {self.first}" if not self.is_operation and self.first else pages
        return f"{self.name}{pages}" + (f" mm {self.mm}" if self.is_operation else "")


def apply_to_truth(call: Call, truth: FolioTruth) -> None:
    """Do to the mappings what an operation counts."""
    if call.name in PTE_OPERATIONS:
        truth.map(call.first, call.nr, call.mm, call.by)
    elif call.name == "split_pmd":
        truth.map_huge(call.mm, -1)
        truth.map(0, truth.nr_pages, call.mm, 1)
    elif call.is_operation:
        truth.map_huge(call.mm, call.by)


@dataclass(frozen=True, repr=False)
class Model:
    """
    A folio of `1 << order` pages after the calls of `start`, and the calls of each thread.

    With `statistics` the NR_* counters are words of the model: for models without readers, where balance at the end is the
    question. With `keep_results` what a reader returned stays part of the state, so that final states tell combinations.
    Raises UsageError for what no kernel would do.
    """

    scheme: BoundScheme
    order: int
    threads: tuple[tuple[Call, ...], ...]
    start: tuple[Call, ...] = ()
    kind: Kind = Kind.ANON
    pinned: bool = False
    statistics: bool = False
    keep_results: bool = False

    def __post_init__(self) -> None:
        if not 1 <= len(self.threads) <= 26:
            raise UsageError(f"a model has 1 to 26 threads, not {len(self.threads)}")
        _check_scheme(self)
        _check_start(self)
        for number, calls in enumerate(self.threads):
            _check_thread(self, number, calls)

    def __repr__(self) -> str:
        sequences = [("start", self.start), *((chr(ord("a") + i), calls) for i, calls in enumerate(self.threads))]
        told = "; ".join(f"{name}: {', '.join(map(str, calls)) or 'nothing'}" for name, calls in sequences)
        pinned = ", pinned" if self.pinned else ""
        return f"<{self.scheme.id}, {1 << self.order} pages, {self.kind.name.lower()}{pinned}; {told}>"

    def reader(self, name: str) -> Reader | None:
        """Return the scheme's reader of that name."""
        return next((reader for reader in self.scheme.scheme.readers if reader.name == name), None)

    def entry(self, call: Call, truth: FolioTruth | None = None) -> Entry:
        """
        Return the function that a call runs, and its arguments.

        `truth` is who maps the folio before, as far as look-ups of the call depend on it; it is changed by the call.
        """
        function = cast("FunctionType", self.scheme.functions[call.name])
        truth = FolioTruth(self.order) if truth is None else truth
        before = truth.looked(call.mm).vmas
        apply_to_truth(call, truth)
        adds = call.is_operation and call.by > 0 and call.name != "split_pmd"
        added = (call.nr if call.name in PTE_OPERATIONS else 1 << self.order) if adds else 0
        looked = truth.looked(call.mm, added=added)
        vmas = looked.vmas - before if "lookup_vmas" in self.scheme.lookups else 0
        if call.name in PTE_OPERATIONS:
            return Entry(function, (0, self.order, call.first, call.nr, call.mm), looked, vmas)
        if call.is_operation:
            return Entry(function, (0, self.order, 0, call.mm), looked, vmas)
        return Entry(function, (0, self.order, call.first), looked, vmas)

    def entries(self, thread: int) -> list[Entry]:
        """Return the functions of a thread's calls. A reader is asked by whoever mapped the folio when the threads began."""
        truth = self.truth()
        asker = truth.looked(0).mapper
        entries = [self.entry(call, truth) for call in self.threads[thread]]
        return [replace(one, looked=one.looked._replace(mapper=asker)) for one in entries]

    def prepare(self, memory: Memory) -> None:
        """Bring memory without any mapping into the state that the model starts from, by running `start` in plain Python."""
        memory.pinned[0] = int(self.pinned)
        truth = FolioTruth(self.order, self.kind == Kind.HUGETLB)
        for call in self.start:
            entry = self.entry(call, truth)
            memory.looked[0] = entry.looked
            if entry.function(memory, *entry.arguments):
                raise UsageError(f"{call} was refused, and the threads begin after it")

    def memory(self) -> Memory:
        """Return plain memory in the state that the model starts from."""
        memory = self.scheme.memory([self.order], [self.kind])
        self.prepare(memory)
        return memory

    def truth(self) -> FolioTruth:
        """Return who maps the folio when the threads start."""
        truth = FolioTruth(self.order, self.kind == Kind.HUGETLB)
        for call in self.start:
            apply_to_truth(call, truth)
        return truth

    def mms_of(self, thread: int) -> set[int]:
        """Return the address spaces that a thread works on."""
        return {call.mm for call in self.threads[thread] if call.is_operation}


def _check_scheme(model: Model) -> None:
    """Refuse what no kernel with this scheme does, whoever does it."""
    scheme = model.scheme.scheme
    if model.order < int(model.kind == Kind.HUGETLB) or model.order in scheme.unsupported_orders:
        raise UsageError(f"{model.scheme.id} has no {model.kind.name.lower()} folios of order {model.order}")
    names = {call.name for calls in (model.start, *model.threads) for call in calls}
    if scheme.anon_mixed_by_split_only and model.kind == Kind.ANON:
        for name, others in (("map_ptes", PMD_OPERATIONS), ("map_pmd", (*PTE_OPERATIONS, "split_pmd"))):
            mixed = sorted(names.intersection(others))
            if name in names and mixed:
                raise UsageError(
                    f"{name} beside {mixed[0]}: with {model.scheme.id} only split_pmd mixes PTEs and PMDs of anon"
                )


def _check_start(model: Model) -> None:
    truth = FolioTruth(model.order, model.kind == Kind.HUGETLB)
    for number, call in enumerate(model.start):
        if not call.is_operation:
            raise UsageError(f"{call}: the start is made of operations, a reader changes nothing")
        if call.name.startswith("new_") and number:
            raise UsageError(f"{call}: a folio is new once, as the first call of the start")
        _check_call(model, call, truth)
        apply_to_truth(call, truth)


def _check_thread(model: Model, thread: int, calls: tuple[Call, ...]) -> None:
    others = set().union(*(model.mms_of(other) for other in range(len(model.threads)) if other != thread))
    truth, perhaps = model.truth(), set()
    for call in calls:
        if not call.is_operation:
            _check_reader(model, call)
            continue
        if call.name.startswith("new_"):
            raise UsageError(f"{call}: a new folio is known to nobody else; it belongs to the start")
        if call.mm in others:
            raise UsageError(f"{call}: another thread works on mm {call.mm}, and its page-table lock is not modelled")
        if call.mm in perhaps:
            raise UsageError(
                f"{call}: whether mm {call.mm} maps anything is open: the dup of a pinned folio may be refused"
            )
        _check_call(model, call, truth, others)
        if call.may_refuse and model.pinned:
            perhaps.add(call.mm)
        apply_to_truth(call, truth)


def _check_reader(model: Model, call: Call) -> None:
    reader = model.reader(call.name)
    if reader is None:
        known = ", ".join(one.name for one in model.scheme.scheme.readers)
        raise UsageError(f"{model.scheme.id} has no operation or reader {call.name!r}; its readers are: {known}")
    if not 0 <= call.first < (1 << model.order if reader.per_page else 1):
        raise UsageError(f"{call}: there is no page {call.first} to be asked about")


def _check_call(model: Model, call: Call, truth: FolioTruth, others: frozenset[int] | set[int] = frozenset()) -> None:
    """Refuse an operation that does not fit the folio, or that takes away what is not there."""
    if (call.name in HUGETLB_OPERATIONS) != (model.kind == Kind.HUGETLB):
        raise UsageError(f"{call}: hugetlb folios have operations of their own")
    if call.name in PMD_OPERATIONS and model.order == 0:
        raise UsageError(f"{call}: a folio of one page has no PMD mapping")
    if call.mm < 1:
        raise UsageError(f"{call}: address spaces are numbered from 1")
    pages = range(call.first, call.first + call.nr)
    if call.nr < 1 or pages.start < 0 or pages.stop > truth.nr_pages:
        raise UsageError(f"{call}: the folio has pages 0..{truth.nr_pages}")
    sources = {call.mm} if call.by < 0 or call.name == "split_pmd" else set()
    if call.may_refuse:
        sources = {mm for mm in truth.mms() if mm not in others and mm != call.mm}
        if call.mm in truth.mms():
            raise UsageError(f"{call}: mm {call.mm} maps the folio already, it is no new child")
    elif not sources:
        return
    if not any(_maps(truth, mm, pages, ptes=call.name in PTE_OPERATIONS) for mm in sources):
        raise UsageError(f"{call}: {'nobody else' if call.may_refuse else f'mm {call.mm}'} maps that in this way")


def _maps(truth: FolioTruth, mm: int, pages: range, *, ptes: bool) -> bool:
    """Return whether an address space maps all these pages by PTEs, or the folio by a PMD."""
    if ptes:
        return all(truth.ptes[mm, 0, 0, i] > 0 for i in pages)
    return truth.huge[mm, 0, 0] > 0
