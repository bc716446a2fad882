"""The order of Debian's version numbers, as deb-version(7) describes it."""

from __future__ import annotations

import re
from typing import TypeAlias

VersionKey: TypeAlias = tuple[int, tuple[object, ...], tuple[object, ...]]


def version_key(version: str) -> VersionKey:
    """Return what sorts as the version does: epoch, upstream version, Debian revision."""
    epoch, colon, rest = version.partition(":")
    if not colon or not epoch.isdecimal():
        epoch, rest = "0", version
    upstream, _, revision = rest.rpartition("-") if "-" in rest else (rest, "", "0")  # 1.0 and 1.0-0 are one
    return int(epoch), _parts(upstream), _parts(revision)


def _parts(text: str) -> tuple[object, ...]:
    """Return text and numbers in turn, text first; the end of the text is less than anything but a tilde."""
    found: list[object] = []
    for words, number in re.findall(r"(\D*)(\d*)", text):
        if words or number:
            found += [(*map(_rank, words), 0), int(number or 0)]
    return (*found, (0,))


def _rank(character: str) -> int:
    """Return a tilde before the end (0), letters after it, all else after letters."""
    if character == "~":
        return -1
    return ord(character) if character.isalpha() else ord(character) + 256
