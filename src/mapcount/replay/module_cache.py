"""Emitted modules in the user's cache, where numba keeps its machine code beside them: the next process compiles nothing.

`XDG_CACHE_HOME`, else `~/.cache`; then mapcount/replay/HASH/, with the hash over the text, what it imports of mapcount, and
the versions of numba and Python. by-source/ beside them tells which HASH a scheme's sources (source_key.py) came to, so that
the next process need not emit the text to find it. A cache that cannot be written is no failure: the module goes to a
temporary directory.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import importlib.metadata
import importlib.util
import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from mapcount.replay.emit import emit
from mapcount.replay.source_key import source_key
from mapcount.user_cache import cache_directory, cache_path, check_ours

if TYPE_CHECKING:
    from types import ModuleType

    from mapcount.schemes.bind import BoundScheme

_CACHE = "replay"
_NAME = "emitted.py"
_RUNTIME = Path(__file__).with_name("runtime.py")
"""What the text imports of mapcount: numba does not notice that another file has changed."""


def load_module(scheme: BoundScheme, *, cost: bool = False) -> ModuleType:
    """
    Return the emitted module of a scheme, with and without costs. Imports numba; compiles when a driver is called first.

    Raises SchemeSourceError if the scheme cannot be compiled, ImportError without numba. Warns if nothing can be cached.
    """
    source = _place(scheme, cost=cost)
    if source not in _LOADED:
        text = _text_of(source)
        if text is None:
            text = emit(scheme, cost=cost)
            _remember(source, _key(text))
        _LOADED[source] = _load(text)
    return _LOADED[source]


_LOADED: dict[Path, ModuleType] = {}


def _load(text: str) -> ModuleType:
    key = _key(text)
    name = f"mapcount_emitted_{key}"
    # numba's index of what it compiled names the module's classes: they are found by the module's name.
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, _stored(text, key))
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


def is_kept(scheme: BoundScheme, *, cost: bool = False) -> bool:
    """Tell whether the module of a scheme is in the cache; its machine code is there too, unless nobody has called it yet."""
    return _text_of(_place(scheme, cost=cost)) is not None


def can_keep() -> bool:
    """Tell whether what is compiled now will be there for the next process."""
    try:
        _check_writable(cache_directory(_CACHE))
    except (OSError, RuntimeError):
        return False
    return True


def _place(scheme: BoundScheme, *, cost: bool) -> Path:
    return cache_path(_CACHE) / "by-source" / source_key(scheme, cost=cost)


def _text_of(source: Path) -> str | None:
    """Return the text that was emitted of these sources, if it is there and what its hash says."""
    try:
        check_ours(source.parent)
        key = source.read_text()
        text = (cache_path(_CACHE) / os.path.basename(key) / _NAME).read_text()
    except (OSError, UnicodeDecodeError):
        return None
    return text if _key(text) == key else None


def _remember(source: Path, key: str) -> None:
    with contextlib.suppress(OSError, RuntimeError):  # _stored tells that nothing can be kept
        source.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(source, key)


def _key(text: str) -> str:
    versions = f"numba {importlib.metadata.version('numba')}, Python {sys.version}"
    return hashlib.sha256(f"{versions}\n{_RUNTIME.read_text()}\n{text}".encode()).hexdigest()[:32]


def _stored(text: str, key: str) -> Path:
    directory = cache_path(_CACHE) / key
    try:
        return _put(directory, text)
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home directory
        temporary = tempfile.TemporaryDirectory(prefix="mapcount-replay-", ignore_cleanup_errors=True)
        _KEPT.append(temporary)
        warnings.warn(
            f"{directory} cannot be written ({error}): compiled schemes are not kept, and the next run compiles them again",
            stacklevel=2,
        )
        return _put(Path(temporary.name), text)


_KEPT: list[tempfile.TemporaryDirectory[str]] = []
"""Temporary directories, removed when Python ends."""


def _put(directory: Path, text: str) -> Path:
    """
    Write the module unless it is there. Its time stamp stays: numba compares it.

    The text is compared too, so that a file somebody damaged, or another text with the same hash, is never run.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    check_ours(directory)
    _check_writable(directory)
    path = directory / _NAME
    with contextlib.suppress(FileNotFoundError, UnicodeDecodeError):
        if path.read_text() == text:
            return path
    _write(path, text)
    return path


def _write(path: Path, text: str) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".emitted-")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _check_writable(directory: Path) -> None:
    """Refuse a directory that we may not write: machine code has to go there, and numba would fail with an error of its own."""
    if not os.access(directory, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
