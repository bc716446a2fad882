"""The scenarios that ship with the package, by name: files `library/NAME.scenario`."""

from __future__ import annotations

import difflib
from importlib.resources import files
from typing import TYPE_CHECKING

from mapcount.errors import UsageError
from mapcount.scenarios.parser import parse

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from mapcount.scenarios.scenario import Scenario

SUFFIX = ".scenario"


def names() -> list[str]:
    """Return the names of all, sorted."""
    return sorted(file.name.removesuffix(SUFFIX) for file in _folder().iterdir() if file.name.endswith(SUFFIX))


def source(name: str) -> str:
    """Return the text of one. Raises UsageError with the nearest name if there is none."""
    known = names()
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise UsageError(f"There is no scenario {name!r} in the library: {hint}`mapcount run --list` lists them")
    return (_folder() / f"{name}{SUFFIX}").read_text(encoding="utf-8")


def load(name: str, *, seed: int | None = None) -> Scenario:
    """Return one; `seed` replaces that of its walks. Raises UsageError if there is none of that name."""
    return parse(source(name), name=name, file=f"{name}{SUFFIX}", seed=seed)


def load_all() -> list[Scenario]:
    """Return all of them, by name."""
    return [load(name) for name in names()]


def _folder() -> Traversable:
    return files("mapcount.scenarios") / "library"
