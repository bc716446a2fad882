"""What one operation of a scheme does to memory, access by access, in a usual situation: seen by running it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mapcount.mapping.schema import Kind
from mapcount.schemes.looked import Looked
from mapcount.schemes.ops import Access
from mapcount.schemes.scheme import HUGETLB_OPERATIONS, OPERATIONS, PTE_OPERATIONS
from mapcount.schemes.words import Scope

if TYPE_CHECKING:
    from mapcount.schemes.bind import BoundScheme
    from mapcount.schemes.memory import Memory, Touch

MM, CHILD = 1, 2
_BEFORE = {"unmap": "new", "dup": "new", "split": "new"}
"""Operations that need the folio mapped; the others find it unmapped."""


@dataclass(frozen=True)
class OperationCost:
    """One operation on a whole folio, counted: accesses to the scheme's words alone."""

    operation: str
    order: int
    locked: int
    stores: int
    loads: int
    struct_pages: int
    """Distinct struct pages touched: cache lines, at 64 bytes each."""
    lookups: int = 0
    """Looks into page tables, and walks of the rmap."""
    entries_read: int = 0
    """Page-table entries that these read."""


def steps_of(scheme: BoundScheme, operation: str, order: int) -> list[Touch]:
    """
    Return the accesses of an operation on all pages of a folio of `order`, in their order.

    `new_*`, `dup_*`, `unmap_*` and `split_pmd` meet a new anon folio (hugetlb: a hugetlb one) that one mm maps, `map_*` a
    file folio that nobody maps: all counts are first or last ones, the most that the operation ever does.
    """
    return _run(scheme, operation, order).touched or []


def cost_of(scheme: BoundScheme, operation: str, order: int, *, without: frozenset[str] = frozenset()) -> OperationCost:
    """Return the accesses of an operation, as in `steps_of`, counted by kind; those to words of `without` are left out."""
    return _counted(scheme, operation, order, _run(scheme, operation, order), without)


def cost_of_one_page(scheme: BoundScheme, order: int) -> OperationCost:
    """Return the accesses of unmap_ptes of the first page of a new anon folio of `order` that one mm maps whole."""
    memory = scheme.memory([order], [Kind.ANON], record=True)
    _call(scheme, memory, "new_ptes", order, MM)
    memory.touched, memory.lookups, memory.entries_read = [], 0, 0
    left = (1 << order) - 1
    memory.looked[0] = Looked(here=left, in_vma=left, vmas=1, mapper=MM)
    scheme.functions["unmap_ptes"](memory, 0, order, 0, 1, MM)
    return _counted(scheme, "unmap_ptes", order, memory)


def _counted(
    scheme: BoundScheme, operation: str, order: int, memory: Memory, without: frozenset[str] = frozenset()
) -> OperationCost:
    touched = [touch for touch in memory.touched or [] if touch.word not in without]
    kinds = Counter(touch.access for touch in touched)
    places = {place.word.name: place for place in scheme.scheme.places}
    pages = {touch.at if places[touch.word].word.scope is Scope.PAGE else places[touch.word].page for touch in touched}
    return OperationCost(
        operation,
        order,
        kinds[Access.LOCKED],
        kinds[Access.STORE],
        kinds[Access.LOAD],
        len(pages),
        memory.lookups,
        memory.entries_read,
    )


def _run(scheme: BoundScheme, operation: str, order: int) -> Memory:
    if operation not in OPERATIONS:
        raise ValueError(f"{operation!r} is no operation; there are: {', '.join(OPERATIONS)}")
    verb, _, level = operation.partition("_")
    kind = Kind.HUGETLB if operation in HUGETLB_OPERATIONS else Kind.FILE if verb == "map" else Kind.ANON
    memory = scheme.memory([order], [kind], record=True)
    if verb in _BEFORE:
        _call(scheme, memory, f"{_BEFORE[verb]}_{level}", order, MM)
        memory.touched, memory.lookups, memory.entries_read = [], 0, 0
    memory.looked[0] = _looked(verb, order)
    _call(scheme, memory, operation, order, CHILD if verb == "dup" else MM)
    return memory


def _looked(verb: str, order: int) -> Looked:
    """Return what look-ups find in such an operation: an unmapping leaves nothing, a child adds to its parent."""
    if verb == "unmap":
        return Looked()
    return Looked(
        here=1 << order if verb == "split" else 0,
        in_vma=1 << order if verb == "split" else 0,
        vmas=2 if verb == "dup" else 1,
        mapper=MM,
    )


def _call(scheme: BoundScheme, memory: Memory, operation: str, order: int, mm: int) -> None:
    arguments = (memory, 0, order, 0, 1 << order, mm) if operation in PTE_OPERATIONS else (memory, 0, order, 0, mm)
    scheme.functions[operation](*arguments)
