"""A file system in memory for a guest to boot from: the newc format of cpio, without compression.

Source: Documentation/driver-api/early-userspace/buffer-format.rst.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_DIRECTORY, _PROGRAM = 0o40755, 0o100755
_END = "TRAILER!!!"


def build_initramfs(files: Mapping[str, bytes | None]) -> bytes:
    """Return an archive of files by path (without a leading slash), each executable by all; None stands for a directory."""
    entries = [*files.items(), (_END, b"")]
    return b"".join(_entry(number, path, data) for number, (path, data) in enumerate(entries, 1))


def _entry(number: int, path: str, data: bytes | None) -> bytes:
    name = path.encode() + b"\0"
    mode = _DIRECTORY if data is None else _PROGRAM
    data = data or b""
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields) + name
    return _padded(header) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
