"""Packages that can be called: `mapcount.capture(...)` runs the function that the package `mapcount.capture` is named after."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any


def make_callable(package: str, home: str) -> None:
    """
    Let `package(...)` call the function of the package's own name in the module `home`, imported at the first call.

    Importing a sub-package binds its name in the parent, so a function of the same name cannot stay there; a module whose
    class has `__call__` can (Python data model, "Customizing module attribute access").
    """
    name = package.rpartition(".")[2]

    class CallablePackage(ModuleType):
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return getattr(importlib.import_module(home), name)(*args, **kwargs)

    sys.modules[package].__class__ = CallablePackage
