"""The model's state and past, given to what reads snapshots and logs: the same mappings, the same words."""

import random
from collections import Counter

import pytest

from mapcount.machine.backend import ModelBackend
from mapcount.machine.export import log, snapshot
from mapcount.mapping.integrity import find_fault
from mapcount.mapping.schema import Kind
from mapcount.replay.engine import replay
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
from mapcount.survey.run import survey

RELEASES = ["5.10", "6.1", "6.5", "6.12", "6.18"]


def machine_after(release, seed, steps=60, page_mapcount=None):
    """A machine after some random steps of a few processes."""
    rng = random.Random(seed)
    backend = ModelBackend(release, page_mapcount=page_mapcount)
    backend.begin(Settings(anon={4: "madvise"}, shmem={9: "always"}))
    alive, born = ["p"], iter("cdegh")
    backend.do(Memfd("p", "f", 512))
    backend.do(Mmap("p", Span("a", 0, 1031), advice=Advice.HUGEPAGE))
    backend.do(Mmap("p", Span("b", 0, 512), Kind.SHMEM, shared=True, file="f"))
    for _ in range(steps):
        who, area = rng.choice(alive), rng.choice("ab")
        first = rng.randrange(512)
        span = Span(area, first, min(512, first + rng.choice([1, 2, 13, 101])))
        choice = rng.randrange(12)
        if choice < 5:
            backend.do(Access(who, span, rng.random() < 0.7))
        elif choice < 7:
            backend.do(Madvise(who, span, Advice.DONTNEED))
        elif choice == 7:
            backend.do(Munmap(who, span))
        elif choice == 8:
            backend.do(Mprotect(who, span, rng.choice(list(Protection))))
        elif choice == 9 and len(alive) > 1:
            alive.remove(who)
            backend.do(Exit(who))
        else:
            child = next(born, None)
            if child:
                backend.do(Fork(who, child))
                alive.append(child)
    return backend


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("seed", [3, 5, 7])
def test_a_snapshot_has_what_is_observed(release, seed):
    backend = machine_after(release, seed)
    seen, there = backend.observe(0), snapshot(backend.machine)

    assert find_fault(there) == ""
    base = {area: (1 << 36) + number * (1 << 32) for number, area in enumerate("ab")}
    observed = Counter()
    orders = {}
    for row in seen.mappings:
        orders[row.folio] = seen.folios[row.folio].order
        for i in range(row.nr_pages):
            observed[row.process, base[row.area] + (row.page + i) * 4096, row.first + i, int(row.level)] += 1
    exported = Counter()
    runs = there.runs
    for at in range(len(runs)):
        for i in range(int(runs.nr_pages[at])):
            process = str(there.mms.comm[runs.mm_id[at]])
            exported[process, int(runs.address[at]) + i * 4096, int(runs.first_page[at]) + i, int(runs.level[at])] += 1
    assert exported == observed
    assert sum(observed.values()) > 97
    small = sum(
        int(pages) for pages, kind in zip(there.small.pages, there.small.kind, strict=True) if kind != Kind.ZERO
    )
    assert small == sum(row.nr_pages for row in seen.mappings if not orders[row.folio])


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("seed", [3, 5])
def test_the_log_replays_to_the_words_of_the_machine(release, seed):
    backend = machine_after(release, seed)
    machine = backend.machine
    (replayed,) = replay(log(machine), [backend.scheme], engine="plain")

    compared = 0
    for folio in machine.folios.values():
        for place in backend.scheme.scheme.places:
            name = place.word.name
            if name == "PG_anon_exclusive":
                continue  # a reuse is no change of mappings: no row of the log is about it
            if machine.counts.is_page_word(name):
                base = int(replayed.folios.base[folio.number])
                ours = replayed.words[name][base : base + folio.nr_pages].tolist()
                assert ours == machine.counts.pages(name, folio.number), (folio, name)
            else:
                assert replayed.words[name][folio.number] == machine.counts.word(name, folio.number), (folio, name)
            compared += 1
    assert compared > 5


def test_a_report_takes_a_scenario_as_it_takes_a_machine():
    backend = ModelBackend("6.12")
    backend.begin(Settings())
    backend.do(Mmap("p", Span("a", 0, 512), advice=Advice.HUGEPAGE))
    backend.do(Access("p", Span("a", 0, 1), write=True))
    backend.do(Fork("p", "c"))
    backend.do(Munmap("c", Span("a", 0, 13)))
    backend.do(Munmap("p", Span("a", 7, 512)))
    found = survey(snapshot(backend.machine))

    (size,) = [row for row in found.sizes if row.order == 9]
    assert (size.folios, size.partially_mapped, size.wasted_bytes) == (1, 1, 6 * 4096)
