"""Random walks in which folios are split and joined, and the truth about them by brute force."""

from __future__ import annotations

import random
from collections import Counter

from mapcount.machine.backend import ModelBackend
from mapcount.machine.page_tables import PmdEntry, Table
from mapcount.mapping.schema import Kind, Level, Op
from mapcount.scenarios.parser import parse
from mapcount.scenarios.steps import Advice, Exit, Fork, Madvise, Reclaim, Span
from mapcount.schemes.scheme import Promise
from mapcount.schemes.truth import FolioTruth, truth_of

HEADS = {
    "huge": "p: mmap a 2M huge\np: touch a[0:512]\n",
    "sparse": "set max-ptes-none 400\np: mmap a 2M huge\np: touch a[0:90]\n",
    "small": "p: mmap a 2M\np: touch a[0:100]\n",
    "mixed": "needs 6.8\nset anon 64k madvise\np: mmap a 2196k huge\np: mmap b[5] 52k huge\np: touch a[0:60]\n",
    "swap": "set swap\np: mmap a 2M huge\np: touch a[0:90]\np: pageout a[0:13]\n",
    "shmem": "set shmem 2M always\np: memfd f 2M\np: mmap a 2M huge shared f[0:512]\np: write a[0]\n"
    "p: mmap b[3] 268k f[3:70]\n",
    "shmem-64k": "needs 6.11\nset shmem 64k always\np: memfd f 2M\np: mmap a 2M shared f[0:512]\np: write a[0:70]\n"
    "p: mmap b[3] 268k f[3:70]\n",
    "shmem-small": "p: memfd f 2M\np: mmap a 2M shared f[0:512]\np: write a[0:40]\np: mmap b[512] 2M f[0:512]\n",
    "hugetlb": "set hugetlb 5\np: mmap a 2M hugetlb\np: touch a[0]\np: mmap b 2M hugetlb shared\n",
}


def walk(head, seed, nr_steps):
    """Settings and steps of a walk, with advice to collapse and calls of the shrinker thrown in."""
    scenario = parse(f"{HEADS[head]}walk {nr_steps} steps seed {seed}\n")
    rng = random.Random(seed)
    alive, steps = ["p"], []
    for step in scenario.steps:
        steps.append(step)
        if isinstance(step, Fork):
            alive.append(step.child)
        if isinstance(step, Exit):
            alive.remove(step.process)
        if alive and len(steps) > 5 and rng.random() < 0.15:
            first, end = rng.choice([(0, 512), (0, 512), (0, 1024), (512, 1024), (100, 900)])
            steps.append(Madvise(rng.choice(alive), Span(rng.choice("aab"), first, end), Advice.COLLAPSE))
        if rng.random() < 0.15:
            steps.append(Reclaim())
    return scenario.settings, steps


def begin(release, page_mapcount, head, seed, nr_steps):
    """A model at its start, and the steps that wait for it."""
    backend = ModelBackend(release, page_mapcount=page_mapcount)
    settings, steps = walk(head, seed, nr_steps)
    backend.begin(settings)
    return backend, steps


def truths(machine):
    """What the page tables say of each folio, entry by entry; every entry must make sense."""
    found = {number: FolioTruth(folio.order, folio.kind == Kind.HUGETLB) for number, folio in machine.folios.items()}
    for mm in machine.mms.values():
        for pmd, entry in mm.tables.items():
            if isinstance(entry, PmdEntry):
                if entry.folio >= 0:
                    folio, vma = machine.folios[entry.folio], mm.vmas.find(pmd * 512)
                    assert folio.order == 9
                    assert vma is not None and vma.first <= pmd * 512 and pmd * 512 + 512 <= vma.end
                    found[entry.folio].map_huge(mm.number + 1, 1, vma=vma.vma_id, table=pmd)
                continue
            _entries(machine, mm, pmd, entry, found)
    return found


def _entries(machine, mm, pmd, table: Table, found):
    for at, (number, page) in enumerate(zip(table.folio.tolist(), table.page.tolist(), strict=True)):
        if number < 0:
            continue
        folio, vma = machine.folios[number], mm.vmas.find(pmd * 512 + at)
        assert vma is not None
        assert 0 <= page < folio.nr_pages
        if folio.file is not None:
            assert vma.file is folio.file
            assert vma.file_page(pmd * 512 + at) == folio.file_page + page
        found[number].map(page, 1, mm.number + 1, 1, vma=vma.vma_id, table=pmd)


def check(machine):
    """Hold the machine's books to its page tables; return the truths."""
    found = truths(machine)
    for number, folio in machine.folios.items():
        truth = found[number]
        assert (folio.ptes, folio.huge) == (sum(truth.ptes.values()), truth.huge_entries()), number
        cached = folio.file is not None or folio.slot is not None
        assert truth.entries() or cached, f"folio {number} is leaked"
        assert machine.refcount(folio) > 0
    for folio in machine.folios.values():
        if folio.file is not None:
            pages = range(folio.file_page, folio.file_page + folio.nr_pages)
            assert all(folio.file.pages[page] is folio for page in pages)
    _check_log(machine)
    return found


def _check_log(machine):
    born, dead, entries = Counter(), Counter(), Counter()
    for _, op, mm, _, _, folio, _, nr_pages, level in machine.rows:
        born[folio] += op is Op.BIRTH
        dead[folio] += op is Op.DEATH
        if op in {Op.FIRST_MAP, Op.MAP, Op.DUP, Op.UNMAP}:
            sign = -1 if op is Op.UNMAP else 1
            entries[folio, mm, level] += sign * (1 if level is Level.PMD else nr_pages)
        if op is Op.SPLIT_MAPPING:
            entries[folio, mm, Level.PMD] -= 1
            entries[folio, mm, Level.PTE] += nr_pages
    assert set(born.values()) <= {1}
    assert set(dead.values()) <= {0, 1}
    assert {folio for folio in born if not dead[folio]} == set(machine.folios)
    mapped = Counter()
    for mm in machine.mms.values():
        for entry in mm.tables.values():
            if isinstance(entry, PmdEntry):
                mapped[entry.folio, mm.number, Level.PMD] += entry.folio >= 0
            else:
                mapped.update((number, mm.number, Level.PTE) for number in entry.folio.tolist() if number >= 0)
    assert +entries == +mapped


def check_readers(machine, found, pages=7):
    """Hold the readers of the era's scheme to their promises: every folio, and some pages of each. Return how many asked."""
    asked = 0
    for number, truth in found.items():
        for reader in machine.counts.scheme.scheme.readers:
            if truth.hugetlb and reader.name in {"folio_mapped_pages", "partially_mapped"}:
                continue
            if reader.promise not in {Promise.EXACT, Promise.NEVER_LESS, Promise.NEVER_MORE}:
                continue
            for page in {i * (truth.nr_pages - 1) // (pages - 1) for i in range(pages)} if reader.per_page else (0,):
                value, true = machine.counts.ask(reader.name, number, page), truth_of(reader.quantity, truth, page)
                asked += 1
                if reader.promise is not Promise.NEVER_MORE:
                    assert value >= true, (reader.name, number, page)
                if reader.promise is not Promise.NEVER_LESS:
                    assert value <= true, (reader.name, number, page)
    return asked
