"""Source of each operation of schemes/ops.py on one word: what PRIMITIVES says of it, on numpy arrays, with or without costs.

A word is a bare pointer `m.w_NAME` to an array of its declared width, so that it wraps as declared; locals are 64 bits wide.
Bare, because numba counts the references to an array wherever it is passed on, which costs a hundred times the work itself.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mapcount.mapping.schema import Kind
from mapcount.schemes.ops import PRIMITIVES, Access
from mapcount.schemes.words import Scope

if TYPE_CHECKING:
    from mapcount.schemes.ops import Primitive
    from mapcount.schemes.words import Place, Word

NATIVE_WIDTHS = (8, 16, 32, 64)

_SURROUNDINGS = {
    "folio_test_anon": f"""(m, folio):
    kind = m.kind[folio]
    return _int64(kind == {int(Kind.ANON)} or kind == {int(Kind.KSM)})""",
    "folio_test_shmem": f"""(m, folio):
    return _int64(m.kind[folio] == {int(Kind.SHMEM)})""",
    "folio_test_hugetlb": f"""(m, folio):
    return _int64(m.kind[folio] == {int(Kind.HUGETLB)})""",
    "folio_maybe_dma_pinned": """(m, folio):
    return _int64(m.pinned[folio])""",
    "folio_test_partially_mapped": """(m, folio):
    return _int64(m.partially_mapped[folio])""",
    "mod_stat": """(m, folio, stat, pages):
    at = stat * m.folios + folio
    m.stats[at] = m.stats[at] + pages""",
    "deferred_split_folio": """(m, folio, order):
    if order > 1 and not m.swapcache[folio]:
        m.deferred[folio] = 1
        m.partially_mapped[folio] = 1""",
    "smp_mb": "(m):\n    pass",
    "smp_rmb": "(m):\n    pass",
}
"""Operations without a word: as in ops.py, and like there of no cost."""


def array_name(word: Word) -> str:
    """Return the name of a word's array."""
    return "w_" + re.sub(r"\W+", "_", word.name).strip("_")


def array_type(word: Word) -> str:
    """Return numpy's name of the least signed type that holds the word; a flag is uint8."""
    if word.is_flag or word.width_bits == 1:
        return "uint8"
    return next(f"int{width}" for width in NATIVE_WIDTHS if word.width_bits <= width)


def stand_in_name(operation: str, word: Word | None) -> str:
    """Return what the function for an operation on a word is called in emitted text."""
    return f"{operation}_{array_name(word)[2:]}" if word else operation


def operation_source(operation: str, place: Place | None, *, cost: bool) -> str:
    """Return a function of emitted text. ValueError for an operation that nobody has described."""
    primitive = PRIMITIVES[operation]
    if place is None:
        if operation not in _SURROUNDINGS:
            raise ValueError(f"{operation} is not known to replay: describe it in replay/operations.py")
        return f"@_inline\ndef {operation}{_SURROUNDINGS[operation]}"
    counted = [_count(primitive), _touch(place)] if cost else []
    takes_value = primitive.effect in {"add", "sub", "store"}
    lines = [f"def {stand_in_name(operation, place.word)}(m, i{', value' if takes_value else ''}):", *counted]
    lines += _body(primitive, place.word)
    return "@_inline\n" + "\n    ".join(lines)


def _body(primitive: Primitive, word: Word) -> list[str]:
    at = f"m.{array_name(word)}[i]"
    after = {
        "add": f"_int64({at}) + value",
        "sub": f"_int64({at}) - value",
        "inc": f"_int64({at}) + 1",
        "dec": f"_int64({at}) - 1",
        "store": "value",
        "set": "1",
        "clear": "0",
        "lock": "1",
        "unlock": "0",
        "load": "",
    }[primitive.effect]
    lines = ["old = _int64(" + at + ")"] if primitive.result == "old" else []
    lines += [f"{at} = {_wrapped(after, word)}"] if after else []
    result = {
        "none": "",
        "new": f"_int64({at})",
        "old": "old",
        "zero": f"_int64({at} == 0)",
        "negative": f"_int64({at} < 0)",
    }[primitive.result]
    return lines + ([f"return {result}"] if result else [])


def _wrapped(value: str, word: Word) -> str:
    """Wrap at a width that no array type has; flags keep their lowest bit."""
    if value in {"0", "1"} or word.width_bits in NATIVE_WIDTHS:
        return value
    if array_type(word) == "uint8":
        return f"({value}) & 1"
    half = 1 << (word.width_bits - 1)
    return f"(({value} + {half}) & {2 * half - 1}) - {half}"


def _count(primitive: Primitive) -> str:
    number = {Access.LOCKED: "LOCKED", Access.STORE: "STORES", Access.LOAD: "LOADS"}[primitive.access]
    return f"bump(m.counters, {number})"


def _touch(place: Place) -> str:
    if place.word.scope is Scope.PAGE:
        return "touch_page(m.counters, i)"
    return f"touch_folio(m.counters, {1 << place.page})"
