"""A scheme whose source was changed: to show that a test fails on it."""

from __future__ import annotations

import importlib
import inspect
import sys
from types import ModuleType

from mapcount.schemes.bind import BoundScheme, bind


def mutated(scheme: str, module: str, old: str, new: str, variant: str = "") -> BoundScheme:
    """Return the scheme of module `scheme` with the first `old` of module `module` replaced by `new`."""
    names = [f"mapcount.schemes.{name}" for name in dict.fromkeys((module, scheme))]
    saved = {name: importlib.import_module(name) for name in names}
    try:
        for name in names:
            source = inspect.getsource(saved[name])
            if name == names[0]:
                assert old in source, f"{name} has no {old!r}"
                source = source.replace(old, new, 1)
            changed = ModuleType(name)
            changed.__file__ = saved[name].__file__
            sys.modules[name] = changed
            exec(compile(source, changed.__file__, "exec"), changed.__dict__)
        return bind(sys.modules[names[-1]].SCHEME, variant)
    finally:
        sys.modules.update(saved)
