"""Schemes of a few lines, written for one test: a word or two, and whatever operations and readers the test gives."""

from __future__ import annotations

import importlib.util
import itertools
import sys
import textwrap

from mapcount.schemes.bind import bind
from mapcount.schemes.ops import PRIMITIVES
from mapcount.schemes.scheme import (
    HUGETLB_OPERATIONS,
    PMD_OPERATIONS,
    PTE_OPERATIONS,
    Promise,
    Quantity,
    Reader,
    Scheme,
)
from mapcount.schemes.words import folio_flag, folio_word, page_word

X = folio_word("x")
Y = folio_word("y")
Z = page_word("z", bias=-1)
LOCK = folio_flag("lock", "flags")
PLACES = (X.at(16, page=1), Y.at(20, page=1), Z.at(48), LOCK.at(0, page=1))
_number = itertools.count()


def load(path, source, name=None):
    """Write a module, import it, and return it."""
    name = name or f"tiny_{next(_number)}"
    file = path / f"{name}.py"
    file.write_text(source)
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def tiny_module(path, source):
    """Load a module in which every operation that `source` does not define does nothing."""
    given = textwrap.dedent(source)
    lines = [
        f"from mapcount.schemes.ops import {', '.join(PRIMITIVES)}",
        f"from {__name__} import LOCK, X, Y, Z",
        given,
    ]
    for names, parameters in ((PTE_OPERATIONS, "page, nr, mm"), (PMD_OPERATIONS + HUGETLB_OPERATIONS, "page, mm")):
        lines += [
            f"def {name}(m, folio, order, {parameters}):\n    return 0" for name in names if f"def {name}(" not in given
        ]
    return load(path, "\n".join(lines) + "\n")


def tiny_scheme(path, source, readers=(), **more):
    """Return a bound scheme; `readers` are (name, quantity, promise, whether per page), or names of exact counts of entries."""
    module = tiny_module(path, source)
    told = [reader if isinstance(reader, tuple) else (reader, Quantity.ENTRIES, Promise.EXACT) for reader in readers]
    scheme = Scheme(
        id=module.__name__,
        title="tiny",
        module=module.__name__,
        places=PLACES,
        readers=tuple(
            Reader(name, quantity, promise, "a test's", per_page=any(per_page))
            for name, quantity, promise, *per_page in told
        ),
        when="never",
        referee="none",
        sources=(),
        **more,
    )
    return bind(scheme)
