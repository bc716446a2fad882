"""What emitted text depends on, as one hash: so that it need not be emitted again to find what was compiled of it."""

from __future__ import annotations

import functools
import hashlib
import inspect
from pathlib import Path
from typing import TYPE_CHECKING

from mapcount.schemes import ops, words

if TYPE_CHECKING:
    from mapcount.schemes.bind import BoundScheme

_EMITTERS = Path(__file__).parent
"""Whatever of this package takes part in emission, and some that does not: a change of it costs one compilation."""


@functools.cache
def _emitters() -> tuple[str, ...]:
    return tuple(map(str, _EMITTERS.glob("*.py")))


def source_key(scheme: BoundScheme, *, cost: bool) -> str:
    """
    Return a hash over all that the emitted module of a scheme follows from.

    That is: the files of its functions and of the operations, this package, its constants, places and readers, and the cost
    mode. Raises OSError if a file cannot be read, TypeError if a function has none.
    """
    files = {inspect.getfile(function) for function in scheme.helpers.values()}
    files |= {inspect.getfile(ops), inspect.getfile(words), *_emitters()}
    about = (
        scheme.id,
        sorted(scheme.constants.items()),
        scheme.scheme.places,
        [(reader.name, reader.per_page) for reader in scheme.scheme.readers],
        cost,
    )
    whole = hashlib.sha256(repr(about).encode())
    for file in sorted(files):
        whole.update(_digest(file))
    return whole.hexdigest()[:32]


@functools.cache
def _digest(file: str) -> bytes:
    return hashlib.sha256(Path(file).read_bytes()).digest()
