"""Random histories of mappings of a few folios, kept beside the truth. Any subset of a history is a history again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from mapcount.mapping.schema import Kind, Level, Op
from mapcount.schemes.looked import ADDING
from mapcount.schemes.truth import FolioTruth

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator


class Wish(NamedTuple):
    """What is tried next. What of it is possible depends on what is mapped: the rest of it is left out."""

    what: str
    """`new`, `new_pmd`, `map`, `map_pmd`, `unmap`, `exit` (unmap all), `fork`, `split` or `pin`"""
    folio: int
    mm: int
    """address spaces are numbered from 1"""
    vma: int
    first: int
    nr: int


class Change(NamedTuple):
    """One call of a scheme's operation."""

    op: Op
    level: Level
    folio: int
    first: int
    nr: int
    mm: int
    vma: int = 0
    """Of the mm; schemes are not told."""

    @property
    def added(self) -> int:
        """Pages that it maps, where it does not unmap or split."""
        return self.nr if self.op in ADDING else 0


@dataclass(frozen=True)
class FolioSpec:
    """A folio of a history."""

    order: int
    kind: Kind


WISHES = ("new", "new_pmd", "map", "map_pmd", "unmap", "unmap", "exit", "fork", "split", "pin")


def random_wishes(rng: random.Random, folios: list[FolioSpec], steps: int, mms: int) -> list[Wish]:
    """Return so many wishes about the folios and address spaces 1 to `mms`."""
    wishes = []
    for _ in range(steps):
        folio = rng.randrange(len(folios))
        nr_pages = 1 << folios[folio].order
        first = rng.randrange(nr_pages)
        nr = rng.randint(1, nr_pages - first) if rng.random() < 0.7 else nr_pages - first
        wishes.append(Wish(rng.choice(WISHES), folio, rng.randint(1, mms), rng.randrange(2), first, nr))
    return wishes


class World:
    """Some folios, who maps them, and which are pinned. `grant` turns a wish into changes and keeps the truth."""

    def __init__(self, folios: list[FolioSpec], pmd_order: int, *, anon_mixed_by_split_only: bool = False) -> None:
        self.folios = folios
        self.pmd_order = pmd_order
        self._anon_mixed_by_split_only = anon_mixed_by_split_only
        self.truths = [FolioTruth(spec.order, spec.kind == Kind.HUGETLB) for spec in folios]
        self.pinned = [0] * len(folios)
        self._born = [spec.kind != Kind.ANON for spec in folios]

    def grant(self, wish: Wish) -> Iterator[Change]:
        """
        Give the changes that a wish comes to, one after the other.

        The truth has changed when a change is given; if a scheme refuses a DUP, call `refuse` before going on.
        """
        spec, truth = self.folios[wish.folio], self.truths[wish.folio]
        huge = spec.kind == Kind.HUGETLB or spec.order == self.pmd_order
        mine = truth.huge.get((wish.mm, wish.vma, 0), 0)
        pages = {i for (mm, vma, _, i) in truth.ptes if (mm, vma) == (wish.mm, wish.vma)}
        whole = range(truth.nr_pages)
        unmixed = self._anon_mixed_by_split_only and spec.kind == Kind.ANON
        match wish.what:
            case "pin":
                self.pinned[wish.folio] ^= 1
            case "new" if not self._born[wish.folio] and spec.kind != Kind.HUGETLB:
                self._born[wish.folio] = True
                yield self._ptes(Op.FIRST_MAP, wish, 0, truth.nr_pages, 1)
            case "new_pmd" if not self._born[wish.folio] and huge:
                self._born[wish.folio] = True
                yield self._huge(Op.FIRST_MAP, wish, 1)
            case "map" | "map_pmd" if unmixed and (truth.huge if wish.what == "map" else truth.ptes):
                return
            case "map" if self._born[wish.folio] and spec.kind != Kind.HUGETLB and not mine:
                for first, nr in _stretches([i for i in whole if i not in pages], wish):
                    yield self._ptes(Op.MAP, wish, first, nr, 1)
            case "map_pmd" if self._born[wish.folio] and huge and not mine and not pages:
                yield self._huge(Op.MAP, wish, 1)
            case "unmap" if mine:
                yield self._huge(Op.UNMAP, wish, -1)
            case "unmap":
                for first, nr in _stretches(sorted(pages), wish):
                    yield self._ptes(Op.UNMAP, wish, first, nr, -1)
            case "exit":
                for _, vma, _ in sorted(mapper for mapper in truth.mappers() if mapper[0] == wish.mm):
                    yield from self.grant(Wish("unmap", wish.folio, wish.mm, vma, 0, truth.nr_pages))
            case "split" if mine and spec.kind == Kind.ANON:
                truth.map_huge(wish.mm, -1, vma=wish.vma)
                truth.map(0, truth.nr_pages, wish.mm, 1, vma=wish.vma)
                yield Change(Op.SPLIT_MAPPING, Level.PMD, wish.folio, 0, truth.nr_pages, wish.mm, wish.vma)
            case "fork":
                yield from self._fork(wish, mine, sorted(pages))

    def refuse(self, change: Change, vma: int) -> None:
        """Take back a DUP that the scheme refused."""
        truth = self.truths[change.folio]
        if change.level == Level.PTE:
            truth.map(change.first, change.nr, change.mm, -1, vma=vma)
        else:
            truth.map_huge(change.mm, -1, vma=vma)

    def _fork(self, wish: Wish, mine: int, pages: list[int]) -> Iterator[Change]:
        """Share what an mm maps with the next one that maps nothing of the folio."""
        truth = self.truths[wish.folio]
        child = next(mm for mm in range(1, len(truth.mms()) + 2) if mm not in truth.mms())
        to_child = wish._replace(mm=child)
        if mine:
            yield self._huge(Op.DUP, to_child, 1)
        for first, nr in _stretches(pages, wish._replace(first=0, nr=truth.nr_pages)):
            yield self._ptes(Op.DUP, to_child, first, nr, 1)

    def _ptes(self, op: Op, wish: Wish, first: int, nr: int, by: int) -> Change:
        self.truths[wish.folio].map(first, nr, wish.mm, by, vma=wish.vma)
        return Change(op, Level.PTE, wish.folio, first, nr, wish.mm, wish.vma)

    def _huge(self, op: Op, wish: Wish, by: int) -> Change:
        self.truths[wish.folio].map_huge(wish.mm, by, vma=wish.vma)
        return Change(op, Level.PMD, wish.folio, 0, self.truths[wish.folio].nr_pages, wish.mm, wish.vma)


def _stretches(pages: list[int], wish: Wish) -> list[tuple[int, int]]:
    """Return (first, nr) of the maximal stretches of `pages` (sorted) within the wished range."""
    found: list[tuple[int, int]] = []
    for i in pages:
        if wish.first <= i < wish.first + wish.nr:
            if found and i == found[-1][0] + found[-1][1]:
                found[-1] = (found[-1][0], found[-1][1] + 1)
            else:
                found.append((i, 1))
    return found


def unmap_all(world: World) -> list[Wish]:
    """Return wishes that unmap everything."""
    return [
        Wish("unmap", folio, mm, vma, 0, truth.nr_pages)
        for folio, truth in enumerate(world.truths)
        for mm, vma, _ in sorted(truth.mappers())
    ]
