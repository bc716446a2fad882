"""A design in a file of one's own, beside the catalogue: for as long as this process runs."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys

from mapcount.errors import SchemeSourceError
from mapcount.schemes.catalogue import LOADED, SCHEMES
from mapcount.schemes.scheme import Scheme


def scheme_named(text: str) -> str:
    """
    Return the id of a scheme: the text itself, or of a path that ends in .py the id of the `SCHEME` in that file.

    The file's code is run, as `python FILE` would. Raises SchemeSourceError if it cannot be read or run, has no SCHEME, or its
    id is one of the catalogue's.
    """
    if not text.endswith(".py"):
        return text
    path = os.path.abspath(text)
    scheme = getattr(_module(path), "SCHEME", None)
    if not isinstance(scheme, Scheme):
        raise SchemeSourceError(f"{text} has no SCHEME; a design says `SCHEME = Scheme(id=..., module=__name__, ...)`")
    if any(scheme.id == known.id for known in SCHEMES):
        raise SchemeSourceError(f"{text}: {scheme.id} is in the catalogue already; give the design an id of its own")
    LOADED[scheme.id] = scheme
    return scheme.id


def _module(path: str) -> object:
    name = f"mapcount_design_{hashlib.sha256(path.encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise SchemeSourceError(f"{path} cannot be run: {type(error).__name__}: {error}") from error
    return module
