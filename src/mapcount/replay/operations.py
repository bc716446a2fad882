"""Statements for each operation of schemes/ops.py on one word: what PRIMITIVES says of it, on numpy arrays, and what it costs.

A word is a pointer `w_NAME` to elements of its declared width, so that it wraps as declared; locals are 64 bits wide. A bit
lock is free whenever it is taken: one thread runs.

Costs are counted in local variables: `locked`, `stores` and `loads`; `low` and `high`, the lowest and highest page whose
words were touched; `mask`, the folio's struct pages whose words were touched. `gap` is set if the pages are not one range.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mapcount.mapping.schema import Kind
from mapcount.replay.cost_ranges import TOUCH
from mapcount.schemes.ops import PRIMITIVES, Access
from mapcount.schemes.words import Scope

if TYPE_CHECKING:
    from mapcount.schemes.ops import Primitive
    from mapcount.schemes.words import Place, Word

NATIVE_WIDTHS = (8, 16, 32, 64)
_ASKED = {
    "folio_first_page": "base_of[{0}]",
    "folio_test_anon": f"kind[{{0}}] == {int(Kind.ANON)} or kind[{{0}}] == {int(Kind.KSM)}",
    "folio_test_shmem": f"kind[{{0}}] == {int(Kind.SHMEM)}",
    "folio_test_hugetlb": f"kind[{{0}}] == {int(Kind.HUGETLB)}",
    "folio_maybe_dma_pinned": "pinned[{0}]",
    "folio_test_partially_mapped": "partially_mapped[{0}]",
    "current_mm": "mapper[{0}]",
}
_LOOKED_UP = {
    "lookup_page_table": ("here[{0}]", "1 << orders[{0}]"),
    "lookup_vma": ("in_vma[{0}]", "1 << orders[{0}]"),
    "lookup_vmas": ("vmas[{0}]", "vmas[{0}] << orders[{0}]"),
}
"""What a look-up finds, and how many page-table entries it reads."""
_TOLD = {
    "mod_stat": ["stat = {1} * folios + {0}", "stats[stat] = stats[stat] + {2}"],
    "deferred_split_folio": [
        "if {1} > 1 and not swapcache[{0}]:",
        "    deferred[{0}] = 1",
        "    partially_mapped[{0}] = 1",
    ],
}
"""Operations without a word: as in ops.py, and like there of no cost."""


def array_name(word: Word) -> str:
    """Return the name of a word's array."""
    return "w_" + re.sub(r"\W+", "_", word.name).strip("_")


def array_type(word: Word) -> str:
    """Return numpy's name of the least signed type that holds the word; a flag is uint8."""
    if word.width_bits == 1:
        return "uint8"
    return next(f"int{width}" for width in NATIVE_WIDTHS if word.width_bits <= width)


def statements(operation: str, place: Place | None, arguments: list[str], *, cost: bool) -> tuple[list[str], str]:
    """
    Return the statements that carry out an operation, and the expression of its result, to be evaluated right after.

    `arguments` are names or numbers. The result is empty if there is none. ValueError for an operation unknown here.
    """
    if place is None:
        if operation in _ASKED:
            return [], f"_int64({_ASKED[operation].format(*arguments)})"
        if operation in _LOOKED_UP:
            found, entries = (text.format(*arguments) for text in _LOOKED_UP[operation])
            counted = ["lookups += 1", f"entries_read += {entries}"] if cost else []
            return counted, f"_int64({found})"
        if operation in _TOLD:
            return [line.format(*arguments) for line in _TOLD[operation]], ""
        if PRIMITIVES[operation].effect == "barrier":
            return [], ""
        raise ValueError(f"{operation} is not known to replay: describe it in replay/operations.py")
    primitive, (index, *values) = PRIMITIVES[operation], arguments
    at = f"{array_name(place.word)}[{index}]"
    counted = [_count(primitive), *_touch(place, index)] if cost else []
    after = _after(primitive, values).format(at=at)
    change = [f"{at} = {_wrapped(after, place.word)}"] if after else []
    if primitive.result == "old" and change:
        return [*counted, f"old = _int64({at})", *change], "old"
    result = {"none": "", "new": f"_int64({at})", "zero": f"_int64({at} == 0)", "negative": f"_int64({at} < 0)"}
    return [*counted, *change], result[primitive.result]


def _after(primitive: Primitive, values: list[str]) -> str:
    """Return what the word holds then; empty if it stays."""
    match primitive.effect:
        case "add":
            return f"{{at}} + {values[0]}"
        case "sub":
            return f"{{at}} - {values[0]}"
        case "store":
            return values[0]
    return {"inc": "{at} + 1", "dec": "{at} - 1", "set": "1", "clear": "0", "lock": "1", "unlock": "0", "load": ""}[
        primitive.effect
    ]


def _wrapped(value: str, word: Word) -> str:
    """Wrap at a width that no array type has; flags keep their lowest bit."""
    if value in {"0", "1"} or word.width_bits in NATIVE_WIDTHS:
        return value
    if word.width_bits == 1:
        return f"{value} & 1"
    half = 1 << (word.width_bits - 1)
    return f"({value} + {half} & {2 * half - 1}) - {half}"


def _count(primitive: Primitive) -> str:
    return {Access.LOCKED: "locked += 1", Access.STORE: "stores += 1", Access.LOAD: "loads += 1"}[primitive.access]


def _touch(place: Place, index: str) -> list[str]:
    if place.word.scope is Scope.FOLIO:
        return [f"mask |= {1 << place.page}"]
    return [TOUCH.format(index)]
