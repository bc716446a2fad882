"""One design in full, as plain records: what `mapcount schemes` prints and its JSON holds."""

from __future__ import annotations

import inspect
import sys
from dataclasses import dataclass

from mapcount.schemes.bind import BoundScheme, bind
from mapcount.schemes.catalogue import SCHEMES, find_scheme
from mapcount.schemes.footprint import STRUCT_PAGE_SIZES, Fit, Footprint, fit, footprint
from mapcount.schemes.scheme import PTE_OPERATIONS, Scheme
from mapcount.schemes.steps import OperationCost, cost_of, cost_of_one_page
from mapcount.schemes.words import Scope

PMD_ORDER = 9
MTHP_ORDER = 4
"""The sizes at which operations are counted: 2 MiB, and 64 KiB for those by PTEs."""
ORDERS = range(1, PMD_ORDER + 1)


@dataclass(frozen=True)
class WordRow:
    """A word, in its place."""

    name: str
    scope: str
    """`page` or `folio`; `small` for a page word that only folios of one page use"""
    struct_page: int
    """Number of the struct page of the folio; of a page word 0: each lies in that of its page."""
    offset: int
    bits: int
    bias: int
    flag_of: str
    """Of a flag: the word that it is a bit of; else empty."""
    bit: int


@dataclass(frozen=True)
class ReaderRow:
    """A question and what the design promises of its answer; `cannot` is why there is none."""

    name: str
    quantity: str
    promise: str
    says: str
    cannot: str = ""


@dataclass(frozen=True)
class VariantRow:
    """A variant."""

    id: str
    says: str


@dataclass(frozen=True)
class Description:
    """A design in full."""

    id: str
    title: str
    when: str
    referee: str
    sources: tuple[str, ...]
    note: str
    """The design note: paragraphs, a blank line between them."""
    variants: tuple[VariantRow, ...]
    words: tuple[WordRow, ...]
    operations: tuple[OperationCost, ...]
    one_page: tuple[OperationCost, ...]
    """unmap_ptes of one page of a folio that is mapped whole"""
    readers: tuple[ReaderRow, ...]
    invariants: tuple[str, ...]
    footprints: tuple[Footprint, ...]
    fits: tuple[Fit, ...]
    file: str


def describe(scheme_id: str) -> Description:
    """Describe the design of an id, `name` or `name:variant`. Raises UsageError that lists the known ones."""
    return _describe(find_scheme(scheme_id))


def describe_all() -> list[Description]:
    """Describe every design, without its variants."""
    return [_describe(bind(scheme)) for scheme in SCHEMES]


def _describe(bound: BoundScheme) -> Description:
    scheme = bound.scheme
    module = sys.modules[scheme.module]
    return Description(
        id=bound.id,
        title=scheme.title,
        when=scheme.when,
        referee=scheme.referee,
        sources=scheme.sources,
        note=inspect.cleandoc(module.__doc__ or "").partition("\n")[2].strip(),
        variants=tuple(VariantRow(f"{scheme.id}:{name}", variant.says) for name, variant in scheme.variants.items()),
        words=_words(scheme),
        operations=_operations(bound),
        one_page=tuple(cost_of_one_page(bound, order) for order in (MTHP_ORDER, PMD_ORDER)),
        readers=_readers(scheme),
        invariants=tuple(invariant.text for invariant in scheme.invariants),
        footprints=tuple(footprint(scheme, order) for order in ORDERS),
        fits=tuple(fit(scheme, size) for size in STRUCT_PAGE_SIZES),
        file=f"{scheme.module.replace('.', '/')}.py",
    )


def _words(scheme: Scheme) -> tuple[WordRow, ...]:
    rows = [
        WordRow(
            name=place.word.name,
            scope="small" if place.small_only else place.word.scope.value,
            struct_page=place.page,
            offset=place.offset,
            bits=place.word.width_bits,
            bias=place.word.bias,
            flag_of=place.word.container,
            bit=place.bit,
        )
        for place in sorted(
            scheme.places, key=lambda place: (place.word.scope is Scope.FOLIO, place.page, place.offset, place.bit)
        )
    ]
    return tuple(rows)


def _readers(scheme: Scheme) -> tuple[ReaderRow, ...]:
    answers = [
        ReaderRow(reader.name, reader.quantity.value, reader.promise.value, reader.says) for reader in scheme.readers
    ]
    return (*answers, *(ReaderRow(name, "", "cannot", "", why) for name, why in scheme.cannot.items()))


def _operations(bound: BoundScheme) -> tuple[OperationCost, ...]:
    rows = [cost_of(bound, operation, MTHP_ORDER) for operation in PTE_OPERATIONS]
    rows += [cost_of(bound, operation, PMD_ORDER) for operation in bound.functions if operation in _AT_PMD]
    return tuple(rows)


_AT_PMD = ("new_pmd", "map_pmd", "unmap_pmd", "dup_pmd", "split_pmd", "map_hugetlb")
