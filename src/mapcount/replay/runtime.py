"""What emitted modules need of numba's depths: bare pointers to arrays, and counters of one operation's cost in registers.

Imported by emitted modules alone, and with it numba. The counters are a small array on the stack of the driver, and all
that changes them is inlined there, so that LLVM keeps them in registers. A numpy array in their place would cost a load
and a store each time, more than what they count.

The pages whose words are touched are kept as their lowest and highest, the folio's struct pages whose words are touched as
a bit mask. That is exact while the pages are one range, which grows at its ends: GAP says if they ever are not.
"""

# numba's decorators and its extension API have no types.
# mypy: disable-error-code="no-untyped-def, misc, no-untyped-call, untyped-decorator"

from __future__ import annotations

import llvmlite.ir as ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

LOCKED, STORES, LOADS, LOW, HIGH, MASK, GAP = range(7)
NOTHING = -1


@intrinsic
def new_counters(typingctx):
    """Return counters, not yet cleared."""

    def codegen(context, builder, signature, args):
        return cgutils.alloca_once(builder, ir.IntType(64), size=GAP + 1, name="counters")

    return types.CPointer(types.int64)(), codegen


@intrinsic
def pointer(typingctx, array):
    """Return the address of an array's first element, typed; whoever passes the array keeps it alive."""

    def codegen(context, builder, signature, args):
        return context.make_array(signature.args[0])(context, builder, args[0]).data

    return types.CPointer(array.dtype)(array), codegen


@njit(forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def clear(counters):
    """Begin an operation."""
    counters[LOCKED] = 0
    counters[STORES] = 0
    counters[LOADS] = 0
    counters[LOW] = 0
    counters[HIGH] = NOTHING
    counters[MASK] = 0


@njit(forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def bump(counters, number):
    """Add one to LOCKED, STORES or LOADS."""
    counters[number] = counters[number] + 1


@njit(forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def touch_page(counters, page):
    """Note an access to a word of a page."""
    low, high = counters[LOW], counters[HIGH]
    if high == NOTHING:
        counters[LOW] = page
        counters[HIGH] = page
    elif page > high:
        if page > high + 1:
            counters[GAP] = 1
        counters[HIGH] = page
    elif page < low:
        if page < low - 1:
            counters[GAP] = 1
        counters[LOW] = page


@njit(forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def touch_folio(counters, mask):
    """Note an access to a word of the folio, by the bit of its struct page."""
    counters[MASK] = counters[MASK] | mask


@njit(forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def lines(counters, base):
    """Return the distinct struct pages touched: those of the range, and those of the folio's words outside of it."""
    low, high, mask = counters[LOW], counters[HIGH], counters[MASK]
    count = 0 if high == NOTHING else high - low + 1
    page = base
    while mask:
        if mask & 1 and not low <= page <= high:
            count += 1
        mask >>= 1
        page += 1
    return count
