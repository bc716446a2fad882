"""Page frames read on demand: every folio known whole, each frame read about once, never the whole memory."""

import contextlib
import os
import tempfile
from collections import Counter
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capture.fake_machine import FakeMachine
from capture.frames import folio_lists, write_frames
from mapcount.capture.kpage import HEAD, KIND_MASK, READ, ROLE_MASK, SMALL, TAIL, KpageFiles, open_kpage_files
from mapcount.capture.physical import PhysicalPages
from mapcount.mapping.schema import Kind

NR_PFNS = 2048


def u64(values):
    return np.array(list(values), np.uint64)


@contextlib.contextmanager
def counted_reads(fd):
    """Count how often each frame of a kpage file is read meanwhile."""
    times, pread, preadv = Counter(), os.pread, os.preadv

    def note(of, offset, got):
        if of == fd:
            times.update(range(offset // 8, (offset + got) // 8))

    def counting_pread(of, size, offset):
        data = pread(of, size, offset)
        note(of, offset, len(data))
        return data

    def counting_preadv(of, buffers, offset, *flags):
        got = preadv(of, buffers, offset, *flags)
        note(of, offset, got)
        return got

    with mock.patch.object(os, "pread", counting_pread), mock.patch.object(os, "preadv", counting_preadv):
        yield times


@contextlib.contextmanager
def opened(machine):
    files = machine.files()
    try:
        yield PhysicalPages(files)
    finally:
        files.close()


@st.composite
def lessons(draw):
    """A list of folios, mappings of some frames, and batches of frames to learn, each frame mapped."""
    folios = draw(folio_lists(NR_PFNS))
    frames = [pfn for head, order, _, _ in folios for pfn in range(head, head + (1 << order))]
    batches = []
    for _ in range(draw(st.integers(1, 3)) if frames else 0):
        batch = []
        for _ in range(draw(st.integers(1, 7))):
            at = draw(st.integers(0, len(frames) - 1))
            batch += frames[at : at + draw(st.sampled_from([1, 1, 2, 5, 16, 61]))]
        batches.append(draw(st.permutations(batch)) if draw(st.booleans()) else batch)
    counts = {pfn: 1 + pfn % 3 for batch in batches for pfn in batch}
    return folios, counts, batches


@given(lessons())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_folio_of_a_learned_frame_is_known_whole(lesson):
    folios, counts, batches = lesson
    with tempfile.TemporaryDirectory() as directory:
        machine = write_frames(Path(directory), folios, counts, NR_PFNS)
        with opened(machine) as physical:
            known = set()
            for batch in batches:
                with counted_reads(physical._files.flags_fd) as times:
                    physical.learn(u64(batch))
                known |= {pfn for page in batch for pfn in machine.folios[page].pages}
                check_known(machine, physical, known)
                check_cost(machine, times, batch)
            with counted_reads(physical._files.flags_fd) as times:
                physical.learn(u64(known))
            stray = {pfn for pfn in known if machine.folios[pfn].order == 0 and not counts.get(pfn)}
            assert set(times) <= stray | {pfn + 1 for pfn in stray}, "what is known is not read again"


def check_known(machine, physical, known):
    pfns = u64(sorted(known))
    truth = [machine.folios[int(pfn)] for pfn in pfns]
    assert physical.heads_of(pfns).tolist() == [folio.head for folio in truth]
    heads = u64(sorted({folio.head for folio in truth if folio.order}))
    assert physical.orders_of(heads).tolist() == [machine.folios[int(head)].order for head in heads]
    large = u64(pfn for pfn in sorted(known) if machine.folios[int(pfn)].order)
    assert (physical.classes[large] & READ != 0).all()
    mapped = machine.mappings()
    told = [machine.count(int(pfn), mapped) for pfn in pfns]
    assert physical.counts[pfns].tolist() == told
    inodes = [physical.cgroup_inodes[code] for code in physical.cgroups[pfns]]
    assert inodes == [folio.cgroup for folio in truth]
    kinds = [Kind(int(kind)).name.lower() for kind in physical.kinds_of(large)]
    assert kinds == [machine.folios[int(pfn)].kind for pfn in large]


def check_cost(machine, times, batch):
    """
    Nothing far from what was asked for, and little more than the folios.

    More than once is read: the frame past the end of a read, which shows whether the folio goes on; and what was asked for
    in the middle of a folio, when the rest of it is read around it.
    """
    touched = {machine.folios[page].head: machine.folios[page] for page in batch}
    wanted = {pfn for folio in touched.values() for pfn in folio.pages}
    assert sum(times.values()) <= 4 * len(wanted) + 40 * len(touched)
    largest = max((len(folio.pages) for folio in touched.values()), default=1)
    assert all(min(wanted) - 16 - largest <= pfn <= max(wanted) + 16 + largest for pfn in times)


def test_one_page_of_a_large_folio_does_not_read_the_memory_around_it(tmp_path):
    machine = FakeMachine(tmp_path, 1 << 14)
    for head in range(0, 1 << 14, 64):
        machine.add_folio(head, 6, "anon")
    machine.unseen[64 * 101 + 29] = 1
    machine.write()
    with opened(machine) as physical, counted_reads(physical._files.flags_fd) as times:
        physical.learn(u64([64 * 101 + 29]))
        assert physical.orders_of(physical.heads_of(u64([64 * 101 + 29]))).tolist() == [6]
    assert sum(times.values()) <= 3 * 64
    assert physical.bytes_read <= 3 * 3 * 64 * 8


@pytest.mark.parametrize(("order", "nr_pfns"), [(4, 48), (3, 40), (1, 34)])
def test_a_folio_at_the_very_end_of_memory(tmp_path, order, nr_pfns):
    folios = [(0, 4, "anon", 7), (16, 4, "shmem", 9), (32, order, "file", 7)]
    with opened(write_frames(tmp_path, folios, {32: 1, 3: 2, nr_pfns - 1: 1}, nr_pfns)) as physical:
        physical.learn(u64([32, 3]))
        physical.learn(u64([nr_pfns - 1]))
        assert physical.heads_of(u64([nr_pfns - 1, 3, 15])).tolist() == [32, 0, 0]
        assert physical.orders_of(u64([0, 32])).tolist() == [4, order]


@pytest.mark.parametrize("by_pmd", [False, True])
def test_a_folio_of_1_gib(tmp_path, by_pmd):
    """hugetlb's largest on x86-64: 2^18 pages, found from any of them."""
    head, size = 1 << 18, 1 << 18
    flags = np.zeros(2 * size + 3, np.uint64)
    flags[head : head + size] = 1 << 17 | 1 << 16
    flags[head] = 1 << 17 | 1 << 15
    flags.tofile(tmp_path / "kpageflags")
    (flags > 0).astype(np.uint64).tofile(tmp_path / "kpagecount")
    files = open_kpage_files(str(tmp_path))
    try:
        physical = PhysicalPages(files)
        if by_pmd:
            for pfn in range(head, head + size, 512):
                physical.learn_pmd(pfn, 512, all_counts=False)
        else:
            physical.learn(u64([head + 100_003]))
    finally:
        files.close()
    assert physical.heads_of(u64([head, head + 1, head + 100_003, head + size - 1])).tolist() == [head] * 4
    assert physical.orders_of(u64([head])).tolist() == [18]
    assert physical.kinds_of(u64([head + 513])).tolist() == [Kind.HUGETLB]


def test_a_tail_without_a_head_is_its_own(tmp_path):
    """GIVEN flags that were torn while they were read: tails whose head is another folio's or gone."""
    machine = write_frames(tmp_path, [(8, 3, "anon", 7), (16, 1, "anon", 7), (24, 3, "anon", 7)], {9: 1})
    words = np.fromfile(tmp_path / "kpageflags", np.uint64)
    words[24] = 0
    words[20] = words[17]
    words.tofile(tmp_path / "kpageflags")
    with opened(machine) as physical:
        physical.learn(u64([9, 17, 20, 27]))
        assert physical.heads_of(u64([9, 17, 20, 27])).tolist() == [8, 16, 20, 27]


@pytest.mark.parametrize("all_counts", [False, True])
def test_a_pmd_costs_its_head_alone_unless_all_counts_are_asked_for(tmp_path, all_counts):
    counts = {512 + i: 1 + (i > 100) for i in range(512)}
    machine = write_frames(tmp_path, [(512, 9, "anon", 11), (1024, 9, "zero", 7)], counts)
    with opened(machine) as physical:
        with counted_reads(physical._files.flags_fd) as flags, counted_reads(physical._files.count_fd) as told:
            physical.learn_pmd(512, 512, all_counts=all_counts)
            physical.learn_pmd(512, 512, all_counts=all_counts)
        assert flags == {512: 1}
        assert told == {512 + i: 1 for i in range(512 if all_counts else 1)}
        inside = np.arange(513, 1024, dtype=np.uint64)
        assert set(physical.heads_of(inside).tolist()) == {512}
        assert physical.orders_of(u64([512])).tolist() == [9]
        assert physical.cgroup_inodes[physical.cgroups[512]] == 11
        assert ((physical.classes[inside] & READ != 0) == all_counts).all()
        if all_counts:
            assert physical.counts[512:1024].tolist() == [counts[512 + i] for i in range(512)]
        else:
            physical.learn(u64([700]))  # a PTE shows that a part of it is mapped elsewhere: now all of it is read
            assert physical.counts[512:1024].tolist() == [counts[512 + i] for i in range(512)]
        physical.learn_pmd(1024, 512, all_counts=False)
        assert (physical.classes[1024:1536] & KIND_MASK == Kind.ZERO).all()


def test_what_was_forgotten_is_read_again(tmp_path):
    machine = write_frames(tmp_path, [(64, 4, "anon", 7)], {64 + i: 1 for i in range(16)})
    with opened(machine) as physical:
        physical.learn(u64([70]))
        machine.folios.clear()
        machine.add_folio(64, 3, "shmem")
        machine.unseen.update({70: 4})
        machine.write()
        physical.learn(u64([70]))
        assert physical.orders_of(u64([64])).tolist() == [4]
        physical.forget(np.arange(64, 80, dtype=np.uint64))
        physical.learn(u64([70]))
        assert physical.orders_of(u64([64])).tolist() == [3]
        assert physical.counts[70] == 5
        assert (physical.classes[64] & ROLE_MASK, physical.classes[65] & ROLE_MASK) == (HEAD, TAIL)


def test_a_folio_that_took_frames_known_as_small_pages(tmp_path):
    """GIVEN small pages that were read, freed, and became the first half of a folio, of which the second half is mapped."""
    machine = write_frames(tmp_path, [(64 + i, 0, "file", 7) for i in range(8)], {64 + i: 1 for i in range(8)})
    with opened(machine) as physical:
        physical.learn(np.arange(64, 72, dtype=np.uint64))
        machine.folios.clear()
        machine.add_folio(64, 4, "anon")
        machine.unseen.clear()
        machine.unseen.update({72 + i: 1 for i in range(8)})
        machine.write()
        physical.learn(np.arange(72, 80, dtype=np.uint64))
        assert set(physical.heads_of(np.arange(64, 80, dtype=np.uint64)).tolist()) == {64}
        assert physical.orders_of(u64([64])).tolist() == [4]
        assert physical.counts[64:80].tolist() == [0] * 8 + [1] * 8


def test_free_frames_read_along_are_not_remembered(tmp_path):
    """GIVEN two mapped frames with free ones between, that are read in one go; one of these is mapped later."""
    machine = write_frames(tmp_path, [(100, 0, "anon", 7), (106, 0, "anon", 7)], {100: 1, 106: 1})
    with opened(machine) as physical:
        physical.learn(u64([100, 106]))
        machine.add_folio(103, 0, "shmem", cgroup=9)
        machine.unseen[103] = 2
        machine.write()
        physical.learn(u64([103]))
        assert (physical.classes[103] & KIND_MASK, physical.counts[103]) == (Kind.SHMEM, 2)


def test_reserved_pages_that_are_counted_are_files(tmp_path):
    """The vdso: reserved, yet mapped and counted page by page."""
    machine = write_frames(tmp_path, [(100, 0, "device", 0), (101, 0, "device", 0)], {})
    counts = np.fromfile(tmp_path / "kpagecount", np.uint64)
    counts[100] = 37
    counts.tofile(tmp_path / "kpagecount")
    with opened(machine) as physical:
        physical.learn(u64([100, 101]))
        assert [Kind(int(kind)) for kind in physical.kinds_of(u64([100, 101]))] == [Kind.FILE, Kind.DEVICE]
        assert (physical.classes[100:102] & ROLE_MASK).tolist() == [SMALL, SMALL]


def test_without_kpagecount_and_kpagecgroup_the_rest_is_told(tmp_path):
    write_frames(tmp_path, [(64, 4, "anon", 7), (80, 0, "file", 7)], {66: 1, 80: 1})
    flags_fd = os.open(tmp_path / "kpageflags", os.O_RDONLY)
    try:
        physical = PhysicalPages(KpageFiles(flags_fd, -1, -1, NR_PFNS))
        physical.learn(u64([66, 80]))
    finally:
        os.close(flags_fd)
    assert not physical.has_counts
    assert physical.orders_of(u64([64])).tolist() == [4]
    assert physical.cgroup_inodes == [0] and not physical.counts.any()
    assert physical.classes[80] & READ
