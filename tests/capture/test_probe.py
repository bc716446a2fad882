"""The probe of kpagecount: against the kernel's two formulas, the kernel's own config, and a file that lies."""

import ctypes
import gzip
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.unprivileged import as_nobody
from mapcount.capture.kpage import open_kpage_files
from mapcount.capture.probe import judge, probe_counts

root = pytest.mark.skipif(os.geteuid() != 0, reason="live tests need root")


def average(mappings, nr_pages):
    """Documentation/admin-guide/mm/pagemap.rst: rounded to the nearest, and at least 1 while anything is mapped."""
    return max(1, (2 * mappings + nr_pages) // (2 * nr_pages))


@given(st.integers(1, 9), st.data())
def test_the_two_formulas_are_told_apart_however_much_is_dropped(order, data):
    nr_pages = 1 << order
    dropped = data.draw(st.integers(1, nr_pages - 1))
    mapped = nr_pages - dropped

    assert judge([0] * dropped, [1] * mapped) == "exact"
    assert judge([average(mapped, nr_pages)] * dropped, [average(mapped, nr_pages)] * mapped) == "average"


@pytest.mark.parametrize(("dropped", "mapped"), [([0], [0]), ([0, 1], [1]), ([], [1]), ([0], []), ([1], [1, 0])])
def test_what_fits_neither_is_unknown(dropped, mapped):
    assert judge(dropped, mapped) == "unknown"


def test_without_the_files_it_is_unknown_and_says_which(tmp_path):
    counts_are, how = probe_counts(proc=str(tmp_path))

    assert counts_are == "unknown"
    assert "self/pagemap" in how


@pytest.mark.live
@root
def test_this_kernel_is_what_its_config_says():
    try:
        with gzip.open("/proc/config.gz", "rt") as file:
            config = file.read()
    except OSError:
        pytest.skip("this kernel does not show its config in /proc/config.gz")

    counts_are, how = probe_counts()

    assert counts_are == ("average" if "CONFIG_NO_PAGE_MAPCOUNT=y" in config else "exact"), how


@pytest.mark.live
@root
@pytest.mark.parametrize(("count", "verdict"), [(1, "average"), (0, "unknown")])
def test_a_kernel_that_shows_one_count_for_every_page(tmp_path, count, verdict):
    files = open_kpage_files()
    files.close()
    os.symlink("/proc/self", tmp_path / "self")
    os.symlink("/proc/kpageflags", tmp_path / "kpageflags")
    np.full(files.max_pfn, count, np.uint64).tofile(tmp_path / "kpagecount")

    counts_are, how = probe_counts(proc=str(tmp_path))

    assert counts_are == verdict, how


@pytest.mark.live
@root
def test_a_process_that_may_have_no_large_folio_is_told_so():
    pid = os.fork()
    if not pid:  # PR_SET_THP_DISABLE cannot be taken back in a test run
        ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)
        counts_are, how = probe_counts()
        os._exit(not (counts_are == "unknown" and "gave no large folio" in how))

    assert os.waitpid(pid, 0)[1] == 0


@pytest.mark.live
@root
def test_its_memory_is_given_back():
    probe_counts()
    with open("/proc/self/maps") as file:
        before = len(file.readlines())
    descriptors = len(os.listdir("/proc/self/fd"))
    for _ in range(7):
        probe_counts()
    with open("/proc/self/maps") as file:
        after = len(file.readlines())

    assert after <= before + 2  # the heap may grow; 7 regions may not stay
    assert len(os.listdir("/proc/self/fd")) == descriptors


@pytest.mark.live
@pytest.mark.skipif(not os.path.exists("/proc/self/pagemap"), reason="live tests need Linux")
def test_nobody_gets_no_verdict_but_the_reason():
    counts_are, how = as_nobody(probe_counts)

    assert counts_are == "unknown"
    assert "Permission denied" in how or "hides PFNs" in how
