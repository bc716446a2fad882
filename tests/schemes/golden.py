"""Traces recorded from real kernels (tests/golden), and a scheme that counts along: which word is not what the kernel has?

After each step of a scenario a trace holds who maps what, read from the page tables, and the words of every folio, read from
memory. From the former alone follow the changes of a step; the scheme counts them, and its words are compared with the latter,
field by field.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mapcount.agreement import golden_file
from mapcount.mapping.schema import Kind, Level, Op
from mapcount.scenarios.steps import Access, Advice, Fallocate, Fork, Madvise, Migrate, Reclaim, area_address
from mapcount.scenarios.text import step_text
from mapcount.scenarios.values import runs_of
from mapcount.schemes.catalogue import find_scheme
from mapcount.schemes.eras import era_of
from mapcount.schemes.words import Scope

if TYPE_CHECKING:
    from mapcount.agreement.golden import Recorded, Trace
    from mapcount.scenarios.observation import Mapped, Observation
    from mapcount.scenarios.steps import Step

GOLDEN = Path(__file__).parent.parent / "golden"
ENVIRONMENT = {"_refcount"}
"""What no scheme counts."""


class Entry(NamedTuple):
    """What one page-table entry maps."""

    folio: str
    first: int
    level: int


class Change(NamedTuple):
    """One call of rmap."""

    op: Op
    level: int
    folio: str
    first: int
    nr: int
    mm: str


@dataclass(frozen=True)
class Mismatch:
    """A word that is not what the kernel had after a step."""

    scenario: str
    step: str
    folio: str
    word: str
    kernel: object
    ours: object


@cache
def load(name: str) -> Trace:
    """Return a trace by the kernel's name."""
    return golden_file.load(GOLDEN / f"{name}.json")


def names() -> list[str]:
    """Return the kernels of which there is a trace."""
    return sorted(path.stem for path in GOLDEN.glob("*.json"))


def is_about_mappings(recorded: Recorded) -> bool:
    """
    Whether nothing but mappings changes: no folio is split, freed under its users, swapped or put together.

    Nor takes the place of another one: of the huge zero folio, which a trace does not show (who is queued then depends on it),
    or of one that was moved to another node. Pages of 1 GiB are left out, too: entries are PTEs or PMDs here.
    """
    others = (Advice.FREE, Advice.PAGEOUT, Advice.COLLAPSE, Advice.MERGEABLE)
    settings = recorded.scenario.settings
    if settings.huge_zero_page or settings.gigantic_pages:
        return False
    return not any(
        isinstance(step, Reclaim | Migrate)
        or (isinstance(step, Fallocate) and step.punch)
        or (isinstance(step, Madvise) and step.advice in others)
        for step in recorded.scenario.steps
    )


def compare(trace: Trace, scheme_id: str | None = None) -> tuple[list[Mismatch], Counter]:
    """Count along with all scenarios of a trace; return what differs, and how many words of each name were compared."""
    era = era_of(trace.kernel, page_mapcount=trace.page_mapcount)
    mismatches: list[Mismatch] = []
    compared: Counter = Counter()
    for recorded in filter(is_about_mappings, trace.recorded):
        Follower(find_scheme(scheme_id or era.scheme), era, recorded).run(mismatches, compared)
    return mismatches, compared


class Follower:
    """A scheme that counts along with one scenario."""

    def __init__(self, scheme, era, recorded: Recorded) -> None:
        self.scheme, self.era, self.recorded = scheme, era, recorded
        seen = {}
        for after in recorded.observations:
            for name, folio in after.folios.items():
                seen.setdefault(name, (folio.order, folio.kind))
                assert seen[name] == (folio.order, folio.kind), f"{name} changed what it is"
        self.index = {name: number for number, name in enumerate(seen)}
        self.orders = {name: order for name, (order, _) in seen.items()}
        self.kinds = {name: kind for name, (_, kind) in seen.items()}
        self.memory = scheme.memory(list(self.orders.values()), list(self.kinds.values()))
        self.mms: dict[str, int] = {}
        self.mapped_once: set[str] = set()
        self.queued_at_fault: set[str] = set()

    def run(self, mismatches: list[Mismatch], compared: Counter) -> None:
        """Go through the steps."""
        scenario = self.recorded.scenario
        before: dict[str, dict[int, Entry]] = {}
        for step, seen in zip(scenario.steps, self.recorded.observations, strict=True):
            after = page_tables(seen.mappings)
            for change in changes(step, before, after, self.kinds, self.mapped_once):
                self.apply(change)
            self.set_exclusive(step, seen, before, after)
            for name, folio in seen.folios.items():
                for word, kernel in folio.words.items():
                    if word in ENVIRONMENT:
                        continue
                    ours = self.ours(name, word)
                    compared[word] += 1
                    if ours != kernel:
                        mismatches.append(Mismatch(scenario.name, step_text(step), name, word, kernel, ours))
            before = after

    def apply(self, change: Change) -> None:
        """Let the scheme count a change."""
        folio, order = self.index[change.folio], self.orders[change.folio]
        mm = self.mms.setdefault(change.mm, len(self.mms) + 1)
        page = self.memory.base[folio] + change.first
        refused = self.scheme.functions["apply"](
            self.memory, change.op, change.level, folio, order, page, change.nr, mm
        )
        assert not refused, f"{change} was refused, and nothing is pinned"
        if change.op == Op.FIRST_MAP and self.era.policies.queues_at_fault and change.level == Level.PMD:
            self.queued_at_fault.add(change.folio)

    def set_exclusive(self, step: Step, seen: Observation, before: dict, after: dict) -> None:
        """A write that changed no mapping of an anon page went on without a copy: the page is exclusive from then on."""
        succeeded = isinstance(step, Access) and step.write and seen.result == step.span.nr_pages
        if not succeeded or "PG_anon_exclusive" not in self.memory.words:
            return
        first = step.span.address >> 12
        for vpn in range(first, first + step.span.nr_pages):
            entry, old = (at(tables.get(step.process, {}), vpn) for tables in (after, before))
            if entry and entry == old and self.kinds[entry.folio] == Kind.ANON:
                page = self.memory.base[self.index[entry.folio]] + entry.first
                self.memory.words["PG_anon_exclusive"][page] = 1

    def ours(self, name: str, word: str) -> object:
        """Return a word as the trace has it."""
        folio, memory = self.index[name], self.memory
        if word == "deferred":
            return int(memory.deferred[folio] or name in self.queued_at_fault)
        if word == "PG_partially_mapped":
            return memory.partially_mapped[folio]
        if word in {"_mm_id", "_mm_id_mapcount"}:
            values = [memory.words[f"{word}[{slot}]"][folio] for slot in (0, 1)]
            of = {number: mm for mm, number in self.mms.items()}
            return tuple(values) if word == "_mm_id_mapcount" else tuple(of.get(value) for value in values)
        if word in {p.word.name for p in self.scheme.scheme.places if p.word.scope is Scope.PAGE}:
            base = memory.base[folio]
            return runs_of(memory.words[word][base : base + (1 << self.orders[name])])
        return memory.words["FOLIO_MM_IDS_SHARED" if word == "shared" else word][folio]


def page_tables(mappings: tuple[Mapped, ...]) -> dict[str, dict[int, Entry]]:
    """Return each mm's entries by page number; a PMD is one entry, at its first page."""
    tables: dict[str, dict[int, Entry]] = {}
    for row in mappings:
        table = tables.setdefault(row.process, {})
        vpn = area_address(row.area, row.page) >> 12
        if row.level == Level.PMD:
            table[vpn] = Entry(row.folio, 0, Level.PMD)
        else:
            for i in range(row.nr_pages):
                table[vpn + i] = Entry(row.folio, row.first + i, Level.PTE)
    return tables


def at(table: dict[int, Entry], vpn: int) -> Entry | None:
    """Return the entry that maps a page: its own, or the PMD around it."""
    pmd = table.get(vpn & ~511)
    return pmd if pmd and pmd.level == Level.PMD else table.get(vpn)


def changes(step: Step, before: dict, after: dict, kinds: dict[str, Kind], known: set[str]) -> list[Change]:
    """
    Return the changes of a step in the order of the kernel: forks; then, by mm, PMD splits, what is unmapped, what is mapped.

    A page that an mm maps as often as before was moved at most (mremap), which rmap is not told. Adds to `known` the folios
    that were mapped.
    """
    found = []
    for mm in sorted(before.keys() | after.keys()):
        old, new = dict(before.get(mm, {})), after.get(mm, {})
        if isinstance(step, Fork) and mm == step.child:
            found += runs(Op.DUP, mm, new.items())
            continue
        found += splits(mm, old, new, kinds)
        lost, gained = difference(old, new)
        one_by_one = isinstance(step, Access)
        found += runs(Op.UNMAP, mm, lost, longest=1 if one_by_one else 512)
        for change in runs(Op.MAP, mm, gained):
            first = change.folio not in known and kinds[change.folio] in {Kind.ANON, Kind.HUGETLB}
            found.append(change._replace(op=Op.FIRST_MAP) if first else change)
    known.update(change.folio for change in found)
    return found


def splits(mm: str, old: dict[int, Entry], new: dict[int, Entry], kinds: dict[str, Kind]) -> list[Change]:
    """Return the PMD splits of anon folios, and put the PTEs that come of them into `old`."""
    found = []
    for vpn, entry in sorted(old.items()):
        is_split = (
            entry.level == Level.PMD
            and kinds[entry.folio] == Kind.ANON
            and entry not in new.values()
            and any(other.folio == entry.folio for other in new.values())
        )
        if is_split:
            found.append(Change(Op.SPLIT_MAPPING, Level.PMD, entry.folio, 0, 512, mm))
            del old[vpn]
            old.update({vpn + i: Entry(entry.folio, i, Level.PTE) for i in range(512)})
    return found


def difference(old: dict[int, Entry], new: dict[int, Entry]) -> tuple[list, list]:
    """Return what an mm maps less often, and more often, with an address each: one that changed."""
    less = Counter(old.values()) - Counter(new.values())
    more = Counter(new.values()) - Counter(old.values())
    return pick(old, new, less), pick(new, old, more)


def pick(here: dict[int, Entry], there: dict[int, Entry], wanted: Counter) -> list[tuple[int, Entry]]:
    """Return so many of the wanted entries, in the order of addresses."""
    picked = []
    for vpn, entry in sorted(here.items()):
        if wanted[entry] and there.get(vpn) != entry:
            wanted[entry] -= 1
            picked.append((vpn, entry))
    assert not +wanted
    return picked


def runs(op: Op, mm: str, entries, longest: int = 512) -> list[Change]:
    """Return one change for each stretch of consecutive pages at consecutive addresses within a page table."""
    found: list[Change] = []
    end = None
    for vpn, entry in sorted(entries):
        last = found[-1] if found else None
        if (
            last
            and entry.level == last.level == Level.PTE
            and (entry.folio, entry.first, vpn) == (last.folio, last.first + last.nr, end)
            and vpn % 512
            and last.nr < longest
        ):
            found[-1] = last._replace(nr=last.nr + 1)
        else:
            found.append(Change(op, entry.level, entry.folio, entry.first, 512 if entry.level else 1, mm))
        end = vpn + 1
    return found
