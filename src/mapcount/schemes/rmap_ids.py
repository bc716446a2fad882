"""rmap IDs: sums of numbers that stand for address spaces, chosen so that a sum tells whether all summands are the same.

An mm has an ID of 24 bits. It is cut into fields of equal width, one for each 64-bit value that folios of this size keep; a
field i stands for the sub-ID whose digits in base B are the bits of i: 0, 1, B, B + 1, B^2, ... Mapping a part of a folio n
times adds n times each sub-ID to its value. Digits of a sum of up to B - 1 sub-IDs do not carry; so a sum of m of them is m
times one sub-ID only if all m are that one.

B is one more than the pages of the largest folio of its class: 5 up to order 2, 33 up to order 5, 513 up to order 9, 1025,
4097 and 32769 for orders 10, 12 and 15.

What was found here: for orders 6 to 9 the fields have 8 bits, while the series reckons with 128 = 2^7 sub-IDs a value (three
of which would be 2 million mms, not 16). With the eighth digit sums wrap: 2 (513 - 1)^7 = 2^64, and by that 71 mappings of a
2 MiB folio by several mms look like those of one (tests/schemes/test_rmap_id.py). It takes IDs with a field above 127.

Source: "[PATCH WIP v1 07/20] mm/rmap_id: track if one ore multiple MMs map a partially-mappable folio" and "[PATCH WIP v1
11/20] mm/rmap_id: support for 1, 2 and 3 values by manual calculation", David Hildenbrand, 24 November 2023.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.schemes.memory import wrap
from mapcount.schemes.ops import (
    atomic_add,
    atomic_add_return,
    atomic_read,
    atomic_set,
    smp_rmb,
)
from mapcount.schemes.scheme import Invariant
from mapcount.schemes.words import folio_word

if TYPE_CHECKING:
    from mapcount.schemes.memory import Memory
    from mapcount.schemes.scheme import Words
    from mapcount.schemes.truth import FolioTruth

WRITERS = 0xFFFFFFFF
SEQUENCE_STEP = 0x100000000
"""The sequence count: the writers that are inside, and above them how many have been."""
HALF_BITS = 32
LOW_HALF = 0xFFFFFFFF

_rmap_atomic_seqcount = folio_word("_rmap_atomic_seqcount", width_bits=64)
_rmap_val0 = folio_word("_rmap_val0", width_bits=64)
_rmap_val1 = folio_word("_rmap_val1", width_bits=64)
_rmap_val2 = folio_word("_rmap_val2", width_bits=64)
_rmap_val3 = folio_word("_rmap_val3", width_bits=64)
_rmap_val4 = folio_word("_rmap_val4", width_bits=64)
_rmap_val5 = folio_word("_rmap_val5", width_bits=64)
VALUES = (_rmap_val0, _rmap_val1, _rmap_val2, _rmap_val3, _rmap_val4, _rmap_val5)


def nr_values(m: Memory, order: int) -> int:
    """Return how many values a folio of that order keeps."""
    if order <= 2:
        return 1
    if order <= 5:
        return 2
    if order <= 9:
        return 3
    if order <= 10:
        return 4
    if order <= 12:
        return 5
    return 6


def field_bits(m: Memory, values: int) -> int:
    """Return the bits of an ID that choose the sub-ID of each of so many values."""
    if values == 5:
        return 5
    return 24 // values


def base_of(m: Memory, values: int) -> int:
    """Return the base of the sub-IDs of folios with so many values."""
    if values == 1:
        return 5
    if values == 2:
        return 33
    if values == 3:
        return 513
    if values == 4:
        return 1025
    if values == 5:
        return 4097
    return 32769


def subid(m: Memory, field: int, base: int) -> int:
    """Return the sub-ID that a field of an ID stands for: kept in the mm, or looked up in a table, by the series."""
    found = 0
    power = 1
    while field:
        if field & 1:
            found += power
        field >>= 1
        if field:
            power *= base
    return found


def change_rmap_values(m: Memory, folio: int, order: int, nr: int, mm: int, new: int) -> None:
    """Add `nr` mappings by `mm` (below 0: take them away) to each value in turn; set those of a folio that is new."""
    values = nr_values(m, order)
    bits = field_bits(m, values)
    base = base_of(m, values)
    for number in range(values):
        by = nr * subid(m, mm >> number * bits & (1 << bits) - 1, base)
        if new:
            set_rmap_value(m, folio, number, by)
        else:
            add_rmap_value(m, folio, number, by)


def set_rmap_value(m: Memory, folio: int, number: int, value: int) -> None:
    """Set value `number`."""
    if number == 0:
        atomic_set(m, _rmap_val0, folio, value)
    elif number == 1:
        atomic_set(m, _rmap_val1, folio, value)
    elif number == 2:
        atomic_set(m, _rmap_val2, folio, value)
    elif number == 3:
        atomic_set(m, _rmap_val3, folio, value)
    elif number == 4:
        atomic_set(m, _rmap_val4, folio, value)
    else:
        atomic_set(m, _rmap_val5, folio, value)


def add_rmap_value(m: Memory, folio: int, number: int, by: int) -> None:
    """Add to value `number`."""
    if number == 0:
        atomic_add(m, _rmap_val0, folio, by)
    elif number == 1:
        atomic_add(m, _rmap_val1, folio, by)
    elif number == 2:
        atomic_add(m, _rmap_val2, folio, by)
    elif number == 3:
        atomic_add(m, _rmap_val3, folio, by)
    elif number == 4:
        atomic_add(m, _rmap_val4, folio, by)
    else:
        atomic_add(m, _rmap_val5, folio, by)


def read_rmap_value(m: Memory, folio: int, number: int) -> int:
    """Return value `number`."""
    if number == 0:
        return atomic_read(m, _rmap_val0, folio)
    if number == 1:
        return atomic_read(m, _rmap_val1, folio)
    if number == 2:
        return atomic_read(m, _rmap_val2, folio)
    if number == 3:
        return atomic_read(m, _rmap_val3, folio)
    if number == 4:
        return atomic_read(m, _rmap_val4, folio)
    return atomic_read(m, _rmap_val5, folio)


def has_matching_rmap_values(m: Memory, folio: int, order: int, nr: int, mm: int) -> int:
    """Tell whether the values are those of `nr` mappings by `mm`; all of them are read."""
    values = nr_values(m, order)
    bits = field_bits(m, values)
    base = base_of(m, values)
    differ = 0
    for number in range(values):
        expected = nr * subid(m, mm >> number * bits & (1 << bits) - 1, base)
        differ |= differs(m, read_rmap_value(m, folio, number), expected)
    return not differ


def differs(m: Memory, value: int, other: int) -> int:
    """Tell whether two numbers differ in 64 bits, whatever is above these where Python reckons."""
    difference = value - other
    return (difference & LOW_HALF) != 0 or (difference >> HALF_BITS & LOW_HALF) != 0


def rmap_write_begin(m: Memory, folio: int) -> None:
    """Let readers know that total and values change; other writers may come, too."""
    atomic_add_return(m, _rmap_atomic_seqcount, folio, 1)


def rmap_write_end(m: Memory, folio: int) -> None:
    """Let readers know that one writer is done."""
    atomic_add_return(m, _rmap_atomic_seqcount, folio, SEQUENCE_STEP - 1)


def rmap_read_begin(m: Memory, folio: int) -> int:
    """Wait until no writer is inside; return the sequence."""
    seq = atomic_read(m, _rmap_atomic_seqcount, folio)
    while seq & WRITERS:
        seq = atomic_read(m, _rmap_atomic_seqcount, folio)
    smp_rmb(m)
    return seq


def rmap_read_retry(m: Memory, folio: int, seq: int) -> int:
    """Tell whether a writer came since, so that what was read may not belong together."""
    smp_rmb(m)
    return atomic_read(m, _rmap_atomic_seqcount, folio) != seq


_CLASSES = ((2, 1, 24), (5, 2, 12), (9, 3, 8), (10, 4, 6), (12, 5, 5), (15, 6, 4))
"""Largest order, values, and bits of a field: as the series has them in #defines."""


def _values_are_sums(words: Words, truth: FolioTruth) -> str | None:
    if not words.order or truth.hugetlb:
        return None
    if words["_rmap_atomic_seqcount"] & WRITERS:
        return "a writer is inside"
    largest, values, bits = next(one for one in _CLASSES if words.order <= one[0])
    for number, word in enumerate(VALUES):
        fields = {mm: f"{mm >> number * bits & (1 << bits) - 1:b}" for mm in truth.mms() if number < values}
        # Binary digits, read as digits of a larger base.
        subids = {
            mm: sum(((1 << largest) + 1) ** i for i, bit in enumerate(reversed(field)) if bit == "1")
            for mm, field in fields.items()
        }
        total = sum(truth.entries_of(mm) * one for mm, one in subids.items())
        if words[word.name] != wrap(total, 64):
            return f"{word.name} is {words[word.name]}, sub-IDs add up to {total}"
    return None


VALUES_ARE_SUMS = Invariant("_rmap_valX = sub-IDs of all mappings, summed", _values_are_sums)
