"""One machine counted in several ways: each number that user space reads, beside the truth; who answers what; what is lost.

What would change on this machine if the kernel stopped counting per page? Every scheme is replayed over the same mappings.
A snapshot has no past, so what depends on it is said for several pasts that lead to it: from the least to the most.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mapcount.mapping.snapshot import Metadata  # noqa: TC001 - msgspec reads the annotations
from mapcount.replay.engine import replay
from mapcount.replay.histories import HISTORIES, log_of
from mapcount.schemes.catalogue import SCHEMES, find_scheme
from mapcount.units import format_folio_size
from mapcount.views.answers import Answers, answers_of, over_pasts, truths_of
from mapcount.views.kernel import why_not
from mapcount.views.numbers import Key, cgroup_numbers, machine_numbers, process_numbers
from mapcount.views.observed import CountersOverPasts, WordCheck
from mapcount.views.quirks import quirks_for
from mapcount.views.view import View, kernel_view, true_view

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from mapcount.mapping.log import Log
    from mapcount.mapping.schema import I64, Bools
    from mapcount.mapping.snapshot import Snapshot
    from mapcount.replay.result import Replayed
    from mapcount.schemes.bind import BoundScheme
    from mapcount.survey.facts import Facts


@dataclass(frozen=True)
class Number:
    """A number of the whole machine in truth, and under each scheme, by scheme id: after the usual past, and over all."""

    name: str
    unit: str
    """`bytes`, `pages`, `folios` or `mappings`"""
    truth: int
    values: dict[str, int] = field(default_factory=dict)
    """after the first history"""
    least: dict[str, int] = field(default_factory=dict)
    most: dict[str, int] = field(default_factory=dict)

    def differs(self) -> bool:
        """Tell whether it is not the truth under some scheme, after some history."""
        return any(value != self.truth for found in (self.least, self.most) for value in found.values())

    def worst(self) -> int:
        """Return the largest distance of any scheme from the truth, after the first history."""
        return max((abs(value - self.truth) for value in self.values.values()), default=0)


@dataclass(frozen=True)
class ProcessNumber(Number):
    """A number of one address space."""

    mm_id: int = 0
    pid: int = 0
    comm: str = ""


@dataclass(frozen=True)
class CgroupNumber(Number):
    """A number of memory.stat of one cgroup, without its children's."""

    cgroup: str = ""


@dataclass(frozen=True)
class Found:
    """
    What a scheme knows of the folios that are partially mapped, and so whether the deferred split would find them.

    `missed` are those that it did not mark after the first history; they stay until they are unmapped whole, collapsed or
    swapped out. `missed_least` and `missed_most` are the extremes over all histories. `*_bytes` is memory that nobody maps.
    """

    scheme: str
    order: int | None
    """Of folios of this order alone; None: of all."""
    folios: int
    unmapped_bytes: int
    missed: int
    missed_bytes: int
    missed_least_bytes: int
    missed_most_bytes: int
    mistaken: int
    """Folios marked, after the first history, though somebody maps every page."""


@dataclass(frozen=True)
class Comparison:
    """The same mappings counted in several ways."""

    meta: Metadata
    running: str
    """Scheme id of the kernel that the snapshot is from."""
    notes: list[str]
    """What was assumed of that kernel."""
    schemes: list[str]
    """Those of which there are numbers."""
    histories: list[str]
    """The first is the one that is taken for usual."""
    numbers: list[Number]
    processes: list[ProcessNumber]
    """Those that differ from the truth under some scheme: first what is counted in bytes, the largest distance first."""
    cgroups: list[CgroupNumber]
    """In the same way."""
    found: list[Found]
    """By scheme; of each first all folios, then by order."""
    answers: list[Answers]
    words: list[WordCheck] = field(default_factory=list)
    """Of a guest: counters out of its memory, beside those of `running`. Empty of other snapshots."""


@dataclass(frozen=True, eq=False)
class Past:
    """The log that led to a snapshot, and the log's folios that the snapshot's rows are."""

    log: Log
    folios: I64


AS_IT_HAPPENED = "as-it-happened"
"""In place of a history's name, where the past is known."""
WITHOUT_PAGE_COUNTS = ("no-page-mapcount", "total-mapped-pages")
"""What the kernel may count by next."""


def default_schemes(running: str) -> tuple[list[str], list[str]]:
    """Return the ids whose numbers are of interest on a kernel that counts by `running`; and the designs, for their answers."""
    numbers = [running, *(scheme for scheme in WITHOUT_PAGE_COUNTS if scheme != running)]
    return numbers, [scheme.id for scheme in SCHEMES]


def compare(
    snapshot: Snapshot,
    *,
    numbers: Sequence[str],
    answers: Sequence[str],
    running: str,
    notes: Sequence[str] = (),
    histories: Sequence[str] = tuple(HISTORIES),
    past: Past | None = None,
    progress: Callable[[str], None] | None = None,
) -> Comparison:
    """
    Count the mappings of a snapshot in several ways, through `histories` (replay/histories.py), beside the truth.

    A `past` that is known takes the place of all histories: nothing is assumed then.
    `numbers` are the ids of schemes under which user space is shown (what cannot be, by what the scheme answers, is noted
    and left out), `answers` of those whose readers are asked;
    `running` is that of the kernel of the snapshot. Raises UsageError for unknown ids. One replay is in memory at a time.
    """
    chosen = {scheme_id: find_scheme(scheme_id) for scheme_id in dict.fromkeys((*numbers, *answers))}
    unseen = {one: why for one in numbers if (why := why_not(chosen[one].scheme, quirks_for(one)))}
    numbers = [one for one in numbers if one not in unseen]
    truth, truths = true_view(snapshot), truths_of(snapshot)
    numbers_of = _numbers(truth)
    found: list[Found] = []
    answered: list[Answers] = []
    counters = CountersOverPasts()
    logs = [log_of(snapshot, history).held() for history in histories] if past is None else [past.log.held()]
    for scheme_id, scheme in chosen.items():
        if progress:
            progress(scheme_id)
        said, missed, seen = [], [], set()
        for log in logs:
            [replayed] = replay(log, [scheme], replays=len(chosen) * len(logs))
            if past is not None:
                replayed = replayed.of_folios(past.folios)
            if scheme_id == running and len(snapshot.observed_words):
                counters.add(replayed)
            if scheme_id in answers:
                said.append(answers_of(truths, [replayed]))
            if scheme_id in numbers:
                missed.append(_found(truths.facts, replayed))
                mark = _mark(replayed)
                if mark not in seen:
                    seen.add(mark)
                    view = kernel_view(snapshot, replayed, quirks_for(scheme_id))
                    for mine, theirs in zip(numbers_of, _numbers(view), strict=True):
                        _widen(mine, theirs, scheme_id)
        answered += over_pasts(said)
        if missed:
            found += map(_missed_over_pasts, zip(*missed, strict=True))
    of_machine, of_processes, of_cgroups = numbers_of
    return Comparison(
        meta=snapshot.meta,
        running=running,
        notes=[
            *notes,
            *_without_room(snapshot, chosen.values()),
            *(f"{one} has no numbers, only answers; {why}" for one, why in unseen.items()),
        ],
        schemes=list(numbers),
        histories=list(histories) if past is None else [AS_IT_HAPPENED],
        numbers=list(of_machine.values()),
        processes=_worst_first(of_processes),
        cgroups=_worst_first(of_cgroups),
        found=found,
        answers=answered,
        words=counters.checks(snapshot),
    )


def _without_room(snapshot: Snapshot, schemes: Iterable[BoundScheme]) -> Iterator[str]:
    """Say which schemes no kernel could use for some folios that are here, for want of a struct page for a word."""
    present = set(snapshot.folios.order.tolist())
    for scheme in schemes:
        for order in sorted(present & set(scheme.scheme.unsupported_orders)):
            size = format_folio_size(order, snapshot.meta.page_size)
            yield f"{scheme.id} has no room for its words in folios of {size}: they are counted as if it had."


def _mark(replayed: Replayed) -> bytes:
    """Return a hash of all that user space could tell two replays apart by."""
    whole = hashlib.sha256()
    for values in (*replayed.answers.values(), replayed.stats, replayed.partially_mapped):
        whole.update(np.ascontiguousarray(values).data)
    return whole.digest()


def _numbers(view: View) -> list[dict[Key, Number]]:
    """Return the numbers of the machine, of processes and of cgroups, the view's for truth."""
    mms, cgroups = view.snapshot.mms, view.snapshot.cgroups
    return [
        {key: Number(key.name, unit, value) for key, unit, value in machine_numbers(view)},
        {
            key: ProcessNumber(
                key.name, unit, value, mm_id=key.of, pid=int(mms.pid[key.of]), comm=str(mms.comm[key.of])
            )
            for key, unit, value in process_numbers(view)
        },
        {key: CgroupNumber(key.name, unit, value, cgroup=cgroups[key.of]) for key, unit, value in cgroup_numbers(view)},
    ]


def _widen(numbers: Mapping[Key, Number], seen: Mapping[Key, Number], scheme: str) -> None:
    for key, number in numbers.items():
        value = seen[key].truth
        number.values.setdefault(scheme, value)
        number.least[scheme] = min(value, number.least.get(scheme, value))
        number.most[scheme] = max(value, number.most.get(scheme, value))


def _worst_first(numbers: Mapping[Key, Number]) -> list[Any]:
    """Return those that differ from the truth, bytes before counts, the largest distance first."""
    differing = [(key, number) for key, number in numbers.items() if number.differs()]
    differing.sort(key=lambda row: (row[1].unit != "bytes", -row[1].worst(), row[0].of, row[0].name))
    return [number for _, number in differing]


def _found(facts: Facts, replayed: Replayed) -> list[Found]:
    """Hold what the deferred split would find to what is partially mapped: anon, above order 1, not in the swap cache."""
    folios, page = facts.snapshot.folios, facts.snapshot.meta.page_size
    splittable = facts.anon & (folios.order > 1) & ~folios.swapcache
    partial, whole = splittable & facts.partial, splittable & facts.known & ~facts.partial
    missed, mistaken = partial & ~replayed.deferred, replayed.deferred & whole

    def row(order: int | None, chosen: Bools) -> Found:
        missed_bytes = int(facts.unmapped_pages[missed & chosen].sum()) * page
        return Found(
            scheme=replayed.scheme.id,
            order=order,
            folios=int((partial & chosen).sum()),
            unmapped_bytes=int(facts.unmapped_pages[partial & chosen].sum()) * page,
            missed=int((missed & chosen).sum()),
            missed_bytes=missed_bytes,
            missed_least_bytes=missed_bytes,
            missed_most_bytes=missed_bytes,
            mistaken=int((mistaken & chosen).sum()),
        )

    orders = np.unique(folios.order[partial]).tolist()
    return [row(None, splittable), *(row(order, folios.order == order) for order in orders)]


def _missed_over_pasts(rows: Sequence[Found]) -> Found:
    sizes = [row.missed_bytes for row in rows]
    return replace(rows[0], missed_least_bytes=min(sizes), missed_most_bytes=max(sizes))
