"""The same numbers page by page in plain Python, from what the kernel's documentation says of them: slow and plain.

Sources: Documentation/filesystems/proc.rst (smaps), Documentation/admin-guide/mm/pagemap.rst. The kernel adds up shares of
a page in 1/4096 of a byte. `Kernel` takes a rule for the mapcount of a page and one for "exclusive"; `Truth` has its own.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from fractions import Fraction

from mapcount.mapping.schema import Kind, Level

PAGE = 4096
RSS = (Kind.ANON, Kind.SHMEM, Kind.FILE, Kind.KSM)


class World:
    """Entries of a snapshot, page by page."""

    def __init__(self, snapshot):
        self.snapshot = snapshot
        folios, runs, unseen = snapshot.folios, snapshot.runs, snapshot.unseen
        self.order = folios.order.tolist()
        self.kind = [Kind(kind) for kind in folios.kind.tolist()]
        self.runs = [tuple(int(getattr(runs, name)[i]) for name in runs.__dataclass_fields__) for i in range(len(runs))]
        self.small = snapshot.small if 0 not in self.order else snapshot.small.take([])  # the same pages once more
        self.pages = defaultdict(list)  # (folio, page) -> mm of each mapping
        self.ptes = Counter()  # folio -> PTEs
        self.pmds = Counter()  # folio -> PMDs
        for mm, _, _, folio, first, nr, level in self.runs:
            for page in range(first, first + nr):
                self.pages[folio, page].append(mm)
            if level == Level.PTE:
                self.ptes[folio] += nr
            else:
                self.pmds[folio] += 1
        for i in range(len(unseen)):
            for page in range(unseen.first_page[i], unseen.first_page[i] + unseen.nr_pages[i]):
                self.pages[int(unseen.folio_id[i]), page] += ["unseen"] * int(unseen.mappings[i])
                self.ptes[int(unseen.folio_id[i])] += int(unseen.mappings[i])

    def size(self, folio):
        return 1 << self.order[folio]

    def mms(self, folio):
        return {mm for page in range(self.size(folio)) for mm in self.pages[folio, page]}

    def mapped(self, folio):
        return sum(bool(self.pages[folio, page]) for page in range(self.size(folio)))


class PerPage:
    """A kernel with a count per page."""

    pmd_bit_of_first_page = True
    by_entry = False

    def __init__(self, world):
        self.world = world

    def mapcount(self, folio, page):
        return 0 if self.world.kind[folio] is Kind.ZERO else len(self.world.pages[folio, page])

    def private(self, folio, page, mm):
        return self.mapcount(folio, page) == 1

    def bit(self, folio, page):
        return self.mapcount(folio, page) == 1

    def share(self, folio, page, size=PAGE):
        return size * 4096 // self.mapcount(folio, page)

    def anon_or_file(self, folio):
        return self.world.mapped(folio)

    def small_private(self, row):
        return self.world.snapshot.small.mappings[row] == 1

    def small_share(self, row):
        return PAGE * 4096 // int(self.world.snapshot.small.mappings[row])


class Average(PerPage):
    """A kernel without: the average of the folio, to the nearest and at least 1; exclusive if no other mm maps any page."""

    def mapcount(self, folio, page):
        world, size = self.world, self.world.size(folio)
        if world.kind[folio] is Kind.ZERO:
            return 0
        if world.kind[folio] is Kind.HUGETLB:
            return self.hugetlb(world.pmds[folio], size)
        entries = sum(len(world.pages[folio, i]) for i in range(size))
        return max(int(Fraction(entries, size) + Fraction(1, 2)), 1) if entries else 0

    def hugetlb(self, entries, size):
        return entries

    def exclusive(self, folio):
        world = self.world
        if world.kind[folio] is Kind.HUGETLB or world.order[folio] == 0:
            return world.ptes[folio] + world.pmds[folio] == 1
        return world.kind[folio] is Kind.ZERO or len(world.mms(folio)) < 2

    def private(self, folio, page, mm):
        return self.exclusive(folio)

    def bit(self, folio, page):
        return self.exclusive(folio)

    def anon_or_file(self, folio):
        return self.world.size(folio) if self.world.mapped(folio) else 0


class ByEntry(Average):
    """The RFC of April 2026."""

    by_entry = True

    def hugetlb(self, entries, size):
        return max(int(Fraction(entries, size) + Fraction(1, 2)), 1) if entries else 0


class Truth(PerPage):
    """No kernel."""

    pmd_bit_of_first_page = False

    def private(self, folio, page, mm):
        return set(self.world.pages[folio, page]) == {mm}

    def share(self, folio, page, size=PAGE):
        return Fraction(size * 4096, self.mapcount(folio, page))

    def small_private(self, row):
        small = self.world.snapshot.small
        return small.mms[row] == 1 and small.found[row] == small.mappings[row]

    def small_share(self, row):
        return Fraction(PAGE * 4096, int(self.world.snapshot.small.mappings[row]))


def smaps(kernel):
    """Return, for each VMA, the fields of Smaps."""
    world = kernel.world
    rows = [Counter() for _ in range(len(world.snapshot.vmas))]
    for mm, vma, _, folio, first, nr, level in world.runs:
        row, kind = rows[vma], world.kind[folio]
        if kind is Kind.HUGETLB:
            private = kernel.private(folio, first, mm)
            row["private_hugetlb" if private else "shared_hugetlb"] += nr * PAGE
        if kind in RSS:
            for page in range(first, first + nr):
                add_page(row, kind, kernel.private(folio, page, mm))
                if level == Level.PTE or not kernel.by_entry:
                    add_pss(row, kind, kernel.share(folio, page))
            if level == Level.PMD:
                names = {Kind.SHMEM: "shmem_pmd", Kind.FILE: "file_pmd"}
                row[names.get(kind, "anon_huge")] += nr * PAGE
                if kernel.by_entry:
                    add_pss(row, kind, kernel.share(folio, first, nr * PAGE))
        if kind is not Kind.ZERO:
            for page in range(first, first + nr if level == Level.PTE else first + 1):
                row["mapmax"] = max(row["mapmax"], kernel.mapcount(folio, page))
    small = world.small
    for i in range(len(small)):
        row, kind = rows[small.vma_id[i]], Kind(small.kind[i])
        if kind in RSS:
            for _ in range(int(small.pages[i])):
                add_page(row, kind, kernel.small_private(i))
                add_pss(row, kind, kernel.small_share(i))
            row["mapmax"] = max(row["mapmax"], int(small.mappings[i]))
    return rows


def add_page(row, kind, private):
    row["rss"] += PAGE
    row["private" if private else "shared"] += PAGE
    row["anonymous"] += PAGE * (kind in (Kind.ANON, Kind.KSM))


def add_pss(row, kind, share):
    names = {Kind.SHMEM: "pss_shmem", Kind.FILE: "pss_file"}
    row["pss"] += share
    row[names.get(kind, "pss_anon")] += share


def bits(kernel):
    """Return bit 56 by (mm, page number), in the order of the runs."""
    found = []
    for mm, _, address, folio, first, nr, level in kernel.world.runs:
        kind = kernel.world.kind[folio]
        for i in range(nr):
            judged = (
                first if level == Level.PMD and kernel.pmd_bit_of_first_page and kind is not Kind.HUGETLB else first + i
            )
            seen = kind is not Kind.ZERO or level == Level.PMD
            found.append((mm, address // PAGE + i, seen and kernel.bit(folio, judged)))
    return found


def kpagecount(kernel):
    """Return it by (folio, page)."""
    world = kernel.world
    return {(f, i): kernel.mapcount(f, i) for f in range(len(world.order)) for i in range(world.size(f))}


def statistics(kernel):
    """Return, for each cgroup, the fields of Statistics; of order-0 pages each once."""
    world, snapshot = kernel.world, kernel.world.snapshot
    rows = [Counter() for _ in snapshot.cgroups]
    for folio, kind in enumerate(world.kind):
        row, size = rows[max(int(snapshot.folios.charge_cgroup[folio]), 0)], world.size(folio)
        row["shmem"] += size * PAGE * (kind is Kind.SHMEM)
        if kind in RSS:
            row["anon" if kind in (Kind.ANON, Kind.KSM) else "mapped"] += kernel.anon_or_file(folio) * PAGE
            if world.pmds[folio]:
                names = {Kind.SHMEM: "shmem_pmd", Kind.FILE: "file_pmd"}
                row[names.get(kind, "anon_huge")] += size * PAGE
    small = world.small
    totals = Counter()
    for i in range(len(small)):
        key = tuple(int(getattr(small, name)[i]) for name in ("kind", "charge_cgroup", "mappings", "found", "mms"))
        totals[key] += int(small.pages[i])
    for (kind, cgroup, _, found, _), pages in totals.items():
        row = rows[max(cgroup, 0)]
        row["anon" if kind in (Kind.ANON, Kind.KSM) else "mapped"] += -(-pages // found) * PAGE
        row["shmem"] += -(-pages // found) * PAGE * (kind == Kind.SHMEM)
    return rows
