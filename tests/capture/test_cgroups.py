"""Cgroups: made-up hierarchies whose inodes stat gives, and this process in its own."""

import ctypes
import mmap
import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapcount.capture.cgroups import (
    cgroup_directory,
    cgroup_pids,
    memory_mount,
    parse_mounts,
    parse_task_cgroup,
    read_cgroup_names,
    task_cgroup,
)
from mapcount.errors import UsageError


@pytest.fixture
def host(tmp_path):
    """A /proc and cgroup mounts: v1 memory and freezer, and v2 beside them."""
    fs = tmp_path / "fs"
    for name, pids in {
        "memory": "1\n",
        "memory/a": "17\n19\n",
        "memory/a/deep one": "23\n0\n",
        "memory/b": "",
        "freezer": "1\n",
        "freezer/f": "29\n",
        "unified": "1\n",
        "unified/u": "31\n",
    }.items():
        (fs / name).mkdir(parents=True)
        (fs / name / "cgroup.procs").write_text(pids)
        (fs / name / "memory.stat").write_text("rss 4096\n")
    proc = tmp_path / "proc"
    (proc / "self").mkdir(parents=True)
    (proc / "self" / "mountinfo").write_text(
        "23 1 8:1 / / rw - ext4 /dev/root rw\n"
        f"34 31 0:31 / {fs}/freezer rw,relatime shared:9 - cgroup cgroup rw,freezer\n"
        f"35 31 0:32 /a {fs}/memory/a rw,relatime - cgroup cgroup rw,memory\n"
        f"36 31 0:32 / {fs}/memory rw,relatime - cgroup cgroup rw,memory\n"
        f"41 31 0:38 / {fs}/unified rw - cgroup2 cgroup2 rw\n"
    )
    return fs, str(proc)


def test_memory_is_in_v1_where_v1_has_it(host):
    fs, proc = host
    mount = memory_mount(proc=proc)

    assert (mount.point, mount.root, mount.version) == (f"{fs}/memory", "/", 1)


def test_memory_is_in_v2_elsewhere(host, tmp_path):
    _, proc = host
    path = tmp_path / "proc/self/mountinfo"
    path.write_text("\n".join(line for line in path.read_text().splitlines() if "rw,memory" not in line))

    assert memory_mount(proc=proc).version == 2


def test_no_cgroups_at_all(tmp_path):
    names = read_cgroup_names(memory_mount(proc=str(tmp_path)))

    assert names.name(0) == ""
    assert names.name(17) == "inode:17"


def test_mount_points_with_blanks():
    (mount,) = parse_mounts("36 31 0:32 /a\\040b /mnt/c\\040d rw - cgroup cgroup rw,memory,hugetlb\n")

    assert (mount.root, mount.point) == ("/a b", "/mnt/c d")
    assert {"memory", "hugetlb"} <= mount.controllers
    assert mount.directory("/a b/x/y") == "/mnt/c d/x/y"
    assert mount.directory("/a b") == "/mnt/c d"
    assert mount.directory("/elsewhere") is None
    assert mount.cgroup("/mnt/c d/x") == "/a b/x"


@given(st.text(max_size=200))
def test_no_text_is_too_strange_to_parse(text):
    parse_mounts(text)
    parse_task_cgroup(text)


def test_every_inode_has_its_path(host):
    fs, proc = host
    names = read_cgroup_names(memory_mount(proc=proc))

    for path in ("/", "/a", "/a/deep one", "/b"):
        assert names.name(os.stat(f"{fs}/memory{path}").st_ino) == path
    assert len(names.paths) == 4
    assert names.complete
    assert names.name(1) == "removed:1"
    assert names.name(0) == ""


def test_a_walk_that_hits_its_limit_calls_nothing_removed(host):
    _, proc = host
    names = read_cgroup_names(memory_mount(proc=proc), limit=3)

    assert len(names.paths) == 3
    assert names.name(1) == "inode:1"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("9:name=systemd:/s\n4:cpu,memory:/m\n0::/u\n", "/m"),
        ("4:memory:/with:colon\n", "/with:colon"),
        ("9:name=systemd:/s\n0::/u\n", "/u"),
        ("3:memory_ish:/no\n", ""),
        ("", ""),
    ],
)
def test_task_cgroup(text, path):
    assert parse_task_cgroup(text) == path


def test_task_cgroup_of_a_process_that_is_gone(tmp_path):
    assert task_cgroup(99, proc=str(tmp_path)) == ""


@pytest.mark.parametrize(
    ("path", "pids"),
    [
        ("/a", [17, 19, 23]),
        ("a", [17, 19, 23]),
        ("a/deep one/", [23]),
        ("/b", []),
        ("/", [1, 17, 19, 23]),
        ("f", [29]),
        ("/u", [31]),
        ("a/../b/../a", [17, 19, 23]),
        ("{fs}/memory/a", [17, 19, 23]),
        ("{fs}/freezer/f/", [29]),
    ],
)
def test_pids_of_a_cgroup_and_its_children(host, path, pids):
    fs, proc = host

    assert cgroup_pids(path.format(fs=fs), proc=proc) == pids


@pytest.mark.parametrize("path", ["/nowhere", "../../etc", "/tmp"])
def test_what_is_no_cgroup_is_named(host, path):
    _, proc = host

    with pytest.raises(UsageError, match="is no cgroup") as caught:
        cgroup_directory(path, proc=proc)

    assert path in str(caught.value)
    assert "/memory" in str(caught.value)


@pytest.mark.live
@pytest.mark.skipif(not os.access("/proc/kpagecgroup", os.R_OK), reason="live tests need root and /proc/kpagecgroup")
def test_our_own_memory_is_charged_to_our_cgroup():
    nr_pages = 211
    with mmap.mmap(-1, nr_pages * 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as area:
        for page in range(nr_pages):
            area[page * 4096] = 1
        start = ctypes.addressof(ctypes.c_char.from_buffer(area)) // 4096
        with open("/proc/self/pagemap", "rb") as pagemap, open("/proc/kpagecgroup", "rb", buffering=0) as charged:
            pagemap.seek(start * 8)
            pfns = [entry & (1 << 55) - 1 for (entry,) in struct.iter_unpack("<Q", pagemap.read(nr_pages * 8))]
            inodes = {struct.unpack("<Q", os.pread(charged.fileno(), 8, pfn * 8))[0] for pfn in pfns}

    assert 0 not in pfns
    assert [read_cgroup_names(memory_mount()).name(inode) for inode in inodes] == [task_cgroup(os.getpid())]


@pytest.mark.live
@pytest.mark.skipif(memory_mount() is None, reason="no cgroup file system is mounted here")
def test_our_own_cgroup_holds_us():
    assert os.getpid() in cgroup_pids(task_cgroup(os.getpid()))
