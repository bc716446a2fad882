"""KSM: pages of mergeable VMAs that hold the same become one, which a write copies again."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mapcount.machine.folio_split import split_folio
from mapcount.machine.folios import PMD_PAGES, Folio
from mapcount.machine.page_tables import PmdEntry, Table, spans
from mapcount.machine.rmap import places_of
from mapcount.machine.swap import enter_cache, free_unmapped
from mapcount.mapping.schema import Kind, Level, Op

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mapcount.machine.machine import Machine, Mm
    from mapcount.machine.vmas import Vma
    from mapcount.scenarios.steps import Advice


class _Item(NamedTuple):
    """A page that ksmd scans."""

    mm: Mm
    vma: Vma
    page: int
    folio: Folio
    sub: int

    @property
    def content(self) -> bool:
        # All that is ever written is the same byte.
        return self.folio.holds_data(self.sub)


def mergeable(machine: Machine, mm: Mm, vma: Vma, first: int, end: int, _advice: Advice) -> int:
    """
    Let ksmd merge pages of private memory, and wait until it has scanned all of it often enough to find all there is.

    Of the whole machine, without bound on the sharing of a page and without zero pages (ksm/run, max_page_sharing,
    use_zero_pages).
    """
    if vma.shared or vma.kind is Kind.HUGETLB:
        return 0
    if not vma.mergeable:
        mm.vmas.change(vma, first, end, lambda middle: setattr(middle, "mergeable", True))
    machine.ksm_mms.setdefault(mm.number, mm)
    for content in (False, True):
        _merge(machine, content=content)
    return 0


def _items(machine: Machine, *, content: bool) -> Iterator[_Item]:
    """Yield the pages that hold this, in the order in which ksmd comes by."""
    for mm in machine.ksm_mms.values():
        for vma in mm.vmas:
            if vma.mergeable:
                for item in _items_of(machine, mm, vma):
                    if item.folio.kind in {Kind.ANON, Kind.KSM} and item.content is content:
                        yield item


def _items_of(machine: Machine, mm: Mm, vma: Vma) -> Iterator[_Item]:
    for pmd, at, until in spans(vma.first, vma.end):
        entry = mm.tables.get(pmd)
        if isinstance(entry, PmdEntry) and entry.folio in machine.folios:
            folio = machine.folios[entry.folio]
            yield from (_Item(mm, vma, pmd * PMD_PAGES + page, folio, page) for page in range(at, until))
        elif isinstance(entry, Table):
            for run in entry.runs(at, until):
                folio = machine.folios[run.folio]
                for page in range(run.nr_pages):
                    yield _Item(mm, vma, pmd * PMD_PAGES + run.at + page, folio, run.first + page)


def _merge(machine: Machine, *, content: bool) -> None:
    items = list(_items(machine, content=content))
    stable = _stable_page(machine, items, content=content)
    distinct = _distinct(items)
    if not distinct or (stable is None and len(distinct) < 2):
        return
    tries = {folio: _split(machine, folio) for folio in dict.fromkeys(item.folio for item in distinct)}
    # Two pages of a large folio are not merged as long as it has to be split: cmp_and_merge_page(), mm/ksm.c.
    of_one = len(distinct) > 1 and distinct[0].folio is distinct[1].folio
    skipped = tries[distinct[0].folio] if of_one else 0
    chosen = distinct[min(1 + skipped, len(distinct) - 1)]
    # What could not be split stays as it is; zeros may have given way to the zero page.
    items = [item for item in _items(machine, content=content) if not item.folio.order]
    distinct = _distinct(items)
    if stable is None and len(distinct) < 2:
        return
    if stable is None:
        found = [item.folio for item in items if item.mm is chosen.mm and item.page == chosen.page]
        stable = _upgrade(machine, found[0] if found else distinct[1].folio)
    for item in items:
        if item.folio.kind is Kind.ANON and _still_maps(item):
            _replace(machine, item, stable)


def _stable_page(machine: Machine, items: list[_Item], *, content: bool) -> Folio | None:
    """Return the KSM page that holds this, if there is one that ksmd still finds."""
    folios: Iterable[Folio] = (item.folio for item in items)
    if machine.era.policies.ksm_finds_orphans:
        folios = machine.folios.values()
    return next((folio for folio in folios if folio.kind is Kind.KSM and folio.holds_data(0) is content), None)


def _distinct(items: list[_Item]) -> list[_Item]:
    """Return the items that differ in their page, the first of each."""
    pages: dict[tuple[int, int], _Item] = {}
    for item in items:
        pages.setdefault((item.folio.number, item.sub), item)
    return list(pages.values())


def _split(machine: Machine, folio: Folio) -> int:
    """Split a folio if it is large, and again after a try that came no further than to split a PMD; return the tries."""
    tries, before = 0, -1
    while folio.order and folio.number in machine.folios and folio.huge != before:
        before = folio.huge
        split_folio(machine, folio)
        tries += 1
    return tries


def _still_maps(item: _Item) -> bool:
    table = item.mm.tables[item.page // PMD_PAGES]
    assert isinstance(table, Table)
    return bool(table.folio[item.page % PMD_PAGES] == item.folio.number)


def _upgrade(machine: Machine, folio: Folio) -> Folio:
    """Make a KSM page of one of two that are the same, the second that ksmd came by; the other one gives way."""
    stable = machine.new_folio(Kind.KSM, 0)
    stable.data, stable.dirty, stable.node = folio.data, True, folio.node
    if folio.slot is not None:
        slot = folio.slot
        machine.swap.remove(folio)
        enter_cache(machine, stable, slot)
    for place in places_of(machine, folio):
        _replace(machine, _Item(place.mm, place.vma, place.page, folio, 0), stable)
    return stable


def _replace(machine: Machine, item: _Item, stable: Folio) -> None:
    """Map a KSM page in place of another: replace_page(), mm/ksm.c."""
    table = item.mm.tables[item.page // PMD_PAGES]
    assert isinstance(table, Table)
    table.set(item.page % PMD_PAGES, stable.number, 0, 1, writable=False)
    machine.map(Op.MAP, item.mm, item.vma, item.page, stable, 0, 1, Level.PTE)
    machine.unmap(item.mm, item.vma, item.page, item.folio, 0, 1, Level.PTE)
    free_unmapped(machine, item.folio)
