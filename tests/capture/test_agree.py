"""Mappings counted and compared with kpagecount, against a dictionary of frames."""

import itertools
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capture.frames import folio_lists, write_frames
from mapcount.capture.agree import Mappings, count_mappings, disagreement, runs_with, whole_folios
from mapcount.capture.frame_array import whole_blocks
from mapcount.capture.kpage import HEAD, READ, SMALL, TAIL, KpageFiles
from mapcount.capture.pagemap import spread
from mapcount.capture.physical import PhysicalPages
from mapcount.capture.runs import RawRuns
from mapcount.mapping.schema import Kind

BLOCK = 4096


def u64(values):
    return np.array(list(values), np.uint64)


def made_runs(rows):
    """Runs from (pfn, nr_pages); where they are mapped does not matter here."""
    pfns, sizes = u64(pfn for pfn, _ in rows), np.array([size for _, size in rows], np.uint32)
    return RawRuns(pfns, pfns, sizes, np.zeros(len(rows), np.uint8))


def nothing_known(nr_pfns):
    """Frames of which nothing has been read: every one stands for itself."""
    return PhysicalPages(KpageFiles(-1, -1, -1, nr_pfns))


def looked_at_frames(mappings):
    return [frame for span in mappings.batches() for frame in spread(*span[:2]).tolist()]


NR_PFNS = 70 * BLOCK + 13
SIZES = st.one_of(st.integers(1, 17), st.sampled_from([512, BLOCK, BLOCK + 1, 3 * BLOCK, 66 * BLOCK]))
PLACES = st.one_of(
    st.integers(0, NR_PFNS - 1), st.integers(0, 70).map(lambda block: block * BLOCK), st.integers(90, 101)
)
RUNS = st.lists(st.tuples(PLACES, SIZES).map(lambda run: (run[0], min(run[1], NR_PFNS - run[0]))), max_size=7)


@given(st.lists(RUNS, max_size=4))
@settings(max_examples=60, deadline=None)
def test_every_frame_is_counted_as_often_as_it_is_mapped(parts):
    expected = np.zeros(NR_PFNS, np.int64)
    for pfn, size in itertools.chain(*parts):
        expected[pfn : pfn + size] += 1
    mappings = count_mappings(nothing_known(NR_PFNS), [made_runs(rows) for rows in parts])
    frames = looked_at_frames(mappings)
    assert frames == sorted(set(frames)), "each once, in order"
    looked_at = np.zeros(NR_PFNS, np.bool_)
    looked_at[[frame for frame in frames if frame < NR_PFNS]] = True
    assert looked_at[expected > 0].all(), "no mapped frame is missed"
    assert (mappings.of(u64(range(NR_PFNS))) == expected).all(), "what was not looked at reads as not mapped"
    starts, lengths = (column[:1] for column in (mappings.starts, mappings.ends - mappings.starts))
    whole = slice(int(starts.sum()), int((starts + lengths).sum()))
    assert mappings.of_stretches(starts, lengths).tolist()[:-1] == expected[whole].tolist()[: int(lengths.sum()) - 1]


FRAME = st.tuples(
    st.sampled_from(["unknown", "small", "zero", "device", "head", "tail", "inferred"]),
    st.integers(0, 2),
    st.integers(0, 2),
)
CLASSES = {
    "unknown": 0,
    "small": READ | SMALL | Kind.ANON,
    "zero": READ | SMALL | Kind.ZERO,
    "device": READ | SMALL | Kind.DEVICE,
    "head": READ | HEAD | Kind.SHMEM,
    "tail": READ | TAIL,
    "inferred": TAIL,
}


@given(st.lists(FRAME, min_size=1, max_size=61), st.booleans(), st.booleans(), st.integers(1, 61), st.integers(0, 71))
def test_what_differs_is_found_frame_by_frame(frames, has_counts, counts_exact, cut, hole):
    """Between two spans lie frames that somebody else maps: nobody asked for them."""
    cut = min(cut, len(frames))
    frames = frames[:cut] + [("small", 0, 1)] * hole + frames[cut:]
    physical = PhysicalPages(KpageFiles(-1, 0 if has_counts else -1, -1, len(frames)))
    physical.classes[: len(frames)] = [CLASSES[name] for name, _, _ in frames]
    physical.counts[: len(frames)] = [count for _, _, count in frames]
    spans = [(begin, end) for begin, end in ((0, cut), (cut + hole, len(frames))) if begin < end]
    starts, ends = u64(begin for begin, _ in spans), u64(end for _, end in spans)
    blocks = whole_blocks(starts, ends)
    found = [frames[pfn][1] if pfn < len(frames) else 0 for pfn in spread(*blocks).tolist()]
    mappings = Mappings(starts, ends, blocks, np.array(found, np.int32))
    over, under = [], []
    for pfn, (name, mapped, count) in enumerate(frames):
        comparable = has_counts and (name == "small" or (counts_exact and name in ("head", "tail")))
        if not any(begin <= pfn < end for begin, end in spans):
            continue
        if (name == "unknown" and mapped) or (comparable and mapped > count):
            over.append(pfn)
        elif comparable and mapped < count:
            under.append(pfn)
    differs = disagreement(physical, mappings, counts_exact=counts_exact)
    assert (differs.over.tolist(), differs.under.tolist()) == (over, under)


@given(folio_lists(512, 7), st.data())
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whole_folios_of_some_frames(folios, data):
    frames = [pfn for head, order, _, _ in folios for pfn in range(head, head + (1 << order))]
    some = sorted(data.draw(st.sets(st.sampled_from(frames)))) if frames else []
    with tempfile.TemporaryDirectory() as directory:
        machine = write_frames(Path(directory), folios, dict.fromkeys(some, 1), 512)
        files = machine.files()
        physical = PhysicalPages(files)
        physical.learn(u64(some))
        files.close()
    expected = sorted({page for pfn in some for page in machine.folios[pfn].pages})
    assert whole_folios(physical, u64(some)).tolist() == expected


@given(
    st.lists(st.tuples(st.integers(0, 90), st.integers(1, 40)), max_size=13),
    st.sets(st.integers(0, 130), max_size=7),
)
def test_runs_that_hold_a_marked_frame(rows, frames):
    expected = [any(pfn + i in frames for i in range(size)) for pfn, size in rows]
    assert runs_with(u64(sorted(frames)), made_runs(rows)).tolist() == expected


def test_no_mappings_no_frames():
    assert looked_at_frames(count_mappings(nothing_known(BLOCK), [])) == []
    assert looked_at_frames(count_mappings(nothing_known(BLOCK), [made_runs([])])) == []


@pytest.mark.parametrize("nr_pfns", [1, BLOCK - 1, BLOCK, BLOCK + 1])
def test_the_last_frame_of_memory(nr_pfns):
    mappings = count_mappings(nothing_known(nr_pfns), [made_runs([(nr_pfns - 1, 1)])] * 3)
    assert looked_at_frames(mappings).count(nr_pfns - 1) == 1
    assert mappings.of(u64([nr_pfns - 1])).tolist() == [3]
