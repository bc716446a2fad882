"""From a scheme in one variant to the text of one flat, specialised Python module that numba compiles and caches.

The module holds the scheme's functions as subset.py makes them, one small function per operation and word
(operations.py), and drivers: `run_rows` counts rows of a log, `ask` puts every reader's question. It is made for one scheme,
variant and cost mode, imports nothing of the scheme, and so can be cached by its text.

What rows do: FIRST_MAP, MAP, DUP, UNMAP and SPLIT_MAPPING go through the scheme's `apply` if their outcome is DONE. BIRTH and
DEATH put everything of the folio back to what it is before the first mapping. COLLAPSE and FOLIO_SPLIT do nothing here: a log
has the unmappings, deaths, births and mappings that they consist of as rows of their own.
"""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING

from mapcount.errors import SchemeSourceError
from mapcount.mapping.schema import Level, Op, Outcome
from mapcount.replay.operations import array_name, operation_source, stand_in_name
from mapcount.replay.subset import specialise
from mapcount.schemes.ops import NR_STATS
from mapcount.schemes.words import Scope

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mapcount.schemes.bind import BoundScheme
    from mapcount.schemes.words import Place, Word

FLAGS = ("deferred", "partially_mapped", "pinned", "swapcache")
"""What surrounds a folio, apart from its statistics."""
SURROUNDINGS = ("orders", "base", "kind", "stats", *FLAGS)
"""Fields of an emitted module's Memory besides the words."""
COLUMNS = ("op", "level", "folio", "first_page", "nr_pages", "mm", "outcome")
"""What `run_rows` takes of a log, in this order."""
COST_COLUMNS = ("operations", "pages", "locked", "stores", "loads", "lines")
"""Last axis of the costs that `run_rows` adds to, if the module counts costs; the others are op, level and order."""
GAPPED = -2
"""What `run_rows` returns instead of a row if an operation touched the words of two separate ranges of pages."""

_HEAD = '''"""{scheme}, {mode}: emitted by mapcount from the scheme's source; change that instead."""
from collections import namedtuple
from numba import int64 as _int64, njit as _njit
from mapcount.replay.runtime import (
    GAP, LOADS, LOCKED, STORES, bump, clear, lines, new_counters, pointer, touch_folio, touch_page,
)

_inline = _njit(forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
Memory = namedtuple("Memory", "{fields}")
Pointers = namedtuple("Pointers", "folios counters {fields}")


@_inline
def pointers(arrays, counters):
    return Pointers(arrays.kind.size, counters, {pointers})
'''
_RESET = """
@_inline
def reset(m, f, base, end):
{folio_words}
    for stat in range({stats}):
        m.stats[stat * m.folios + f] = 0
    for page in range(base, end):
{page_words}
"""
_RUN = """
@_njit(cache=True)
def run_rows(arrays, {costs}op, level, folio, first_page, nr_pages, mm, outcome):
    counters = new_counters()
    m = pointers(arrays, counters)
    counters[GAP] = 0
    refused = 0
    for row in range(op.size):
        f, what, at = _int64(folio[row]), _int64(op[row]), _int64(level[row])
        if f >= m.folios or what > {last} or at > {pud}:
            return row, refused
        order, base = _int64(m.orders[f]), m.base[f]
        if what == {birth} or what == {death}:
            reset(m, f, base, base + (1 << order))
        elif what <= {split_mapping} and outcome[row] == {done}:
            first, nr = _int64(first_page[row]), _int64(nr_pages[row])
            if nr < 1 or first + nr > 1 << order:
                return row, refused
            if at != {pte}:
                first = 0{before}
            refused += apply(m, what, at, f, order, base + first, nr, _int64(mm[row]) + 1){after}
    return {gapped} if counters[GAP] else -1, refused
"""
_BEFORE = """
            clear(counters)"""
_AFTER = """
            costs[what, at, order, 0] += 1
            costs[what, at, order, 1] += nr
            costs[what, at, order, 2] += counters[LOCKED]
            costs[what, at, order, 3] += counters[STORES]
            costs[what, at, order, 4] += counters[LOADS]
            costs[what, at, order, 5] += lines(counters, base)"""
_ASK = """
@_njit(cache=True)
def ask(arrays, by_folio, by_page):
    m = pointers(arrays, new_counters())
    for f in range(m.folios):
        order, base = _int64(m.orders[f]), m.base[f]
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
    operations: dict[str, str] = {}

    def operation(name: str, word: Word | None) -> str:
        if word is not None and word not in places:
            raise ValueError(f"the word {word.name} is not among the places that {scheme.id} declares")
        stand_in = stand_in_name(name, word)
        operations[stand_in] = operation_source(name, places[word] if word else None, cost=cost)
        return stand_in

    readers = readers_of(scheme, per_page=False) + readers_of(scheme, per_page=True)
    reachable = _reachable(scheme.helpers, ["apply", *([] if cost else readers)])
    texts = [_with_decorator(specialise(function, reachable, operation)) for function in reachable.values()]
    clash = set(operations) & set(reachable)
    if clash:
        raise SchemeSourceError(f"{scheme.id}: a function must not be called {clash.pop()}: that is an operation")
    driver = [_reset(scheme.scheme.places), _run(cost=cost), *([] if cost else [_ask(scheme)])]
    return "\n\n".join([_head(scheme, cost=cost), *operations.values(), *texts, *driver])


def memory_fields(scheme: BoundScheme) -> list[str]:
    """Return the fields of the module's Memory: arrays of the words, then SURROUNDINGS."""
    return [array_name(place.word) for place in scheme.scheme.places] + list(SURROUNDINGS)


def _check_names(places: Iterable[Word]) -> None:
    names: dict[str, str] = {}
    for word in places:
        other = names.setdefault(array_name(word), word.name)
        if other != word.name:
            raise SchemeSourceError(f"the words {other} and {word.name} cannot be told apart in emitted text; rename one")


def readers_of(scheme: BoundScheme, *, per_page: bool) -> list[str]:
    """Return the names of the readers that are asked of every page, or of every folio, in the order of `ask`."""
    return [
        reader.name
        for reader in scheme.scheme.readers
        if reader.per_page == per_page and reader.name in scheme.functions
    ]


def _reachable(helpers: Mapping[str, FunctionType], wanted: Iterable[str]) -> dict[str, FunctionType]:
    """Return the functions that `wanted` call, callees first. Raises SchemeSourceError if one calls itself."""
    found: dict[str, FunctionType] = {}
    under_way: list[str] = []

    def visit(name: str) -> None:
        if name in found:
            return
        function = helpers[name]
        if name in under_way:
            code = function.__code__
            raise SchemeSourceError(
                f"{code.co_filename}, line {code.co_firstlineno}: {name} calls itself; recursion is not part of the subset"
            )
        under_way.append(name)
        for called in function.__code__.co_names:
            value = function.__globals__.get(called)
            if isinstance(value, FunctionType) and value.__name__ in helpers:
                visit(value.__name__)
        under_way.pop()
        found[name] = function

    for name in wanted:
        visit(name)
    return found


def _with_decorator(text: str) -> str:
    return f"@_inline\n{text}"


def _head(scheme: BoundScheme, *, cost: bool) -> str:
    fields = memory_fields(scheme)
    return _HEAD.format(
        scheme=scheme.id,
        mode="with costs" if cost else "without costs",
        fields=" ".join(fields),
        pointers=", ".join(f"pointer(arrays.{name})" for name in fields),
    )


def _reset(places: Iterable[Place]) -> str:
    def stores(scope: Scope, index: str) -> list[str]:
        return [
            f"m.{array_name(place.word)}[{index}] = {place.word.bias}" for place in places if place.word.scope is scope
        ]

    folio_words = [*stores(Scope.FOLIO, "f"), *(f"m.{name}[f] = 0" for name in FLAGS)]
    return _RESET.format(
        folio_words=_indented(folio_words, 4), stats=NR_STATS, page_words=_indented(stores(Scope.PAGE, "page"), 8)
    )


def _run(*, cost: bool) -> str:
    return _RUN.format(
        costs="costs, " if cost else "",
        before=_BEFORE if cost else "",
        after=_AFTER if cost else "",
        birth=int(Op.BIRTH),
        death=int(Op.DEATH),
        split_mapping=int(Op.SPLIT_MAPPING),
        last=int(max(Op)),
        done=int(Outcome.DONE),
        pte=int(Level.PTE),
        pud=int(Level.PUD),
        gapped=GAPPED,
    )


def _ask(scheme: BoundScheme) -> str:
    def questions(where: str, index: str, page: str, *, per_page: bool) -> list[str]:
        names = enumerate(readers_of(scheme, per_page=per_page))
        return [f"{where}[{number}, {index}] = {name}(m, f, order, {page})" for number, name in names]

    return _ASK.format(
        folio_readers=_indented(questions("by_folio", "f", "base", per_page=False), 8),
        page_readers=_indented(questions("by_page", "page", "page", per_page=True), 12),
    )


def _indented(statements: list[str], blanks: int) -> str:
    return "\n".join(" " * blanks + statement for statement in statements or ["pass"])
