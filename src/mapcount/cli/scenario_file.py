"""A scenario that an argument names: a file, standard input, or one of the library."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from mapcount.errors import ScenarioError

if TYPE_CHECKING:
    from mapcount.scenarios.scenario import Scenario

SUFFIX = ".scenario"


def read_scenario(name: str, *, seed: int | None = None) -> Scenario:
    """
    Return the scenario of a file, of standard input (`-`) or of the library; `seed` replaces that of its walks.

    Raises ScenarioError if it cannot be read, UsageError if the library has none of that name.
    """
    from mapcount.scenarios.library import load
    from mapcount.scenarios.parser import parse

    if name == "-":
        return parse(_decode(sys.stdin.buffer.read(), "standard input"), name="stdin", seed=seed)
    if not os.path.isfile(name) and os.sep not in name and not name.endswith(SUFFIX):
        return load(name, seed=seed)
    try:
        with open(name, "rb") as file:
            data = file.read()
    except OSError as error:
        raise ScenarioError(f"{name} cannot be read: {error.strerror}") from error
    stem = os.path.basename(name).removesuffix(SUFFIX)
    return parse(_decode(data, name), name=stem, file=name, seed=seed)


def _decode(data: bytes, name: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ScenarioError(f"{name} is no text in UTF-8: byte {error.start} is {data[error.start]:#04x}") from error
