"""The kernel proper out of a bzImage: payload, decompression, and the ELF file that comes out, whole or a section of it."""

from __future__ import annotations

import lzma
import re
import struct
import zlib
from typing import TYPE_CHECKING, TypeVar

from mapcount.errors import KernelImageError, MissingToolError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header".
_SETUP_SECTORS_AT, _MAGIC_AT, _PAYLOAD_AT = 0x1F1, 0x202, 0x248
_SECTOR_BYTES = 512
_LZ4_BLOCK_BYTES = 8 << 20
_PVH_NOTE = re.compile(rb"\x04\0\0\0[\x04\x08]\0\0\0\x12\0\0\0Xen\0")
"""Lengths of name and descriptor, the type XEN_ELFNOTE_PHYS32_ENTRY, the name."""
_Part = TypeVar("_Part")
_INSTALL = "pip install 'mapcount[kernels]'"


def read_section(image: Path, name: str) -> bytes:
    """
    Return a section of the ELF file inside a bzImage.

    Raises KernelImageError if the image is none, is damaged, or lacks the section; MissingToolError if the package that
    decompresses it is not installed.
    """
    return _read(image, lambda elf: _section(elf, name))


def read_pvh_kernel(image: Path) -> bytes | None:
    """
    Return the ELF file inside a bzImage if a machine can start it directly, so that it need not unpack itself; else None.

    It says so in a note of Xen's that gives a 32-bit entry (CONFIG_PVH; arch/x86/platform/pvh/head.S).
    """
    try:
        return _read(image, lambda elf: elf if _PVH_NOTE.search(_section(elf, ".notes")) else None)
    except (KernelImageError, MissingToolError):
        return None


def _read(image: Path, part: Callable[[bytes], _Part]) -> _Part:
    try:
        data = image.read_bytes()
    except OSError as error:
        raise KernelImageError(f"{image} cannot be read: {error.strerror}") from error
    try:
        return part(_decompress(_payload(data)))
    except (struct.error, ValueError, IndexError, zlib.error, lzma.LZMAError, RuntimeError) as error:
        raise KernelImageError(f"{image}: the kernel in it cannot be unpacked ({error}); fetch it again") from error
    except KernelImageError as error:
        raise KernelImageError(f"{image}: {error}") from error


def _payload(data: bytes) -> bytes:
    if data[_MAGIC_AT : _MAGIC_AT + 4] != b"HdrS":
        raise KernelImageError("no kernel image for x86 (bzImage): it has no boot header")
    offset, length = struct.unpack_from("<II", data, _PAYLOAD_AT)
    # 0 sectors stand for 4; one more is the boot sector.
    start = ((data[_SETUP_SECTORS_AT] or 4) + 1) * _SECTOR_BYTES + offset
    return data[start : start + length]


def _decompress(payload: bytes) -> bytes:
    for magic, decompress in _FORMATS.items():
        if payload.startswith(magic):
            return decompress(payload)
    raise KernelImageError(f"its payload begins with {payload[:6].hex()}: compressed in a way that is not known here")


def _xz(payload: bytes) -> bytes:
    return lzma.LZMADecompressor().decompress(payload)


def _lzma(payload: bytes) -> bytes:
    return lzma.LZMADecompressor(lzma.FORMAT_ALONE).decompress(payload)


def _gzip(payload: bytes) -> bytes:
    return zlib.decompressobj(31).decompress(payload)


def _zstd(payload: bytes) -> bytes:
    try:
        import zstandard
    except ImportError as error:
        raise MissingToolError(f"the kernel is compressed with zstd: {_INSTALL}") from error
    try:
        return zstandard.ZstdDecompressor().decompressobj().decompress(payload)
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error


def _lz4(payload: bytes) -> bytes:
    # The legacy frame: blocks of 8 MiB, each after its length; the last 4 bytes are the kernel's own.
    try:
        import lz4.block
    except ImportError as error:
        raise MissingToolError(f"the kernel is compressed with LZ4: {_INSTALL}") from error
    at, blocks = 4, []
    while at + 4 <= len(payload) - 4:
        (length,) = struct.unpack_from("<I", payload, at)
        block = payload[at + 4 : at + 4 + length]
        try:
            blocks.append(lz4.block.decompress(block, uncompressed_size=_LZ4_BLOCK_BYTES))
        except lz4.block.LZ4BlockError as error:
            raise ValueError(str(error)) from error
        at += 4 + length
    return b"".join(blocks)


_FORMATS: dict[bytes, Callable[[bytes], bytes]] = {
    b"\xfd7zXZ": _xz,
    b"\x5d\x00\x00": _lzma,
    b"\x1f\x8b": _gzip,
    b"\x28\xb5\x2f\xfd": _zstd,
    b"\x02\x21\x4c\x18": _lz4,
}


def _section(elf: bytes, name: str) -> bytes:
    if elf[:5] != b"\x7fELF\x02":
        raise KernelImageError("what its payload unpacks to is no 64-bit ELF file")
    (table,) = struct.unpack_from("<Q", elf, 40)
    size, number, names = struct.unpack_from("<HHH", elf, 58)
    headers = [struct.unpack_from("<IIQQQQ", elf, table + size * i) for i in range(number)]
    texts = headers[names][4]
    for text, _, _, _, offset, length in headers:
        if elf[texts + text : elf.index(b"\0", texts + text)] == name.encode():
            return elf[offset : offset + length]
    raise KernelImageError(f"it has no section {name}: built without CONFIG_DEBUG_INFO_BTF?")
