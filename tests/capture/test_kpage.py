"""Flag words of pages: each combination against a reading of the kernel's documentation, word by word; the files' end."""

import os
import tempfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from live.conftest import why_not_live
from mapcount.capture.kpage import (
    HEAD,
    KIND_MASK,
    ROLE_MASK,
    SMALL,
    SWAPCACHE,
    TAIL,
    classify,
    open_kpage_files,
)
from mapcount.mapping.schema import Kind

# Documentation/admin-guide/mm/pagemap.rst; 32 and above: include/linux/kernel-page-flags.h, in the same order.
NAMES = """
locked error referenced uptodate dirty lru active slab writeback reclaim buddy mmap anon swapcache swapbacked
compound_head compound_tail huge unevictable hwpoison nopage ksm thp offline zero_page idle pgtable
"""
KERNEL_NAMES = "reserved mlocked owner_2 private private_2 owner_priv arch uncached softdirty arch_2"
BITS = {name: bit for bit, name in enumerate(NAMES.split())} | {
    name: 32 + bit for bit, name in enumerate(KERNEL_NAMES.split())
}


def word_of(names):
    return sum(1 << BITS[name] for name in names)


def meaning(names):
    """(role, kind or None where it may not be believed, in the swap cache), as the documentation has it."""
    if "reserved" in names and "zero_page" not in names:
        return SMALL, Kind.DEVICE, False
    if "nopage" in names:
        role = SMALL
    elif "compound_tail" in names:
        role = TAIL
    else:
        role = HEAD if "compound_head" in names else SMALL
    rmap_knows_it = names & {"thp", "huge"} or not names & {"compound_head", "compound_tail"}
    if "zero_page" in names:
        kind = Kind.ZERO
    elif names & {"nopage", "offline"} or not rmap_knows_it:
        kind = Kind.DEVICE
    elif "huge" in names:
        kind = Kind.HUGETLB
    elif "ksm" in names:
        kind = Kind.KSM
    elif "anon" in names:
        kind = Kind.ANON
    else:
        kind = Kind.SHMEM if "swapbacked" in names else Kind.FILE
    if role == TAIL:
        return TAIL, kind if kind in (Kind.ZERO, Kind.DEVICE) else None, False
    return role, kind, "swapcache" in names


def told(class_byte):
    role = class_byte & ROLE_MASK
    kind = Kind(class_byte & KIND_MASK)
    if role == TAIL and kind not in (Kind.ZERO, Kind.DEVICE):
        assert class_byte == TAIL
        kind = None
    return role, kind, bool(class_byte & SWAPCACHE)


@given(st.lists(st.sets(st.sampled_from(list(BITS))), min_size=1, max_size=29))
def test_every_combination_of_flags_is_read_as_documented(pages):
    classes = classify(np.array([word_of(names) for names in pages], np.uint64))
    assert [told(int(byte)) for byte in classes] == [meaning(names) for names in pages]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        (0x1408000, (HEAD, Kind.ZERO, False)),  # the huge zero folio as Linux 6.18 shows it: its head
        (0x1410000, (TAIL, Kind.ZERO, False)),  # and its tails
        (1 << 24 | 1 << 32, (SMALL, Kind.ZERO, False)),  # the zero page is reserved
        (1 << 32, (SMALL, Kind.DEVICE, False)),
        (1 << 20, (SMALL, Kind.DEVICE, False)),  # ZONE_DEVICE and holes
        (0, (SMALL, Kind.FILE, False)),
        (word_of({"anon", "swapbacked", "swapcache", "thp", "compound_head", "mmap"}), (HEAD, Kind.ANON, True)),
        (word_of({"compound_head", "huge"}), (HEAD, Kind.HUGETLB, False)),
        (word_of({"compound_head", "slab"}), (HEAD, Kind.DEVICE, False)),
    ],
)
def test_words_seen_on_real_kernels(word, expected):
    assert told(int(classify(np.array([word], np.uint64))[0])) == expected


@given(st.integers(1, 5000))
def test_the_end_of_kpageflags_is_found(nr_pfns):
    with tempfile.TemporaryDirectory() as directory:
        with open(f"{directory}/kpageflags", "wb") as file:
            file.truncate(nr_pfns * 8)
        files = open_kpage_files(directory)
        files.close()
    assert (files.max_pfn, files.count_fd, files.cgroup_fd) == (nr_pfns, -1, -1)


def test_without_kpageflags_nothing_is_opened(tmp_path):
    (tmp_path / "kpagecount").write_bytes(bytes(8))
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(FileNotFoundError):
        open_kpage_files(str(tmp_path))
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.skipif(bool(why_not_live()), reason=why_not_live() or "live")
def test_the_end_of_the_real_file_is_where_reads_end():
    files = open_kpage_files()
    try:
        assert len(os.pread(files.flags_fd, 16, (files.max_pfn - 1) * 8)) == 8
        assert os.pread(files.flags_fd, 8, files.max_pfn * 8) == b""
        assert len(os.pread(files.count_fd, 16, (files.max_pfn - 1) * 8)) == 8
    finally:
        files.close()
