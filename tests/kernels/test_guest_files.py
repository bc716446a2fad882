"""Files through the agent, natively: it is the same program on a host; settings and swap, where files are pretended."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from kernels.native import needs_compiler
from mapcount.errors import GuestError, KernelFeatureError
from mapcount.kernels.agent import NativeAgent
from mapcount.kernels.guest_files import BUFFER_BYTES, GuestFiles
from mapcount.kernels.guest_settings import KnownFiles, apply_settings, quiet
from mapcount.kernels.guest_swap import GuestSwap
from mapcount.kernels.images import Image
from mapcount.scenarios.scenario import Settings


@pytest.fixture
def files():
    """Files of this machine, through an agent."""
    with NativeAgent() as agent:
        yield GuestFiles(agent.channel)


@needs_compiler
@pytest.mark.parametrize("size", [0, 1, BUFFER_BYTES - 1, BUFFER_BYTES, BUFFER_BYTES + 1, 3 * BUFFER_BYTES + 211])
def test_a_file_is_read_to_its_end_or_in_part(files, tmp_path, size):
    data = os.urandom(size)
    (tmp_path / "f").write_bytes(data)
    path = str(tmp_path / "f")
    assert files.read(path) == data
    assert files.read(path, 13) == data[13:]
    assert files.read(path, 13, 40007) == data[13:][:40007]


@needs_compiler
def test_texts_and_bytes_are_written_where_they_should(files, tmp_path):
    path = tmp_path / "f"
    path.write_bytes(bytes(5000))
    files.write(str(path), "always")
    assert path.read_bytes() == b"always" + bytes(4994)
    files.write_bytes(str(path), 4086, b"SWAPSPACE2")
    assert path.read_bytes()[4080:4100] == bytes(6) + b"SWAPSPACE2" + bytes(4)


@needs_compiler
def test_what_is_missing_is_a_lack_of_the_kernel(files, tmp_path):
    assert files.exists(str(tmp_path))
    assert not files.exists(str(tmp_path / "none"))
    with pytest.raises(KernelFeatureError, match="none is missing"):
        files.write(str(tmp_path / "none"), "1")
    with pytest.raises(GuestError, match=r"none in the guest cannot be read \(-2\)"):
        files.read(str(tmp_path / "none"))
    with pytest.raises(GuestError, match=r"cannot be read \(-21\)"):
        files.read(str(tmp_path))


@needs_compiler
def test_what_the_kernel_refuses_is_said(files):
    with pytest.raises(GuestError, match="/dev/full in the guest does not take '1'"):
        files.write("/dev/full", "1")


@needs_compiler
def test_draining_changes_nothing_that_is_seen(files, tmp_path):
    (tmp_path / "f").write_bytes(b"x" * 101)
    files.drain_lru_batches()
    assert files.read(str(tmp_path / "f")) == b"x" * 101


THP = "/sys/kernel/mm/transparent_hugepage"
SMALL = [f"{THP}/hugepages-{size}kB/{name}" for size in (16, 64, 2048) for name in ("enabled", "shmem_enabled")]
TOP = [f"{THP}/{name}" for name in ("enabled", "shmem_enabled", "use_zero_page", "khugepaged/max_ptes_none")]
POOL = "/proc/sys/vm/nr_hugepages"


class Pretended:
    """Files of a guest, and its system calls: what was written is kept."""

    def __init__(self, *paths, most_hugetlb=99, results=()):
        self.held = dict.fromkeys(paths, "")
        self.calls = []
        self.most_hugetlb = most_hugetlb
        self.results = dict(results)

    def exists(self, path):
        return path in self.held

    def write(self, path, text):
        if path not in self.held:
            raise KernelFeatureError(f"{path} is missing")
        self.held[path] = str(min(int(text), self.most_hugetlb)) if path == POOL else text

    def write_bytes(self, path, offset, data):
        self.held[path, offset] = data

    def read(self, path):
        return self.held[path].encode()

    def call(self, slot, number, *arguments):
        self.calls.append((number, *arguments))
        return self.results.get(number, 0)


def test_what_a_scenario_does_not_name_is_off():
    files = Pretended(*TOP, *SMALL, POOL)
    apply_settings(files, Settings())
    assert files.held == {
        f"{THP}/enabled": "madvise",
        f"{THP}/shmem_enabled": "never",
        f"{THP}/use_zero_page": "0",
        f"{THP}/khugepaged/max_ptes_none": "511",
        f"{THP}/hugepages-16kB/enabled": "never",
        f"{THP}/hugepages-16kB/shmem_enabled": "never",
        f"{THP}/hugepages-64kB/enabled": "never",
        f"{THP}/hugepages-64kB/shmem_enabled": "never",
        f"{THP}/hugepages-2048kB/enabled": "inherit",
        f"{THP}/hugepages-2048kB/shmem_enabled": "inherit",
        POOL: "0",
    }


def test_what_it_names_is_on_and_the_next_one_begins_anew():
    files = Pretended(*TOP, *SMALL, POOL)
    wanted = Settings(
        thp="always",
        anon={4: "always"},
        shmem={2: "advise", 9: "within_size"},
        hugetlb_pages=11,
        huge_zero_page=True,
        max_ptes_none=7,
    )
    apply_settings(files, wanted)
    assert files.held == {
        f"{THP}/enabled": "always",
        f"{THP}/shmem_enabled": "within_size",
        f"{THP}/use_zero_page": "1",
        f"{THP}/khugepaged/max_ptes_none": "7",
        f"{THP}/hugepages-16kB/enabled": "never",
        f"{THP}/hugepages-16kB/shmem_enabled": "advise",
        f"{THP}/hugepages-64kB/enabled": "always",
        f"{THP}/hugepages-64kB/shmem_enabled": "never",
        f"{THP}/hugepages-2048kB/enabled": "inherit",
        f"{THP}/hugepages-2048kB/shmem_enabled": "inherit",
        POOL: "11",
    }
    apply_settings(files, Settings())
    assert files.held[f"{THP}/hugepages-64kB/enabled"] == "never"
    assert files.held[POOL] == "0"


def test_what_is_so_already_is_not_written_again():
    files = Pretended(*TOP, *SMALL, POOL)
    known = KnownFiles(files)
    apply_settings(known, Settings(anon={4: "always"}, hugetlb_pages=11))
    before = dict(files.held)
    files.held = dict.fromkeys(files.held, "not written")
    apply_settings(known, Settings(anon={2: "always"}, hugetlb_pages=0))
    written = {path: text for path, text in files.held.items() if text != "not written"}
    assert written == {
        f"{THP}/hugepages-16kB/enabled": "always",
        f"{THP}/hugepages-64kB/enabled": "never",
        POOL: "0",
    }
    files.held |= written
    apply_settings(known, Settings(anon={4: "always"}, hugetlb_pages=11))
    assert {path: files.held[path] for path in written} == {path: before[path] for path in written}


def test_what_was_refused_is_written_again():
    files = Pretended()
    known = KnownFiles(files)
    with pytest.raises(KernelFeatureError, match="none is missing"):
        known.write("/sys/none", "1")
    files.held["/sys/none"] = ""
    known.write("/sys/none", "1")
    assert files.held["/sys/none"] == "1"


@pytest.mark.parametrize(
    ("paths", "settings", "said"),
    [
        (TOP, Settings(anon={4: "madvise"}), r"hugepages-64kB/enabled is missing.*6\.8"),
        (TOP, Settings(shmem={4: "always"}), r"hugepages-64kB/shmem_enabled is missing.*6\.11"),
        ([*TOP, POOL], Settings(hugetlb_pages=101), "has 99 pages, 101 are needed"),
        (TOP, Settings(hugetlb_pages=1), "nr_hugepages is missing"),
    ],
)
def test_what_a_kernel_lacks_is_said(paths, settings, said):
    with pytest.raises(KernelFeatureError, match=said):
        apply_settings(Pretended(*paths), settings)


def test_khugepaged_sleeps_before_its_list_gets_the_first_mm():
    files = Pretended(
        *TOP,
        *(
            f"{THP}/khugepaged/{name}"
            for name in ("pages_to_scan", "defrag", "scan_sleep_millisecs", "alloc_sleep_millisecs")
        ),
    )
    quiet(files, files)
    assert files.held[f"{THP}/khugepaged/scan_sleep_millisecs"] == str(2**32 - 1)
    assert [number for number, *_ in files.calls] == [9, 28]  # mmap, madvise
    assert files.calls[1][-1] == 14  # MADV_HUGEPAGE


IMAGE = Image("own", "6.12", "6.12.0", Path("vmlinuz"), "", page_mapcount=True, load_order=("zram_first.ko", "brd.ko"))


READ_AHEAD = "/proc/sys/vm/page-cluster"


def test_swap_is_made_once_and_switched():
    files = Pretended("/dev/ram0", READ_AHEAD)
    swap = GuestSwap(IMAGE, files, files)
    swap.switch(on=False)
    assert files.calls == []
    swap.switch(on=True)
    loaded = [arguments for number, *arguments in files.calls if number == 313]
    assert [parameters for _, parameters, _ in loaded] == ["none=", "rd_size=131072"]
    assert files.calls[-1] == (167, "/dev/ram0", 0)
    # union swap_header: version 1, and the last page of 128 MiB.
    version, last_page, bad_pages = struct.unpack("<III", files.held["/dev/ram0", 1024])
    assert (version, last_page, bad_pages) == (1, (128 << 20) // 4096 - 1, 0)
    assert files.held["/dev/ram0", 4086] == b"SWAPSPACE2"
    assert files.held[READ_AHEAD] == "0"
    before = len(files.calls)
    swap.switch(on=True)
    assert len(files.calls) == before
    swap.switch(on=False)
    swap.switch(on=True)
    assert [number for number, *_ in files.calls[before:]] == [168, 167]


def test_without_a_ram_disk_there_is_no_swap():
    files = Pretended()
    with pytest.raises(KernelFeatureError, match=r"own has no RAM disk \(brd\) to swap to"):
        GuestSwap(Image("own", "6.12", "6.12.0", Path("vmlinuz"), "", page_mapcount=True), files, files).switch(on=True)


@pytest.mark.parametrize(
    ("number", "said"), [(313, "does not load zram_first.ko"), (167, "swapon in the guest returned -22")]
)
def test_what_the_guest_refuses_of_swap_is_said(number, said):
    files = Pretended("/dev/ram0", READ_AHEAD, results={number: -22})
    with pytest.raises(GuestError, match=said):
        GuestSwap(IMAGE, files, files).switch(on=True)
