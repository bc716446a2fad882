"""Memory made by hand, read by virtual address, by frame and by process."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.guest_ram import FRAMES, PAGE_OFFSET, VMEMMAP, Ram
from mapcount.errors import GuestError


def test_reads_cross_pages_that_lie_apart():
    ram = Ram()
    one, other = ram.frame(), ram.frame()
    ram.map(0, 0xFFFF900000000000, one << 12 | 1)
    ram.map(0, 0xFFFF900000001000, other << 12 | 1)
    ram.bytes[(one << 12) + 4091 : (one << 12) + 4096] = list(b"first")
    ram.bytes[other << 12 : (other << 12) + 6] = list(b"second")
    memory = ram.memory()
    assert memory.read(0xFFFF900000000FFB, 11) == b"firstsecond"
    assert memory.u64(0xFFFF900000001000) == int.from_bytes(b"second\0\0", "little")


@pytest.mark.parametrize("shift", [21, 30])
def test_large_entries_of_the_kernel(shift):
    ram = Ram()
    # Frame 5 as seen by an entry that maps 2 MiB, or 1 GiB, from address 0 on.
    ram.map(0, 0xFFFF900000000000, 0x81, shift=shift)
    ram.bytes[5 << 12 : (5 << 12) + 4] = list(b"here")
    assert ram.memory().read(0xFFFF900000005000, 4) == b"here"


def test_what_is_not_mapped_is_an_error():
    with pytest.raises(GuestError, match="nothing mapped at 0xffff900000000123"):
        Ram().memory().u64(0xFFFF900000000123)


def test_memory_of_a_process_is_read_by_its_own_table_as_it_is_now():
    ram = Ram()
    top, frames = ram.task(31), [ram.frame() for _ in range(3)]
    ram.map(top, 0x7000_0000_0000, frames[0] << 12 | 0x67)
    ram.map(top, 0x7000_0000_1000, frames[1] << 12 | 0x67 | 1 << 63)
    for frame, byte in zip(frames, b"xyz", strict=True):
        ram.bytes[frame << 12 : (frame + 1) << 12] = byte
    memory = ram.memory()
    table = memory.page_table_of(memory.mm_of(31))
    assert memory.read_user(table, 0x7000_0000_0FFE, 5) == b"xxyyy"
    ram.map(top, 0x7000_0000_1000, frames[2] << 12 | 0x67)
    assert memory.read_user(table, 0x7000_0000_0FFE, 5) == b"xxzzz"
    with pytest.raises(GuestError, match="nothing mapped at 0x700000002000"):
        memory.read_user(table, 0x7000_0000_1FFF, 2)


def test_moved_bases_are_read_from_their_symbols():
    ram = Ram()
    frame = ram.frame()
    ram.map(0, data := 0xFFFFFFFF82000000, frame << 12 | 1)
    ram.u64(frame << 12, VMEMMAP + (5 << 30))
    ram.u64((frame << 12) + 8, PAGE_OFFSET + (7 << 30))
    memory = ram.memory(vmemmap_base=data, page_offset_base=data + 8)
    assert memory.page_address(3) == VMEMMAP + (5 << 30) + 192
    assert memory.pfn_of_page(memory.page_address(1999)) == 1999


def test_struct_pages_come_by_frame_wherever_they_lie():
    ram = Ram(seed=7)
    for pfn in (0, 61, 62, 63, 64, 65, 1031, FRAMES - 1):
        ram.word(pfn, 48, "i", 1000 + pfn)
    memory = ram.memory()
    assert memory.pages(61, 5)[:, 48:52].copy().view("<i4")[:, 0].tolist() == [1061, 1062, 1063, 1064, 1065]
    assert memory.pages(FRAMES - 1, 1)[0, 48:52].tobytes() == (1000 + FRAMES - 1).to_bytes(4, "little")
    with pytest.raises(GuestError, match=f"no struct page for frame {FRAMES}"):
        memory.pages(FRAMES - 1, 2)


def test_a_hole_in_the_memory_map_is_an_error():
    ram = Ram()
    ram.map(0, VMEMMAP + (3 << 12), 0)
    memory = ram.memory()
    memory.pages(191, 1)
    with pytest.raises(GuestError, match="no struct page for frame 192"):
        memory.pages(191, 2)


folios = st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=17)


@given(folios, st.integers(0, 99))
def test_heads_of_folios_by_address_or_by_mask(sizes, seed):
    ram, expected, pfn = Ram(seed=seed), {}, 1024
    for order, by_mask in sizes:
        pfn += -pfn % (1 << order)
        for page in range(pfn, pfn + (1 << order)):
            expected[page] = pfn
            if page != pfn:
                # What makes the head's address of the tail's own, and bit 0.
                mask = ((1 << 64) - (64 << order)) | 1
                ram.word(page, 8, "Q", mask if by_mask else (VMEMMAP + pfn * 64) | 1)
        pfn += 1 << order
    pages = np.array(sorted(expected), np.int64)
    assert ram.memory().heads(pages).tolist() == [expected[page] for page in pages.tolist()]


def test_processes_are_found_by_pid():
    ram = Ram()
    tops = {pid: ram.task(pid, mm_id=pid * 3) for pid in (0, 1, 131, 57)}
    memory = ram.memory()
    for pid, top in tops.items():
        mm = memory.mm_of(pid)
        assert memory.page_table_of(mm) == top << 12
        assert memory.mm_id_of(mm) == pid * 3
    with pytest.raises(GuestError, match="no process 58"):
        memory.mm_of(58)


def test_all_processes_are_found_and_which_of_them_share_an_mm():
    ram = Ram()
    for pid in (0, 1, 131):
        ram.task(pid)
    ram.task_of(2, 0)
    ram.task_of(57, ram.mms[131])
    assert ram.memory().all_mms() == {1: ram.mms[1], 131: ram.mms[131], 2: 0, 57: ram.mms[131]}


def test_the_huge_zero_folio_by_either_name():
    ram = Ram()
    frame = ram.frame()
    ram.map(0, data := 0xFFFFFFFF82000000, frame << 12 | 1)
    assert ram.memory(huge_zero_folio=data).huge_zero_pfn() == -1
    ram.u64(frame << 12, VMEMMAP + 1536 * 64)
    assert ram.memory(huge_zero_page=data).huge_zero_pfn() == 1536
    assert ram.memory(huge_zero_folio=data).huge_zero_pfn() == 1536
    assert ram.memory().huge_zero_pfn() == -1
