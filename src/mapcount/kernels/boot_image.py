"""What a bzImage and a kernel's .config say about themselves: release, and whether pages are counted one by one."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

from mapcount.errors import KernelImageError
from mapcount.schemes.eras import parse_release

if TYPE_CHECKING:
    from pathlib import Path

# Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header": magic "HdrS" at 0x202, kernel_version at 0x20e.
_MAGIC_AT = 0x202
_VERSION_AT = 0x20E
_SECTOR_BYTES = 0x200
"""kernel_version counts from the end of the first sector."""
_SETUP_BYTES = 0x10000
_FIRST_CHOICE = (6, 15)
"""749492229e3b: CONFIG_NO_PAGE_MAPCOUNT; before, every kernel counts per page."""


def read_release(path: Path) -> str:
    """Return the release of a bzImage, as `uname -r` will say it. Raises KernelImageError if it is none."""
    try:
        with path.open("rb") as file:
            setup = file.read(_SETUP_BYTES)
    except OSError as error:
        raise KernelImageError(f"{path} cannot be read: {error.strerror}") from error
    if setup[_MAGIC_AT : _MAGIC_AT + 4] != b"HdrS":
        raise KernelImageError(f"{path} is no kernel image for x86 (bzImage): it has no boot header")
    (start,) = struct.unpack_from("<H", setup, _VERSION_AT)
    words = setup[start + _SECTOR_BYTES :].partition(b"\0")[0].decode("latin-1").split()
    if not start or not words or not re.match(r"\d+\.\d+", words[0]):
        raise KernelImageError(f"{path} does not say which kernel release it is: the boot header has no version string")
    return words[0]


def page_mapcount_of(release: str, config: str | None) -> bool | None:
    """
    Say whether a kernel counts the mappings of each page, by its release and the text of its .config.

    None if that cannot be known: from 6.15 on it is a choice, and there is no config.
    """
    if parse_release(release) < _FIRST_CHOICE:
        return True
    if config is None:
        return None
    return re.search(r"^CONFIG_NO_PAGE_MAPCOUNT=y$", config, re.MULTILINE) is None


def series_of(release: str) -> str:
    """Return "6.12" of "6.12.107+deb12-amd64". Raises UsageError if it does not begin with two numbers."""
    major, minor = parse_release(release)
    return f"{major}.{minor}"
