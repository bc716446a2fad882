"""From a scheme in one variant to the text of one flat, specialised Python module that numba compiles and caches.

The module has two functions: `run_rows` counts rows of a log, `ask` puts every reader's question. Both hold the scheme's
functions flattened (flatten.py), with every operation as a few statements (operations.py). The text is made for one scheme,
variant and cost mode and imports nothing of the scheme, and so can be cached under its hash (module_cache.py).

`run_rows` of a scheme that looks into page tables takes what it finds there as one column more (looks.py).

What rows do: FIRST_MAP, MAP, DUP, UNMAP and SPLIT_MAPPING go through the scheme's `apply`. BIRTH and DEATH put words,
statistics and flags of the folio back to what they are before the first mapping; `swapcache` and `pinned` stay, for no
row is about them. COLLAPSE and FOLIO_SPLIT do nothing here: a log has the unmappings, deaths, births and mappings that they
consist of as rows of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.errors import SchemeSourceError
from mapcount.mapping.schema import Level, Op
from mapcount.replay.cost import COST_COLUMNS, LEVEL_BITS, ORDER_BITS
from mapcount.replay.cost_ranges import with_ranges
from mapcount.replay.flatten import Flattener
from mapcount.replay.looks import LOOKED
from mapcount.replay.operations import array_name, statements
from mapcount.schemes.ops import NR_STATS
from mapcount.schemes.words import Scope

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mapcount.schemes.bind import BoundScheme
    from mapcount.schemes.words import Place, Word

TOLD = ("deferred", "partially_mapped")
"""Flags of a folio that the scheme sets."""
FLAGS = (*TOLD, "pinned", "swapcache")
"""What surrounds a folio, apart from its statistics."""
SURROUNDINGS = ("orders", "base_of", "kind", "stats", *FLAGS)
"""Fields of an emitted module's Memory besides the words."""
COLUMNS = ("op", "level", "folio_id", "first_page", "nr_pages", "mm_id")
"""What `run_rows` takes of a log, in this order; rows of outcome REFUSED are left out before."""
_SLOT = f"what_now << {LEVEL_BITS + ORDER_BITS} | at_now << {ORDER_BITS} | order_now"
"""Which row of the costs; sums stay in registers as long as it is the same."""
GAPPED = -2
"""What `run_rows` returns instead of a row if an operation touched the words of two separate ranges of pages."""

_HEAD = '''"""{scheme}, {mode}: emitted by mapcount from the scheme's source; change that instead."""
from collections import namedtuple
from numba import int64 as _int64, njit as _njit
from mapcount.replay.runtime import pointer

Memory = namedtuple("Memory", "{fields}")
'''
_COUNTED = """

@_njit(forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def touch(low, high, gap, page):
    if high < 0:
        return page, page, gap
    if page > high:
        return low, page, gap | (page > high + 1)
    if page < low:
        return page, high, gap | (page < low - 1)
    return low, high, gap


@_njit(forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def touch_range(low, high, gap, first, end):
    if first >= end:
        return low, high, gap
    if high < 0:
        return first, end - 1, gap
    gap |= (first > high + 1) | (end < low)
    return low if low < first else first, high if high >= end else end - 1, gap


@_njit(forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def flush(costs, slot, operations, pages, locked, stores, loads, lines, lookups, entries_read):
    at = slot * {columns}
    costs[at] = costs[at] + operations
    costs[at + 1] = costs[at + 1] + pages
    costs[at + 2] = costs[at + 2] + locked
    costs[at + 3] = costs[at + 3] + stores
    costs[at + 4] = costs[at + 4] + loads
    costs[at + 5] = costs[at + 5] + lines
    costs[at + 6] = costs[at + 6] + lookups
    costs[at + 7] = costs[at + 7] + entries_read
"""
_RUN = """

@_njit(cache=True, no_cfunc_wrapper=True, no_rewrites=True)
def run_rows(m, {costs}op, level, folio, first_page, nr_pages, mm{looks}):
    folios, refused = m.orders.size, _int64(0)
{arrays}{begin}
    for row in range(op.size):
        f, what, at = _int64(folio[row]), _int64(op[row]), _int64(level[row])
        if f >= folios or what > {last} or at > {pud}:
            return row, refused
        order, base = _int64(orders[f]), base_of[f]{look}{change}
        if what == {birth} or what == {death}:
{reset}
        elif what <= {split_mapping}:
            first, nr, who = _int64(first_page[row]), _int64(nr_pages[row]), _int64(mm[row]) + 1
            if nr < 1 or first + nr > 1 << order:
                return row, refused
            page = base + first if at == {pte} else base{before}
{apply}
            refused += {result}{after}{end}
    return _int64(-1), refused
"""
_BEGIN = """
    costs = pointer(costs_of)
    pages, locked, stores, loads, lines = _int64(0), _int64(0), _int64(0), _int64(0), _int64(0)
    lookups, entries_read = _int64(0), _int64(0)
    what_now, at_now, order_now, since, gap = _int64(0), _int64(0), _int64(0), _int64(0), _int64(0)"""
_CHANGE = """
        if what != what_now or at != at_now or order != order_now:
            slot = {slot}
            flush(costs, slot, row - since, pages, locked, stores, loads, lines, lookups, entries_read)
            pages, locked, stores, loads, lines, lookups, entries_read = 0, 0, 0, 0, 0, 0, 0
            what_now, at_now, order_now, since = what, at, order, row"""
_BEFORE = """
            low, high, mask = _int64(0), _int64(-1), _int64(0)"""
_AFTER = """
            pages += nr
            if high >= 0:
                lines += high - low + 1
{lines}"""
_LOOK = """
        if what <= {split_mapping} or what == {birth} or what == {death}:
            here[f], in_vma[f], vmas[f], mapper[f] = looks[row, 0], looks[row, 1], looks[row, 2], looks[row, 3]"""
_END = """
    slot = {slot}
    flush(costs, slot, op.size - since, pages, locked, stores, loads, lines, lookups, entries_read)
    if gap:
        return _int64({gapped}), refused"""
_ASK = """

@_njit(cache=True, no_cfunc_wrapper=True, no_rewrites=True)
def ask(m, by_folio, by_page):
    folios = m.orders.size
{arrays}
    for f in range(folios):
        order, base = _int64(orders[f]), base_of[f]
{folio_readers}
        for page in range(base, base + (1 << order)):
{page_readers}
"""


def emit(scheme: BoundScheme, *, cost: bool = False) -> str:
    """
    Return the module's text: `Memory`, `run_rows`, and unless it counts costs also `ask`.

    Raises SchemeSourceError where the scheme's source leaves the subset.
    """
    places = {place.word: place for place in scheme.scheme.places}
    _check_names(places)

    def operation(name: str, word: Word | None, arguments: list[str]) -> tuple[list[str], str]:
        if word is not None and word not in places:
            raise ValueError(f"the word {word.name} is not among the places that {scheme.id} declares")
        return statements(name, places[word] if word else None, arguments, cost=cost)

    flattener = Flattener(scheme.helpers, operation, with_ranges if cost else list)
    head = _HEAD.format(
        scheme=scheme.id, mode="with costs" if cost else "without costs", fields=" ".join(memory_fields(scheme))
    )
    text = head + (_COUNTED.format(columns=len(COST_COLUMNS)) if cost else "") + _run(scheme, flattener, cost=cost)
    return text if cost else text + _ask(scheme, flattener)


def memory_fields(scheme: BoundScheme) -> list[str]:
    """Return the fields of the module's Memory: arrays of the words, SURROUNDINGS, and LOOKED if the scheme looks up."""
    looked = LOOKED if scheme.lookups else ()
    return [array_name(place.word) for place in scheme.scheme.places] + [*SURROUNDINGS, *looked]


def readers_of(scheme: BoundScheme, *, per_page: bool) -> list[str]:
    """Return the names of the readers that are asked of every page, or of every folio, in the order of `ask`."""
    return [
        reader.name
        for reader in scheme.scheme.readers
        if reader.per_page == per_page and reader.name in scheme.functions
    ]


def _check_names(places: Iterable[Word]) -> None:
    names: dict[str, str] = {}
    for word in places:
        other = names.setdefault(array_name(word), word.name)
        if other != word.name:
            raise SchemeSourceError(
                f"the words {other} and {word.name} cannot be told apart in emitted text; rename one"
            )


def _run(scheme: BoundScheme, flattener: Flattener, *, cost: bool) -> str:
    apply, result = flattener.call("apply", ["what", "at", "f", "order", "page", "nr", "who"])
    return _RUN.format(
        costs="costs_of, " if cost else "",
        looks=", looks" if scheme.lookups else "",
        look=_LOOK.format(birth=int(Op.BIRTH), death=int(Op.DEATH), split_mapping=int(Op.SPLIT_MAPPING))
        if scheme.lookups
        else "",
        arrays=_arrays(scheme),
        begin=_BEGIN if cost else "",
        reset=_indented(_reset(scheme.scheme.places), 12),
        change=_CHANGE.format(slot=_SLOT) if cost else "",
        before=_BEFORE if cost else "",
        apply=_indented(apply, 12),
        result=result,
        after=_AFTER.format(lines=_indented(_lines_of_folio(scheme.scheme.places), 12)) if cost else "",
        birth=int(Op.BIRTH),
        death=int(Op.DEATH),
        split_mapping=int(Op.SPLIT_MAPPING),
        last=int(max(Op)),
        pte=int(Level.PTE),
        pud=int(Level.PUD),
        end=_END.format(gapped=GAPPED, slot=_SLOT) if cost else "",
    )


def _lines_of_folio(places: Iterable[Place]) -> list[str]:
    """Count the struct pages in which folio words were touched, unless words of pages were touched there."""
    numbers = sorted({place.page for place in places if place.word.scope is Scope.FOLIO})
    return [
        f"lines += mask >> {number} & 1 & ((base + {number} < low) | (base + {number} > high))" for number in numbers
    ]


def _reset(places: Iterable[Place]) -> list[str]:
    def stores(scope: Scope, index: str) -> list[str]:
        words = [place.word for place in places if place.word.scope is scope]
        return [f"{array_name(word)}[{index}] = {word.bias}" for word in words]

    lines = [*stores(Scope.FOLIO, "f"), *(f"{name}[f] = 0" for name in TOLD)]
    lines += [f"stats[{stat} * folios + f] = 0" for stat in range(NR_STATS)]
    of_pages = stores(Scope.PAGE, "page")
    if of_pages:
        lines += ["for page in range(base, base + (1 << order)):", *(f"    {line}" for line in of_pages)]
    return lines


def _ask(scheme: BoundScheme, flattener: Flattener) -> str:
    def questions(where: str, index: str, page: str, *, per_page: bool) -> list[str]:
        lines = []
        for number, name in enumerate(readers_of(scheme, per_page=per_page)):
            asked, result = flattener.call(name, ["f", "order", page])
            lines += [*asked, f"{where}[{number}, {index}] = {result}"]
        return lines

    return _ASK.format(
        arrays=_arrays(scheme),
        folio_readers=_indented(questions("by_folio", "f", "base", per_page=False), 8),
        page_readers=_indented(questions("by_page", "page", "page", per_page=True), 12),
    )


def _arrays(scheme: BoundScheme) -> str:
    """Name the pointers."""
    return "\n".join(f"    {name} = pointer(m.{name})" for name in memory_fields(scheme))


def _indented(lines: list[str], blanks: int) -> str:
    return "\n".join(" " * blanks + line for line in lines or ["pass"])
