"""The kernel proper out of a bzImage: every compression, and images that are none."""

from __future__ import annotations

import struct
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.boot_files import alone, bzimage, elf, gzipped, lz4_legacy, xz, zstd
from mapcount.errors import KernelImageError, MissingToolError
from mapcount.kernels.vmlinux import read_pvh_kernel, read_section

COMPRESSIONS = [gzipped, xz, alone, zstd, lz4_legacy]
BTF = bytes(range(251)) * 3


@pytest.mark.parametrize("compress", COMPRESSIONS)
@pytest.mark.parametrize("setup_sectors", [0, 3, 31])
def test_a_section_comes_out_as_it_went_in(tmp_path, compress, setup_sectors):
    path = tmp_path / "vmlinuz"
    payload = compress(elf({".text": b"\x90" * 499, ".BTF": BTF, ".BTF_ids": b"no"}))
    path.write_bytes(bzimage(payload, setup_sectors=setup_sectors))
    assert read_section(path, ".BTF") == BTF
    assert read_section(path, ".text") == b"\x90" * 499


def test_an_lz4_payload_of_several_blocks(tmp_path):
    # A block is 8 MiB: the section lies across the border of two.
    path = tmp_path / "vmlinuz"
    path.write_bytes(bzimage(lz4_legacy(elf({".text": bytes((8 << 20) - 211), ".BTF": BTF}))))
    assert read_section(path, ".BTF") == BTF


@pytest.mark.parametrize("compress", COMPRESSIONS)
def test_a_kernel_without_btf_says_what_it_was_built_without(tmp_path, compress):
    path = tmp_path / "vmlinuz"
    path.write_bytes(bzimage(compress(elf({".text": b"\x90"}))))
    with pytest.raises(
        KernelImageError, match=r"vmlinuz: it has no section \.BTF: built without CONFIG_DEBUG_INFO_BTF"
    ):
        read_section(path, ".BTF")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no kernel image for x86"),
        (b"\x7fELF" + bytes(5000), "no kernel image for x86"),
        (bzimage(b"\x42\x5a\x68 bzip2, say"), "payload begins with 425a68"),
        (bzimage(gzipped(b"#!/bin/sh\n" * 10)), "no 64-bit ELF"),
        (bzimage(gzipped(elf({".BTF": BTF})[:90])), "cannot be unpacked"),
    ],
)
def test_what_is_no_kernel_is_said(tmp_path, data, said):
    path = tmp_path / "vmlinuz"
    path.write_bytes(data)
    with pytest.raises(KernelImageError, match=said):
        read_section(path, ".BTF")


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(KernelImageError, match="none cannot be read: No such file"):
        read_section(tmp_path / "none", ".BTF")


@pytest.mark.parametrize(("module", "compress"), [("zstandard", zstd), ("lz4.block", lz4_legacy)])
def test_without_the_library_it_says_what_to_install(tmp_path, monkeypatch, module, compress):
    path = tmp_path / "vmlinuz"
    path.write_bytes(bzimage(compress(elf({".BTF": BTF}))))
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingToolError, match=r"pip install 'mapcount\[kernels\]'"):
        read_section(path, ".BTF")


def note(name, kind, descriptor):
    """Return a note of an ELF file."""
    return struct.pack("<III", len(name), len(descriptor), kind) + name + descriptor


BUILD_ID, ENTRY = note(b"GNU\0", 3, b"\x12" * 20), note(b"Xen\0", 18, bytes(8))


@pytest.mark.parametrize("compress", COMPRESSIONS)
@pytest.mark.parametrize(
    ("notes", "starts"),
    [
        (BUILD_ID + ENTRY, True),
        (note(b"Xen\0", 18, bytes(4)) + BUILD_ID, True),
        (BUILD_ID, False),
        (BUILD_ID + note(b"Xen\0", 1, bytes(8)), False),
        (None, False),
    ],
)
def test_a_kernel_that_says_where_it_is_entered_is_started_unpacked(tmp_path, compress, notes, starts):
    kernel = elf({".text": b"\x90" * 499} | ({} if notes is None else {".notes": notes}))
    (tmp_path / "vmlinuz").write_bytes(bzimage(compress(kernel)))
    unpacked = read_pvh_kernel(tmp_path / "vmlinuz")
    assert unpacked[: len(kernel)] == kernel if starts else unpacked is None


def test_what_cannot_be_unpacked_is_left_to_qemu(tmp_path):
    (tmp_path / "vmlinuz").write_bytes(bzimage(b"\x42\x5a\x68 bzip2, say"))
    assert read_pvh_kernel(tmp_path / "vmlinuz") is None
    assert read_pvh_kernel(tmp_path / "none") is None


@given(st.sampled_from(COMPRESSIONS), st.data())
def test_a_damaged_payload_is_an_error_for_people(tmp_path_factory, compress, data):
    payload = compress(elf({".text": bytes(range(256)) * 7, ".BTF": BTF}))
    at = data.draw(st.integers(0, len(payload) - 5))
    damaged = data.draw(st.sampled_from([payload[:at], payload[:at] + bytes([payload[at] ^ 0x5A]) + payload[at + 1 :]]))
    path = tmp_path_factory.mktemp("damaged") / "vmlinuz"
    path.write_bytes(bzimage(damaged))
    try:
        found = read_section(path, ".BTF")
    except KernelImageError:
        return
    # What has no checksum may come out changed, never as something else.
    assert isinstance(found, bytes)
