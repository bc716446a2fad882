"""From a scheme in one variant to the text of one flat, specialised Python module that LLVM compiles (native_code.py).

The module has two drivers: `run_rows` counts rows of a log, `ask` puts every reader's question. Both hold the scheme's
functions flattened (flatten.py), with every operation as a few statements (operations.py). The text is made for one scheme,
variant and cost mode and imports nothing of the scheme.

A driver takes the addresses of its arrays (`arrays_of` names them in order), how many folios there are, how many rows or
pages, and where to leave how many rows were refused; it returns the first row that cannot be, or -1. `run_rows` of a scheme
that looks into page tables takes what it finds there as one array more (looks.py).

What rows do: FIRST_MAP, MAP, DUP, UNMAP and SPLIT_MAPPING go through the scheme's `apply`. BIRTH and DEATH put words,
statistics and flags of the folio back to what they are before the first mapping; `swapcache` and `pinned` stay, for no
row is about them. COLLAPSE and FOLIO_SPLIT do nothing here: a log has the unmappings, deaths, births and mappings that they
consist of as rows of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.errors import SchemeSourceError
from mapcount.mapping.schema import Level, MappingLog, Op
from mapcount.replay.cost import COST_COLUMNS, LEVEL_BITS, ORDER_BITS
from mapcount.replay.cost_ranges import with_ranges
from mapcount.replay.flatten import Flattener
from mapcount.replay.looks import LOOKED
from mapcount.replay.operations import array_name, array_type, statements
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
SURROUNDINGS = {
    "orders": "uint8",
    "base_of": "int64",
    "kind": "uint8",
    "stats": "int64",
    **dict.fromkeys(FLAGS, "uint8"),
}
"""Arrays of a driver besides the words, and their types: by folio, `stats` by statistic and folio."""
COLUMNS = ("op", "level", "folio_id", "first_page", "nr_pages", "mm_id")
"""What `run_rows` takes of a log, in this order; rows of outcome REFUSED are left out before."""
_SLOT = f"what_now << {LEVEL_BITS + ORDER_BITS} | at_now << {ORDER_BITS} | order_now"
"""Which row of the costs; sums stay in registers as long as it is the same."""
GAPPED = -2
"""What `run_rows` returns instead of a row if an operation touched the words of two separate ranges of pages."""

_HEAD = '''"""{scheme}, {mode}: emitted by mapcount from the scheme's source; change that instead."""
'''
_COUNTED = """

def touch(low, high, gap, page):
    if high < 0:
        return page, page, gap
    if page > high:
        return low, page, gap | (page > high + 1)
    if page < low:
        return page, high, gap | (page < low - 1)
    return low, high, gap


def touch_range(low, high, gap, first, end):
    if first >= end:
        return low, high, gap
    if high < 0:
        return first, end - 1, gap
    gap |= (first > high + 1) | (end < low)
    return low if low < first else first, high if high >= end else end - 1, gap


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

def run_rows(arrays, folios, rows, refusals):
{arrays}
    refused = _int64(0){begin}
    for row in range(rows):
        f, what, at = _int64(folio_id[row]), _int64(op[row]), _int64(level[row])
        if f >= folios or what > {last} or at > {pud}:
            refusals[0] = refused
            return row
        order, base = _int64(orders[f]), base_of[f]{look}{change}
        if what == {birth} or what == {death}:
{reset}
        elif what <= {split_mapping}:
            first, nr, who = _int64(first_page[row]), _int64(nr_pages[row]), _int64(mm_id[row]) + 1
            if nr < 1 or first + nr > 1 << order:
                refusals[0] = refused
                return row
            page = base + first if at == {pte} else base{before}
{apply}
            refused += {result}{after}{end}
    refusals[0] = refused
    return _int64(-1)
"""
_BEGIN = """
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
            here[f], in_vma[f] = looks[row * 4], looks[row * 4 + 1]
            vmas[f], mapper[f] = looks[row * 4 + 2], looks[row * 4 + 3]"""
_END = """
    slot = {slot}
    flush(costs, slot, rows - since, pages, locked, stores, loads, lines, lookups, entries_read)
    if gap:
        return _int64({gapped})"""
_ASK = """

def ask(arrays, folios, pages, refusals):
{arrays}
    for f in range(folios):
        order, base = _int64(orders[f]), base_of[f]
{folio_readers}
        for page in range(base, base + (1 << order)):
{page_readers}
    return _int64(-1)
"""


def emit(scheme: BoundScheme, *, cost: bool = False) -> str:
    """
    Return the module's text: `run_rows`, and unless it counts costs also `ask`.

    Raises SchemeSourceError where the scheme's source leaves the subset.
    """
    places = {place.word: place for place in scheme.scheme.places}
    _check_names(places)

    def operation(name: str, word: Word | None, arguments: list[str]) -> tuple[list[str], str]:
        if word is not None and word not in places:
            raise ValueError(f"the word {word.name} is not among the places that {scheme.id} declares")
        return statements(name, places[word] if word else None, arguments, cost=cost)

    flattener = Flattener(scheme.helpers, operation, with_ranges if cost else list)
    head = _HEAD.format(scheme=scheme.id, mode="with costs" if cost else "without costs")
    text = head + (_COUNTED.format(columns=len(COST_COLUMNS)) if cost else "") + _run(scheme, flattener, cost=cost)
    return text if cost else text + _ask(scheme, flattener)


def arrays_of(scheme: BoundScheme, driver: str, *, cost: bool) -> dict[str, str]:
    """Return the arrays that `run_rows` or `ask` takes, by name, in order, and the numpy types of their elements."""
    looked = dict.fromkeys(LOOKED if scheme.lookups else (), "int64")
    memory = {array_name(place.word): array_type(place.word) for place in scheme.scheme.places} | SURROUNDINGS | looked
    if driver == "ask":
        return memory | {"by_folio": "int64", "by_page": "int64"}
    columns = {name: MappingLog.__dataclass_fields__[name].metadata["dtype"].name for name in COLUMNS}
    return memory | ({"costs": "int64"} if cost else {}) | columns | ({"looks": "int64"} if scheme.lookups else {})


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
        look=_LOOK.format(birth=int(Op.BIRTH), death=int(Op.DEATH), split_mapping=int(Op.SPLIT_MAPPING))
        if scheme.lookups
        else "",
        arrays=_arrays(scheme, "run_rows", cost=cost),
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
    def questions(where: str, per: str, index: str, page: str, *, per_page: bool) -> list[str]:
        lines = []
        for number, name in enumerate(readers_of(scheme, per_page=per_page)):
            asked, result = flattener.call(name, ["f", "order", page])
            lines += [*asked, f"{where}[{number} * {per} + {index}] = {result}"]
        return lines

    return _ASK.format(
        arrays=_arrays(scheme, "ask", cost=False),
        folio_readers=_indented(questions("by_folio", "folios", "f", "base", per_page=False), 8),
        page_readers=_indented(questions("by_page", "pages", "page", "page", per_page=True), 12),
    )


def _arrays(scheme: BoundScheme, driver: str, *, cost: bool) -> str:
    """Name the pointers."""
    taken = arrays_of(scheme, driver, cost=cost).items()
    return "\n".join(f"    {name} = pointer(arrays[{number}], _{of})" for number, (name, of) in enumerate(taken))


def _indented(lines: list[str], blanks: int) -> str:
    return "\n".join(" " * blanks + line for line in lines or ["pass"])
