"""A scheme without some of its words: which answers, statistics and queues go with them, and what gets cheaper.

What depends on a word follows from the scheme's source (sources.py). A word whose changes depend on one that is gone goes as
well. How far what is left can stand in is measured: random histories are counted twice, by the scheme as it is and by the
same source with every access to these words left out, where a read finds what an unused word holds. What gets cheaper is the
same operations on the scheme as it is, without the accesses to these words.
"""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mapcount.check.sources import QUEUE, check_words, falls_with, sources_of
from mapcount.mapping.schema import Kind
from mapcount.schemes.conformance import MMS, PMD_ORDER
from mapcount.schemes.describe import MTHP_ORDER
from mapcount.schemes.describe import PMD_ORDER as REAL_PMD_ORDER
from mapcount.schemes.footprint import footprint
from mapcount.schemes.history import FolioSpec, World, random_wishes
from mapcount.schemes.memory import Memory, wrap
from mapcount.schemes.scheme import PMD_OPERATIONS, PTE_OPERATIONS
from mapcount.schemes.steps import OperationCost, cost_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mapcount.check.sources import Sources
    from mapcount.schemes.bind import BoundScheme
    from mapcount.schemes.history import Change
    from mapcount.schemes.words import Word

HISTORIES, STEPS, SEED = 61, 60, 1
"""Of the measurement."""
FOLIOS = [
    FolioSpec(PMD_ORDER, Kind.ANON),
    FolioSpec(PMD_ORDER, Kind.SHMEM),
    FolioSpec(PMD_ORDER, Kind.FILE),
    FolioSpec(2, Kind.ANON),
]
STATISTICS = ("NR_ANON_MAPPED", "NR_FILE_MAPPED", "NR_ANON_THPS", "NR_SHMEM_PMDMAPPED", "NR_FILE_PMDMAPPED")
"""As ops.py numbers them."""
STAYS, ESTIMATE, DIES = "stays", "estimate", "dies"


@dataclass(frozen=True)
class Use:
    """A place in the source where a word's value is used."""

    word: str
    function: str
    file: str
    line: int


@dataclass(frozen=True)
class Loss:
    """What becomes of an answer, a statistic or the queue."""

    name: str
    kind: str
    """`reader`, `statistic` or `queue`"""
    verdict: str
    """
    `stays` (it depends on none of the words), `estimate` (on others too) or `dies` (on none that is left, or it says the
    same in all states measured)
    """
    needs: tuple[str, ...]
    """words that it depends on and that are gone"""
    left: tuple[str, ...]
    """words that it depends on and that are left"""
    same: int
    """of `states`, in how many it is what it was with all words"""
    states: int
    """states measured in which it is not 0, with the words or without"""


@dataclass(frozen=True)
class Saving:
    """One operation on all pages of a folio, with the words and without."""

    before: OperationCost
    after: OperationCost


@dataclass(frozen=True)
class CounterBytes:
    """Bytes of counters of one folio, with the words and without."""

    order: int
    with_bytes: int
    without_bytes: int


@dataclass(frozen=True)
class Ablation:
    """A scheme without some of its words."""

    scheme: str
    without: tuple[str, ...]
    falls: tuple[str, ...]
    """words that cannot stay as they are, since their changes depend on those: counted as gone as well"""
    feeds: dict[str, tuple[str, ...]]
    """of each word that falls, the ones that are gone on which its changes depend"""
    uses: tuple[Use, ...]
    losses: tuple[Loss, ...]
    savings: tuple[Saving, ...]
    counters: tuple[CounterBytes, ...]


def ablate(scheme: BoundScheme, without: Sequence[str]) -> Ablation:
    """
    Return what becomes of a scheme without these words, on large folios.

    Raises UsageError for a word that it does not have, or for none.
    """
    check_words(scheme, without)
    sources = sources_of(scheme)
    falls = falls_with(sources, without)
    gone = frozenset([*without, *falls])
    return Ablation(
        scheme.id,
        tuple(without),
        tuple(falls),
        {word: tuple(sorted(sources.words[word] & gone - {word})) for word in falls},
        tuple(_uses(sources, without)),
        tuple(_losses(scheme, sources, gone)),
        tuple(_savings(scheme, gone)),
        tuple(_footprints(scheme, gone)),
    )


def _uses(sources: Sources, without: Iterable[str]) -> Iterator[Use]:
    for word in without:
        for frame in sorted(sources.read_at.get(word, {}), key=lambda frame: (frame.file, frame.line)):
            yield Use(word, frame.function, frame.file.rsplit("/", 1)[-1], frame.line)


def _losses(scheme: BoundScheme, sources: Sources, gone: frozenset[str]) -> Iterator[Loss]:
    found = measured(scheme, gone)

    def loss(name: str, kind: str, of: set[str]) -> Loss:
        needs, left, seen = sorted(of & gone), sorted(of - gone), found[name]
        silent = len(seen.after) == 1 < len(seen.before)
        verdict = STAYS if not needs else DIES if silent or not left else ESTIMATE
        return Loss(name, kind, verdict, tuple(needs), tuple(left), seen.same, seen.states)

    for reader in scheme.scheme.readers:
        yield loss(reader.name, "reader", sources.answers.get(reader.name, set()))
    for number, name in enumerate(STATISTICS):
        if number in sources.statistics:
            yield loss(name, "statistic", sources.statistics[number])
    if sources.queues:
        yield loss(QUEUE, "queue", sources.queue)


@dataclass
class Seen:
    """What was seen of an answer, a statistic or the queue in all states."""

    same: int = 0
    states: int = 0
    """states in which it is not 0, with the words or without"""
    before: set[int] = field(default_factory=set)
    after: set[int] = field(default_factory=set)


def measured(scheme: BoundScheme, gone: frozenset[str]) -> dict[str, Seen]:
    """
    Count random histories with the words and without; return how often each answer is the same, and all its values.

    The same histories every time. A state is a folio after a change of its mappings.
    """
    rng = random.Random(SEED)  # noqa: S311 (reproducible histories, nothing secret)
    folios = [spec for spec in FOLIOS if spec.order not in scheme.scheme.unsupported_orders]
    orders, kinds = [spec.order for spec in folios], [spec.kind for spec in folios]
    found: dict[str, Seen] = defaultdict(Seen)
    for _ in range(HISTORIES):
        world = World(folios, PMD_ORDER, anon_mixed_by_split_only=scheme.scheme.anon_mixed_by_split_only)
        whole, less = scheme.memory(orders, kinds), _Without(scheme, gone, orders, kinds)
        for wish in random_wishes(rng, folios, STEPS, MMS):
            for change in world.grant(wish._replace(what="map") if wish.what == "pin" else wish):
                for memory in (whole, less):
                    _apply(scheme, memory, world, change)
                for name, before, after in _compared(scheme, whole, less, change.folio):
                    seen = found[name]
                    if any(before) or any(after):
                        seen.states += 1
                        seen.same += before == after
                    seen.before.update(before)
                    seen.after.update(after)
    return found


def _apply(scheme: BoundScheme, memory: Memory, world: World, change: Change) -> None:
    truth = world.truths[change.folio]
    memory.looked[change.folio] = truth.looked(change.mm, vma=change.vma, added=change.added)
    page = memory.base[change.folio] + change.first
    apply = scheme.functions["apply"]
    apply(memory, change.op, change.level, change.folio, truth.order, page, change.nr, change.mm)


def _compared(
    scheme: BoundScheme, whole: Memory, less: Memory, folio: int
) -> Iterator[tuple[str, list[int], list[int]]]:
    """Give each answer, statistic and the queue about a folio, with all words and without: one number, or one a page."""
    order, base = whole.orders[folio], whole.base[folio]
    for reader in scheme.scheme.readers:
        ask = scheme.functions[reader.name]
        pages = range(base, base + (1 << order)) if reader.per_page else [base]
        before, after = ([int(ask(memory, folio, order, page)) for page in pages] for memory in (whole, less))
        yield reader.name, before, after
    for number, name in enumerate(STATISTICS):
        yield name, [whole.stats[number][folio]], [less.stats[number][folio]]
    yield QUEUE, [whole.deferred[folio]], [less.deferred[folio]]


class _Without(Memory):
    """Memory without some words: they hold what an unused one does, whatever is done to them."""

    def __init__(self, scheme: BoundScheme, gone: frozenset[str], orders: Sequence[int], kinds: Sequence[int]) -> None:
        super().__init__(scheme.scheme.places, orders, kinds)
        self._gone = gone

    def store(self, word: Word, index: int, value: int) -> None:
        if word.name not in self._gone:
            super().store(word, index, value)

    def change(self, word: Word, index: int, by: int) -> int:
        return wrap(word.bias + by, word.width_bits) if word.name in self._gone else super().change(word, index, by)

    def exchange(self, flag: Word, index: int, value: int) -> int:
        return flag.bias if flag.name in self._gone else super().exchange(flag, index, value)


def _savings(scheme: BoundScheme, gone: frozenset[str]) -> Iterator[Saving]:
    for operation in (*PTE_OPERATIONS, *PMD_OPERATIONS):
        for order in (MTHP_ORDER, REAL_PMD_ORDER) if operation in PTE_OPERATIONS else (REAL_PMD_ORDER,):
            yield Saving(cost_of(scheme, operation, order), cost_of(scheme, operation, order, without=gone))


def _footprints(scheme: BoundScheme, gone: frozenset[str]) -> Iterator[CounterBytes]:
    for order in (2, MTHP_ORDER, REAL_PMD_ORDER):
        before, after = (footprint(scheme.scheme, order, words).bytes_per_folio for words in ((), gone))
        yield CounterBytes(order, before, after)
