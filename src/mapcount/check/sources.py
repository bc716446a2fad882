"""What follows from what: the words on which a scheme's answers, statistics, queue and other words depend, by data flow.

Over the bytecode of every operation and reader (lower.py): what an access returns depends on its word; what is reckoned, on
what it is reckoned of; and what happens, on whatever decided that it happens. Paths are not told apart, so this may say that
something depends on a word where it never does; it never misses one.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mapcount.check.bytecode import JUMPS, Code, Register
from mapcount.check.lower import Entry, lower
from mapcount.check.surroundings import PG_partially_mapped
from mapcount.errors import UsageError
from mapcount.mapping.schema import Kind
from mapcount.schemes.looked import Looked
from mapcount.schemes.ops import Access
from mapcount.schemes.scheme import HUGETLB_OPERATIONS, OPERATIONS, PTE_OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mapcount.check.bytecode import Frame, Instruction, Program
    from mapcount.schemes.bind import BoundScheme

ORDER = 2
"""Of the folio whose operations are read. Smaller ones have fewer branches, larger ones no others."""
KINDS = (Kind.ANON, Kind.SHMEM, Kind.FILE)
FOUND = (Looked(), Looked(here=1, in_vma=1, vmas=1, mapper=1), Looked(here=3, in_vma=3, vmas=3, mapper=1))
"""What look-ups may find: nothing, one page, all but one."""
QUEUE = "deferred split queue"


@dataclass
class Sources:
    """Names of words by what depends on them."""

    answers: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """by reader"""
    statistics: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    """by number of the statistic (ops.NR_ANON_MAPPED ...)"""
    queue: set[str] = field(default_factory=set)
    words: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """by word: on which others its changes depend"""
    read_at: dict[str, dict[Frame, None]] = field(default_factory=lambda: defaultdict(dict))
    """by word: the lines of source that use its value, in the order in which they were met"""
    queues: bool = False
    """whether it queues at all"""


def sources_of(scheme: BoundScheme) -> Sources:
    """Return what a scheme's answers, statistics, queue and words depend on, on large folios."""
    found = Sources()
    readers = {reader.name for reader in scheme.scheme.readers}
    for entry, kind in _entries(scheme):
        memory = scheme.memory([ORDER], [kind])
        _Flow(lower([entry], memory, statistics=True)).collect(found, is_reader=entry.function.__name__ in readers)
    # PG_partially_mapped is set by the queue, and what depends on it depends on that.
    for sources in (*found.answers.values(), *found.statistics.values(), found.queue):
        if PG_partially_mapped.name in sources:
            sources.update(found.queue)
            sources.discard(PG_partially_mapped.name)
    return found


def falls_with(sources: Sources, without: Iterable[str]) -> list[str]:
    """Return the words whose changes depend on words that are gone, or on each other: they cannot stay as they are."""
    gone = set(without)
    while more := {word for word, of in sources.words.items() if of & gone} - gone:
        gone |= more
    return [word for word in sources.words if word in gone and word not in set(without)]


def check_words(scheme: BoundScheme, without: Sequence[str]) -> None:
    """Raise UsageError for a word that the scheme does not have."""
    known = [place.word.name for place in scheme.scheme.places]
    for name in without:
        if name not in known:
            raise UsageError(f"{scheme.id} has no word {name!r}; it has: {', '.join(known)}")


def _entries(scheme: BoundScheme) -> Iterator[tuple[Entry, Kind]]:
    """Give every operation and reader, on every kind of folio that it is for, with what its look-ups may find."""
    pages = 1 << ORDER
    for name, function in scheme.helpers.items():
        if name in HUGETLB_OPERATIONS:
            yield Entry(function, (0, ORDER, 0, 1)), Kind.HUGETLB
        elif name in OPERATIONS:
            ranges = [(0, pages), (1, pages - 1)] if name in PTE_OPERATIONS else [()]
            for kind in (Kind.ANON,) if name.startswith(("new_", "split_")) else KINDS:
                for arguments in ranges:
                    for looked in FOUND if scheme.lookups else FOUND[:1]:
                        given = (0, ORDER, *arguments, 1) if arguments else (0, ORDER, 0, 1)
                        yield Entry(function, given, looked=looked), kind
        elif name in scheme.functions and name != "apply":
            for kind in KINDS:
                yield Entry(function, (0, ORDER, 1)), kind


class _Flow:
    """One program: the words behind every register, and behind every instruction's being reached."""

    def __init__(self, program: Program) -> None:
        self._code = program.instructions
        self._registers: list[frozenset[str]] = [frozenset()] * program.nr_registers
        self._deciders = _deciders(self._code)
        self._reached: list[frozenset[str]] = [frozenset()] * len(self._code)
        self._settle()

    def collect(self, found: Sources, *, is_reader: bool) -> None:
        """Add what this program's effects depend on."""
        for pc, one in enumerate(self._code):
            behind = self._reached[pc] | self._behind(one)
            if one.code is Code.STATISTIC:
                assert isinstance(one.a, int)
                found.statistics[one.a] |= behind
            elif one.code is Code.END and is_reader:
                found.answers[one.position[0].function] |= behind
            elif one.code is Code.ACCESS:
                self._access(one, behind, found)
            if (
                one.code is Code.ACCESS
                and one.target is not None
                and one.word is not None
                and self._is_used(one.target)
            ):
                found.read_at[one.word.name].setdefault(one.position[-1])

    def _access(self, one: Instruction, behind: frozenset[str], found: Sources) -> None:
        assert one.word is not None
        assert one.primitive is not None
        if one.primitive.name == "deferred_split_folio":
            found.queue |= behind - {PG_partially_mapped.name}
            found.queues = True
        elif one.primitive.access in {Access.LOCKED, Access.STORE}:
            found.words[one.word.name] |= behind - {one.word.name}

    def _behind(self, one: Instruction) -> frozenset[str]:
        return frozenset().union(*(self._registers[number] for number in one.reads))

    def _is_used(self, target: Register) -> bool:
        return any(target.number in one.reads for one in self._code)

    def _settle(self) -> None:
        """Repeat until nothing is added: loops carry values back."""
        changed = True
        while changed:
            changed = False
            for pc, one in enumerate(self._code):
                reached = frozenset().union(
                    *(self._behind(self._code[at]) | self._reached[at] for at in self._deciders[pc])
                )
                behind = reached | self._behind(one)
                if one.code is Code.ACCESS and one.word is not None:
                    behind |= {one.word.name}
                if reached != self._reached[pc]:
                    self._reached[pc], changed = reached, True
                if one.target is not None and not behind <= self._registers[one.target.number]:
                    self._registers[one.target.number] |= behind
                    changed = True


def _deciders(code: Sequence[Instruction]) -> list[list[int]]:
    """Return for every instruction the jumps that decide whether it is reached: it is on one way of each, not on both."""
    after = [_next(code, pc) for pc in range(len(code))]
    always = _always_follow(after)
    found: list[list[int]] = [[] for _ in code]
    for pc, ways in enumerate(after):
        if len(ways) > 1:
            for way in ways:
                for at in _bits(always[way] & ~(always[pc] & ~(1 << pc))):
                    found[at].append(pc)
    return found


def _next(code: Sequence[Instruction], pc: int) -> list[int]:
    one = code[pc]
    if one.code is Code.HALT:
        return []
    if one.code is Code.JUMP:
        return [one.jump]
    return [pc + 1, one.jump] if one.code in JUMPS else [pc + 1]


def _always_follow(after: Sequence[Sequence[int]]) -> list[int]:
    """Return for every instruction those that every way from it to the end meets, itself included, as bits."""
    everything = (1 << len(after)) - 1
    always = [everything if ways else 1 << pc for pc, ways in enumerate(after)]
    changed = True
    while changed:
        changed = False
        for pc in range(len(after) - 1, -1, -1):
            if after[pc]:
                common = everything
                for way in after[pc]:
                    common &= always[way]
                if (common := common | 1 << pc) != always[pc]:
                    always[pc], changed = common, True
    return always


def _bits(number: int) -> Iterator[int]:
    while number:
        yield (number & -number).bit_length() - 1
        number &= number - 1
