"""Machine code of schemes in the user's cache: the next process compiles nothing.

`XDG_CACHE_HOME`, else `~/.cache`; then mapcount/replay/KEY.o, with the key over all that the code follows from
(source_key.py) and the processor. The file is a hash and the object file that it is of. A cache that cannot be written is no
failure: the code is made again by each process.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import warnings
from typing import TYPE_CHECKING

from mapcount.replay.drivers import Drivers, processor
from mapcount.replay.emit import emit
from mapcount.replay.source_key import source_key
from mapcount.user_cache import cache_directory, cache_path, check_ours

if TYPE_CHECKING:
    from pathlib import Path

    from mapcount.schemes.bind import BoundScheme

_CACHE = "replay"
_DIGEST_BYTES = hashlib.sha256().digest_size
_LOADED: dict[str, Drivers] = {}


def load_drivers(scheme: BoundScheme, *, cost: bool = False) -> Drivers:
    """
    Return the drivers of a scheme, with and without costs; compile them if nobody has yet.

    Raises SchemeSourceError if the scheme cannot be compiled, ImportError without llvmlite. Warns if nothing can be cached.
    """
    key = _key(scheme, cost=cost)
    if key not in _LOADED:
        code = _kept(key)
        if code is None:
            code = _compiled(scheme, key, cost=cost)
            _keep(key, code)
        _LOADED[key] = Drivers(scheme, key, code, cost=cost)
    return _LOADED[key]


def is_kept(scheme: BoundScheme, *, cost: bool = False) -> bool:
    """Tell whether the machine code of a scheme is there already."""
    key = _key(scheme, cost=cost)
    return key in _LOADED or _kept(key) is not None


def _key(scheme: BoundScheme, *, cost: bool) -> str:
    about = f"{source_key(scheme, cost=cost)}\n{processor()}"
    return hashlib.sha256(about.encode()).hexdigest()[:32]


def _compiled(scheme: BoundScheme, key: str, *, cost: bool) -> bytes:
    from mapcount.replay.native_code import object_file

    return object_file(emit(scheme, cost=cost), key)


def _kept(key: str) -> bytes | None:
    """Return the object file of a key, if it is there, ours alone to write, and what its hash says."""
    path = cache_path(_CACHE) / f"{key}.o"
    try:
        check_ours(path.parent)
        whole = path.read_bytes()
    except (OSError, RuntimeError):  # RuntimeError: there is no home directory
        return None
    digest, code = whole[:_DIGEST_BYTES], whole[_DIGEST_BYTES:]
    return code if hashlib.sha256(code).digest() == digest else None


def _keep(key: str, code: bytes) -> None:
    try:
        _write(cache_directory(_CACHE) / f"{key}.o", hashlib.sha256(code).digest() + code)
    except (OSError, RuntimeError) as error:
        warnings.warn(f"what was compiled cannot be kept ({error}): the next run compiles it again", stacklevel=3)


def _write(path: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".machine-code-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
