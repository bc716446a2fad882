"""Small stand-ins for a scheme's large constants, so that states stay small; and why they do not change what happens.

A scalable constant E (ENTIRELY_MAPPED) is a mark that is added to a count and told from it by comparing with E and 2 E and by
the mask E - 1. With P pages and t threads, each with at most one operation under way that has counted up to P pages in one
place and not yet in the other, the count beside the marks is from -t P to (t + 1) P. If E is a power of two above (t + 2) P,
then no count reaches a mark, and what a negative count leaves of a mark is more than P, as it is with the kernel's E.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mapcount.errors import UsageError
from mapcount.schemes.bind import bind

if TYPE_CHECKING:
    from mapcount.check.model import Model
    from mapcount.schemes.bind import BoundScheme

_LARGEST_NARROW_ORDER = 2


def scaled(scheme: BoundScheme, order: int, threads: int, constants: dict[str, int] | None = None) -> BoundScheme:
    """
    Return the scheme with small constants for a folio of that order and so many threads that change it.

    `constants` are wanted values; without them the smallest safe ones are taken. Raises UsageError for one that is not
    scalable, not safe, or does not fit the scheme's narrowest counter.
    """
    wanted = constants or dict.fromkeys(scheme.scheme.scalable, _smallest(order, threads))
    for name, value in wanted.items():
        if name not in scheme.scheme.scalable:
            raise UsageError(f"{scheme.id}: {name} is not a constant that may be made small")
        _check(scheme, name, value, order, threads)
    return bind(scheme.scheme, scheme.variant, wanted)


def narrowed(model: Model) -> Model:
    """
    Return the model with numbers of at most 31 bits, as SPIN's are; itself if its scheme has no others, or the folio is large.

    Of rmap-id: a sequence count with 12 bits of writers, and 12 above them of how many have been, in place of 32 and 32; and
    sums of four pages (base 5, address spaces up to 9: below 2^13) that are compared in 24 bits in place of 64.
    """
    narrow, bound = model.scheme.scheme.narrow, model.scheme
    if not narrow or model.order > _LARGEST_NARROW_ORDER:
        return model
    return replace(model, scheme=bind(bound.scheme, bound.variant, {**bound.constants, **narrow}))


def _smallest(order: int, threads: int) -> int:
    return 1 << ((threads + 2) << order).bit_length()


def _check(scheme: BoundScheme, name: str, value: int, order: int, threads: int) -> None:
    if value & (value - 1) or value < _smallest(order, threads):
        raise UsageError(
            f"{name} = {value} is not safe: {1 << order} pages and {threads} threads need a power of two from "
            f"{_smallest(order, threads)} on"
        )
    widths = [place.word.width_bits for place in scheme.scheme.places if not place.word.is_flag]
    if (threads + 2) * value >= 1 << (min(widths) - 1):
        raise UsageError(f"{name} = {value} does not fit: {scheme.id} has a word of {min(widths)} bits")
