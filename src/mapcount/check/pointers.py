"""What the compiled search needs of numba's depths: the bare pointer of an array. Importing this imports numba.

Indexing an array, numba looks for negative indices and keeps count of references; a pointer does neither, and is compiled
in half the time. Whoever calls the search keeps the arrays alive and has checked that indices are in range.
"""

# numba's decorators and its extension API have no types.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

from __future__ import annotations

from numba import types
from numba.extending import intrinsic


@intrinsic
def pointer(typingctx, array):
    """Return the address of the first element of a contiguous array, which reads and stores elements by index."""

    def codegen(context, builder, signature, args):
        return context.make_array(signature.args[0])(context, builder, args[0]).data

    return types.CPointer(array.dtype)(array), codegen
