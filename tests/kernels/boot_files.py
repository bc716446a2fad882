"""A bzImage around an ELF file with sections, for tests."""

from __future__ import annotations

import gzip
import lzma
import struct

SETUP_SECTORS = 7


def elf(sections):
    """Return a 64-bit ELF file that has nothing but sections, by name."""
    names = b"\0" + b"".join(name.encode() + b"\0" for name in [*sections, ".shstrtab"])
    parts = [*sections.items(), (".shstrtab", names)]
    data, headers, at = b"", [(0, 0, 0, 0, 0, 0)], 64
    for name, part in parts:
        headers.append((names.index(b"\0" + name.encode() + b"\0") + 1, 1, 0, 0, at + len(data), len(part)))
        data += part
    table = b"".join(struct.pack("<IIQQQQIIQQ", *header, 0, 0, 1, 0) for header in headers)
    head = b"\x7fELF\x02\x01\x01" + bytes(9)
    head += struct.pack(
        "<HHIQQQIHHHHHH", 2, 62, 1, 0, 0, at + len(data), 0, 64, 0, 0, 64, len(headers), len(headers) - 1
    )
    return head + data + table


def bzimage(payload, *, setup_sectors=SETUP_SECTORS, gap=37):
    """Return a kernel image with a payload; 0 setup sectors stand for 4."""
    setup = bytearray(((setup_sectors or 4) + 1) * 512)
    setup[0x1F1] = setup_sectors
    setup[0x202:0x206] = b"HdrS"
    struct.pack_into("<II", setup, 0x248, gap, len(payload))
    return bytes(setup) + b"\xcc" * gap + payload + b"\xdd" * 11


def gzipped(data):
    """Compress as CONFIG_KERNEL_GZIP does: the length follows, in all of these."""
    return gzip.compress(data) + struct.pack("<I", len(data))


def xz(data):
    """CONFIG_KERNEL_XZ."""
    return lzma.compress(data, check=lzma.CHECK_CRC32) + struct.pack("<I", len(data))


def alone(data):
    """CONFIG_KERNEL_LZMA."""
    return lzma.compress(data, lzma.FORMAT_ALONE) + struct.pack("<I", len(data))


def zstd(data):
    """CONFIG_KERNEL_ZSTD."""
    import zstandard

    # As a stream: the frame does not say how long its content is.
    compressor = zstandard.ZstdCompressor().compressobj()
    return compressor.compress(data) + compressor.flush() + struct.pack("<I", len(data))


def lz4_legacy(data, block_bytes=8 << 20):
    """CONFIG_KERNEL_LZ4."""
    import lz4.block

    out = b"\x02\x21\x4c\x18"
    for at in range(0, len(data), block_bytes):
        block = lz4.block.compress(data[at : at + block_bytes], store_size=False)
        out += struct.pack("<I", len(block)) + block
    return out + struct.pack("<I", len(data))
