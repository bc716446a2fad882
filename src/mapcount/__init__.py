"""Who maps this folio, and how would the kernel know? An inspector of folio mappings.

The Python API does what the commands do: `capture()` takes a `Snapshot` of this machine, `Snapshot.load()` reads a saved
one, `survey()` says what a snapshot says by itself. Everything here is imported on first use, so that `--help` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["MapcountError", "Snapshot", "Survey", "__version__", "capture", "survey"]

if TYPE_CHECKING:
    from mapcount.capture.session import capture
    from mapcount.errors import MapcountError
    from mapcount.mapping.snapshot import Snapshot
    from mapcount.survey.run import Survey, survey

# `capture` and `survey` are packages that can be called: see callable_package.py.
_HOMES = {
    "MapcountError": "mapcount.errors",
    "Snapshot": "mapcount.mapping.snapshot",
    "Survey": "mapcount.survey.run",
    "capture": "mapcount",
    "survey": "mapcount",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mapcount' has no attribute {name!r}")
    if _HOMES[name] == "mapcount":
        return importlib.import_module(f"mapcount.{name}")
    return getattr(importlib.import_module(_HOMES[name]), name)
