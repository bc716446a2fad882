"""Page tables of a process, made entry by entry: what maps, of which frame, and what does not."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.guest_ram import Ram
from mapcount.kernels.guest_tables import read_entries
from mapcount.mapping.schema import Level
from mapcount.scenarios.steps import AREA_BASE, AREAS, area_address

FRAME_BITS = 0x000FFFFFFFFFF000
frames = st.integers(0, (1 << 40) - 1)
# Bits that say nothing about what is mapped: write, user, accessed, dirty, soft dirty, and no-execute.
noise = st.integers(0, (1 << 64) - 1).map(lambda bits: bits & (0x0E << 60 | 1 << 63 | 0x66))
present = st.tuples(st.just("present"), frames, noise)
no_access = st.tuples(st.just("none"), frames, noise)
# Swap and migration entries: neither present, nor without access (bit 8), nor large (bit 7), and never 0.
special = st.tuples(st.just("special"), st.integers(1, (1 << 55) - 1), st.just(0))
entries = st.one_of(present, no_access, special)
places = st.tuples(st.sampled_from(AREAS), st.integers(0, 3 * 512 - 1) | st.integers((1 << 20) - 512, (1 << 20) - 1))


def encoded(kind, number, bits):
    if kind == "special":
        return number << 9
    frame = number << 12
    if kind == "none":
        # Bit 8 and not bit 0; the frame's bits are the other way round (L1TF).
        return (frame ^ FRAME_BITS) | 1 << 8 | bits & ~1
    return frame | 1 | bits


def as_rows(found):
    return list(zip(found.page.tolist(), found.pfn.tolist(), found.level.tolist(), strict=True))


@given(st.dictionaries(places, entries, max_size=31))
def test_ptes(wanted):
    ram = Ram()
    top = ram.frame()
    rows, nothing = [], 0
    for (area, page), entry in wanted.items():
        ram.map(top, area_address(area, page), encoded(*entry))
        if entry[0] == "special":
            nothing += 1
        else:
            rows.append((area_address(area, page) >> 12, entry[1], Level.PTE))
    found = read_entries(ram.memory(), top << 12)
    assert as_rows(found) == sorted(rows)
    assert found.special == nothing


@given(st.dictionaries(st.sampled_from(AREAS), st.one_of(present, no_access), max_size=3))
@settings(max_examples=20, deadline=None)
def test_puds(wanted):
    """The second GiB of some areas is one entry; a PTE in the first is found beside it."""
    ram = Ram()
    top = ram.frame()
    rows = []
    for area, (kind, number, bits) in wanted.items():
        first = number >> 18 << 18
        ram.map(top, area_address(area, 1 << 18), encoded(kind, first, bits) | 1 << 7, shift=30)
        ram.map(top, area_address(area, 7), encoded("present", 13, 0))
        page = area_address(area) >> 12
        rows += [(page + 7, 13, Level.PTE)]
        rows += [(page + (1 << 18) + i, first + i, Level.PUD) for i in (0, 131, (1 << 18) - 1)]
    found = read_entries(ram.memory(), top << 12)
    assert len(found.page) == len(wanted) * ((1 << 18) + 1)
    at = np.searchsorted(found.page, [page for page, _, _ in rows])
    assert [(int(found.page[i]), int(found.pfn[i]), int(found.level[i])) for i in at] == rows
    assert found.special == 0


@given(st.dictionaries(st.tuples(st.sampled_from(AREAS), st.integers(0, 5)), entries, max_size=13))
def test_pmds(wanted):
    ram = Ram()
    top = ram.frame()
    rows, nothing = [], 0
    for (area, pmd), (kind, number, bits) in wanted.items():
        first = number & -512
        entry = encoded(kind, number if kind == "special" else first, bits)
        if kind == "present":
            entry |= (bits & 2) << 11  # PAT, as writable: it lies below the frame of a large entry
        ram.map(top, area_address(area, pmd * 512), entry if kind == "special" else entry | 1 << 7, shift=21)
        if kind == "special":
            nothing += 1
        else:
            page = area_address(area, pmd * 512) >> 12
            rows += [(page + i, first + i, Level.PMD) for i in range(512)]
    found = read_entries(ram.memory(), top << 12)
    assert as_rows(found) == sorted(rows)
    assert found.special == nothing


anywhere = st.integers(0, (1 << 35) - 1)
"""Page numbers of user space."""


@given(st.dictionaries(anywhere, entries, max_size=13))
def test_all_of_user_space(wanted):
    ram = Ram()
    top = ram.frame()
    rows, others = [], []
    for page, entry in wanted.items():
        ram.map(top, page << 12, encoded(*entry))
        if entry[0] == "special":
            others.append((page, encoded(*entry)))
        else:
            rows.append((page, entry[1], Level.PTE))
    ram.map(top, 1 << 47, 5 << 12 | 1)  # the kernel's half
    found = read_entries(ram.memory(), top << 12, everywhere=True)
    assert as_rows(found) == sorted(rows)
    assert list(zip(found.other_page.tolist(), found.other_entry.tolist(), strict=True)) == sorted(others)


def test_what_lies_outside_of_the_areas_is_not_seen():
    ram = Ram()
    top = ram.frame()
    ram.map(top, AREA_BASE - 4096, 5 << 12 | 1)
    ram.map(top, area_address(AREAS[-1], 1 << 20), 7 << 12 | 1)
    assert as_rows(read_entries(ram.memory(), top << 12)) == []
