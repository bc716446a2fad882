"""What is explored: one folio of a scheme, what has happened to it before, and what several threads do to it at once.

Which models make sense is checked here, so that no trace shows what a kernel could not do: whoever unmaps has mapped, and two
threads that work on one address space are kept apart by its page-table lock and have different pages to do with.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from mapcount.check.callers import QUESTIONS, WRITERS, asked, bound
from mapcount.check.locks import ENTRIES, FREEZE, KINDS, MOST_MMS, locks_in_words
from mapcount.check.lower import Entry
from mapcount.check.memory_order import MODELS
from mapcount.check.page_tables import MOST_PAGES, MOST_WALKED, page_table, tables_of
from mapcount.check.references import _refcount, cache_references, references
from mapcount.errors import UsageError
from mapcount.mapping.schema import Kind
from mapcount.schemes.scheme import HUGETLB_OPERATIONS, OPERATIONS, PMD_OPERATIONS, PTE_OPERATIONS
from mapcount.schemes.truth import FolioTruth

TRUTH_KINDS = ("interval", "strict", "pte")

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
    child's, and `parent` is that of the other side. `via` is the caller through which an operation is reached (writers.py):
    it holds the kernel's locks around it and moves the reference count; without one the operation stands alone. `holds` are
    locks (locks.py) that are held around the call. A caller that goes through a range page by page makes `pieces` calls of it,
    of which this is number `piece`; its locks are held from the first to the last. Where page tables are words of the model it
    is one call in so many pieces, since what it finds there decides.
    """

    name: str
    first: int = 0
    nr: int = 1
    mm: int = 0
    parent: int = 0
    via: str = ""
    holds: tuple[int, ...] = ()
    piece: int = 0
    pieces: int = 1

    @property
    def is_operation(self) -> bool:
        """Whether it changes mappings."""
        return self.name in OPERATIONS

    @property
    def is_dup(self) -> bool:
        """Whether it shares with a child what another address space maps."""
        return self.name.startswith("dup_")

    @property
    def renews(self) -> bool:
        """Whether the memory is another folio's from then on, if nobody has a reference."""
        return self.via == "reuse"

    @property
    def may_refuse(self) -> bool:
        """Whether it returns that it did nothing."""
        return self.is_dup or self.renews

    @property
    def by(self) -> int:
        """How many entries per page it adds (1) or takes away (-1)."""
        return -1 if self.name.startswith("unmap_") else 1

    def __str__(self) -> str:
        pages = f" {self.first}..{self.first + self.nr}" if self.name in PTE_OPERATIONS else ""
        pages = f" {self.first}" if not self.is_operation and self.first else pages
        locks = f" under {' and '.join(locks_in_words(self.holds))}" if self.holds else ""
        return f"{self.via or self.name}{pages}" + (f" mm {self.mm}" if self.is_operation else "") + locks


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
    question. With `keep_results` what a reader returned stays part of the state, so that final states tell combinations;
    with `histories` the calls of a reader are judged together (histories.py), in the plain search alone; with `watch_all` the
    windows of all readers are watched, not only of those that promise something about a moment.
    `references` puts the reference count among the words: `extra_references` are those that are no mappings and not the page
    cache's (a pin is one), and each reader holds `reader_references`. `page_tables` puts what each mm maps among the words, for
    readers that unmap it: then writers do to a page what they find there. `locks` are the kinds of locks that are modelled
    (locks.KINDS), `truth_kind` is what "true at a moment" means (interval.py), `memory_model` what threads may do out of
    order (memory_order.py).
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
    watch_all: bool = False
    histories: bool = False
    references: bool = False
    extra_references: int = 0
    reader_references: int = 0
    page_tables: bool = False
    locks: frozenset[str] = frozenset(KINDS)
    truth_kind: str = "interval"
    memory_model: str = "sc"

    def __post_init__(self) -> None:
        if not 1 <= len(self.threads) <= 26:
            raise UsageError(f"a model has 1 to 26 threads, not {len(self.threads)}")
        _check_surroundings(self)
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
        """Return the reader of that name: the scheme's own, or a caller's that asks it."""
        return asked(self.scheme, name)

    def entry(self, call: Call, truth: FolioTruth | None = None) -> Entry:
        """
        Return the function that a call runs, and its arguments.

        `truth` is who maps the folio before, as far as look-ups of the call depend on it; it is changed by the call.
        """
        truth = FolioTruth(self.order) if truth is None else truth
        before = truth.looked(call.mm).vmas
        apply_to_truth(call, truth)
        adds = call.is_operation and call.by > 0 and call.name != "split_pmd"
        added = (call.nr if call.name in PTE_OPERATIONS else 1 << self.order) if adds else 0
        looked = truth.looked(call.mm, added=added)
        vmas = looked.vmas - before if "lookup_vmas" in self.scheme.lookups else 0
        piece = (0, 1) if self.page_tables else (call.piece, call.pieces)
        return Entry(
            self._function(call),
            self._arguments(call),
            call.holds,
            looked,
            goes_on=piece[0] > 0,
            is_continued=piece[0] < piece[1] - 1,
            vmas=vmas,
        )

    def entries(self, thread: int) -> list[Entry]:
        """Return the functions of a thread's calls. A reader is asked by whoever mapped the folio when the threads began."""
        truth = self.truth()
        asker = truth.looked(0).mapper
        entries = [self.entry(call, truth) for call in self.threads[thread]]
        return [replace(one, looked=one.looked._replace(mapper=asker)) for one in entries]

    def _arguments(self, call: Call) -> tuple[int, ...]:
        last = (call.mm, call.parent) if call.via and call.is_dup else (call.mm,)
        if call.name in PTE_OPERATIONS:
            return (0, self.order, call.first, call.nr, *last)
        return (0, self.order, 0, *last) if call.is_operation else (0, self.order, call.first)

    def _function(self, call: Call) -> FunctionType:
        if call.via:
            return self._writer(call)
        if call.name in self.scheme.functions:
            return cast("FunctionType", self.scheme.functions[call.name])
        constants = {"REFERENCES": int(self.references), "MMS": self.mms, "PMDS": int(self.has_pmds)}
        constants["EXPECTED"] = cache_references(self.order, self.kind) + self.reader_references
        constants |= {"ENTRIES": int(ENTRIES in self.locks), "FREEZE": int(FREEZE in self.locks)}
        return bound(QUESTIONS[call.name].function, self.scheme, constants)

    def _writer(self, call: Call) -> FunctionType:
        writer, constants = WRITERS[call.via], {"REFERENCES": int(self.references)}
        if self.page_tables:
            assert writer.finding is not None
            constants |= {"AT_ONCE": int(call.pieces == 1), "PMDS": int(self.has_pmds)}
            return bound(writer.finding, self.scheme, constants)
        assert writer.function is not None
        constants |= {"FIRST": int(call.piece == 0), "LAST": int(call.piece == call.pieces - 1)}
        return bound(writer.function, self.scheme, {**constants, "TOTAL": call.nr * call.pieces})

    def prepare(self, memory: Memory) -> None:
        """Bring memory without any mapping into the state that the model starts from, by running `start` in plain Python."""
        memory.pinned[0] = int(self.pinned)
        if self.references:
            others = self.extra_references + self.reader_references
            memory.words[_refcount.name] = [references(self.truth(), self.kind, others)]
        if self.page_tables:
            memory.words[page_table.name] = tables_of(self.truth(), self.mms)
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
        truth = FolioTruth(self.order, self.kind == Kind.HUGETLB, extra_references=self.extra_references)
        for call in self.start:
            apply_to_truth(call, truth)
        return truth

    @property
    def renews(self) -> bool:
        """Whether the memory may become another folio's."""
        return any(call.renews for calls in self.threads for call in calls)

    @property
    def has_pmds(self) -> bool:
        """Whether any call is about a PMD."""
        return any(call.name in PMD_OPERATIONS for calls in (self.start, *self.threads) for call in calls)

    @property
    def mms(self) -> int:
        """The greatest number of an address space."""
        calls = (*self.start, *(call for calls in self.threads for call in calls))
        return max((mm for call in calls for mm in (call.mm, call.parent)), default=0)

    def mms_of(self, thread: int) -> set[int]:
        """Return the address spaces that a thread works on."""
        return {mm for call in self.threads[thread] if call.is_operation for mm in (call.mm, call.parent) if mm}

    def touches(self, call: Call) -> set[tuple[int, int]]:
        """Return the (mm, page) whose mapping an operation changes, or, of the parent at fork, must find unchanged."""
        pages = range(call.first, call.first + call.nr) if call.name in PTE_OPERATIONS else range(1 << self.order)
        return {(mm, i) for mm in (call.mm, call.parent) if mm for i in pages}

    def pages_of_others(self, thread: int) -> set[tuple[int, int]]:
        """Return the (mm, page) whose mapping other threads change."""
        others = [calls for other, calls in enumerate(self.threads) if other != thread]
        return set().union(*(self.touches(call) for calls in others for call in calls if call.is_operation))


def _check_surroundings(model: Model) -> None:
    if model.truth_kind not in TRUTH_KINDS:
        raise UsageError(f"there is no truth {model.truth_kind!r}; there are: {', '.join(TRUTH_KINDS)}")
    if model.memory_model not in MODELS:
        raise UsageError(f"there is no memory model {model.memory_model!r}; there are: {', '.join(MODELS)}")
    unknown = sorted(model.locks.difference(KINDS))
    if unknown:
        raise UsageError(f"there is no lock {unknown[0]!r}; there are: {', '.join(KINDS)}")
    for call in (*model.start, *(call for calls in model.threads for call in calls)):
        if call.via and (call.via not in WRITERS or WRITERS[call.via].operation != call.name):
            known = ", ".join(name for name, writer in WRITERS.items() if writer.operation == call.name)
            raise UsageError(f"no caller {call.via!r} reaches {call.name}; these do: {known or 'none'}")
        if max(call.mm, call.parent) > MOST_MMS:
            raise UsageError(f"{call}: a model has address spaces 1 to {MOST_MMS}")
        if not model.references and call.name in QUESTIONS and "_refcount" in QUESTIONS[call.name].names:
            raise UsageError(f"{call}: the model has no reference count")
        _check_finding(model, call)
    if model.renews and (not model.references or model.histories):
        raise UsageError("a folio is freed with its last reference: the model has to count them, and has no histories")


def _check_finding(model: Model, call: Call) -> None:
    """Refuse what unmaps what it finds where nobody says what is there, and whoever does not look where it is said."""
    question = QUESTIONS.get(call.name)
    if question and question.unmaps and not model.page_tables:
        raise UsageError(f"{call}: it unmaps what it finds, and page tables are no words of the model")
    if call.via and not model.page_tables and WRITERS[call.via].function is None:
        raise UsageError(f"{call}: only beside a reader that unmaps what it finds, like migration")
    if not model.page_tables:
        return
    if call.via and WRITERS[call.via].finding is None:
        raise UsageError(f"{call}: it is not modelled beside a reader that unmaps what it finds")
    is_small = model.mms <= MOST_WALKED and 1 << model.order <= MOST_PAGES
    if not is_small or not model.references or model.pinned or "ptl" not in model.locks:
        raise UsageError(
            f"{call}: page tables are words only of up to {MOST_WALKED} address spaces and up to {MOST_PAGES} pages, with "
            "references, without pins that refuse a fork, and under page-table locks"
        )


def _check_sharing(model: Model, call: Call, taken: set[tuple[int, int]]) -> None:
    """Refuse two threads on one address space that no lock keeps apart, or that have to do with the same pages."""
    if "ptl" not in model.locks or not call.via:
        raise UsageError(f"{call}: another thread works on mm {call.mm}, and its page-table lock is not modelled")
    common = sorted(model.touches(call) & taken)
    if common:
        raise UsageError(f"{call}: another thread changes what maps page {common[0][1]} in mm {call.mm}")


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
    shares = model.pages_of_others(thread)
    truth, perhaps = model.truth(), set()
    for call in calls:
        if not call.is_operation:
            _check_reader(model, call)
            continue
        if call.name.startswith("new_") and not call.renews:
            raise UsageError(f"{call}: a new folio is known to nobody else; it belongs to the start")
        if not others.isdisjoint({call.mm, call.parent}):
            _check_sharing(model, call, shares)
        if call.mm in perhaps:
            raise UsageError(
                f"{call}: whether mm {call.mm} maps anything is open: the dup of a pinned folio may be refused"
            )
        _check_call(model, call, truth, others - model.mms_of(thread))
        if call.renews or (call.is_dup and model.pinned):
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
    if call.is_dup:
        sources = {call.parent} if call.parent else {mm for mm in truth.mms() if mm not in others and mm != call.mm}
        if call.mm in truth.mms() and not call.piece:
            raise UsageError(f"{call}: mm {call.mm} maps the folio already, it is no new child")
    elif not sources:
        return
    if not any(_maps(truth, mm, pages, ptes=call.name in PTE_OPERATIONS) for mm in sources):
        raise UsageError(f"{call}: {'nobody else' if call.is_dup else f'mm {call.mm}'} maps that in this way")


def _maps(truth: FolioTruth, mm: int, pages: range, *, ptes: bool) -> bool:
    """Return whether an address space maps all these pages by PTEs, or the folio by a PMD."""
    if ptes:
        return all(truth.ptes[mm, 0, 0, i] > 0 for i in pages)
    return truth.huge[mm, 0, 0] > 0
