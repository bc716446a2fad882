"""/proc/PID/maps: our own, line for line as the kernel wrote it, and names as odd as the kernel lets through."""

import contextlib
import ctypes
import mmap
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapcount.capture.maps import parse_maps

LINES = rb"""55d0c0a00000-55d0c0a02000 r--p 00000000 08:01 131                        /usr/bin/a b  c
55d0c0a02000-55d0c0a03000 r-xp 00002000 fd:1f 18446744073709551615       /tmp/gone file (deleted)
55d0c1000000-55d0c1021000 rw-p 00000000 00:00 0                          [heap]
7f0000000000-7f0000001000 rw-s 7fffffffffff000 00:01 1027                /memfd:two\012lines (deleted)
7f0000001000-7f0000002000 ---p 00000000 00:00 0""" + b" \n" + b"""\
7f0000002000-7f0000003000 rw-p 00000000 00:00 0                          [anon:a name]
7f0000003000-7f0000004000 r--p 00000000 08:01 7                          /tmp/\xff\xfe\xc3\x28
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
"""  # fmt: skip


def written(vmas):
    """Write VMAs as fs/proc/task_mmu.c does: columns, then blanks up to column 73, then the name."""
    lines = []
    for i in range(len(vmas)):
        start, end = int(vmas.start[i]), int(vmas.end[i])
        head = f"{start:08x}-{end:08x} {vmas.perms[i]} {vmas.offset[i]:08x} {vmas.dev[i]} {vmas.inode[i]} "
        lines.append((head.ljust(73) + vmas.path[i] if vmas.path[i] else head) + "\n")
    return "".join(lines).encode("utf-8", "surrogateescape")


def test_names_stay_as_they_are_and_vsyscall_is_left_out():
    vmas = parse_maps(LINES)
    names = [path.encode("utf-8", "surrogateescape") for path in vmas.path]
    assert names == [b"/usr/bin/a b  c", b"/tmp/gone file (deleted)", b"[heap]", rb"/memfd:two\012lines (deleted)", b"",
                     b"[anon:a name]", b"/tmp/\xff\xfe\xc3\x28"]  # fmt: skip
    assert (vmas.inode[0], vmas.inode[1], vmas.inode[3]) == (131, (1 << 64) - 1, 1027)
    assert (vmas.dev[1], vmas.offset[1], vmas.perms[4]) == ("fd:1f", 0x2000, "---p")
    assert (vmas.start.tolist()[0], vmas.end.tolist()[-1]) == (0x55D0C0A00000, 0x7F0000004000)


@contextlib.contextmanager
def odd_files(directory):
    """Map one page of each file with an odd name, one of them deleted."""
    with contextlib.ExitStack() as stack:
        for name in (
            b"a b",
            b"  two  blanks ",
            b"new\nline",
            b"\xff\xfe",
            b"tab\tand\rreturn",
            b"x (deleted)",
            b"\x85",
        ):
            path = os.path.join(os.fsencode(directory), name)
            fd = os.open(path, os.O_RDWR | os.O_CREAT)
            os.ftruncate(fd, 4096)
            stack.enter_context(mmap.mmap(fd, 4096))
            os.close(fd)
        os.unlink(path)
        yield


def test_own_maps_are_read_line_for_line(tmp_path):
    with odd_files(tmp_path), open("/proc/self/maps", "rb") as file:
        text = file.read()
    kept = b"".join(line for line in text.splitlines(keepends=True) if not line.endswith(b"[vsyscall]\n"))
    assert written(parse_maps(text)) == kept
    assert rb"new\012line" in kept and b"\xff\xfe" in kept and b"\x85 (deleted)" in kept


def test_named_anonymous_memory():
    """A name given by prctl(PR_SET_VMA) may hold blanks (CONFIG_ANON_VMA_NAME)."""
    with mmap.mmap(-1, 3 * 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as area:
        view = ctypes.c_char.from_buffer(area)
        address = ctypes.addressof(view)
        del view
        done = ctypes.CDLL(None).prctl(0x53564D41, 0, ctypes.c_ulong(address), ctypes.c_ulong(4096), b"blank name")
        if done:
            pytest.skip("this kernel gives no names to anonymous memory")
        with open("/proc/self/maps", "rb") as file:
            vmas = parse_maps(file.read())
    assert vmas.path[vmas.start.tolist().index(address)] == "[anon:blank name]"


@given(st.integers(0, len(LINES)))
def test_a_text_cut_short_gives_the_vmas_before_the_cut(cut):
    vmas, whole = parse_maps(LINES[:cut]), parse_maps(LINES)
    assert vmas.start.tolist() == whole.start.tolist()[: len(vmas)]
    assert vmas.path[:-1] == whole.path[: len(vmas)][:-1]
    assert len(vmas) >= min(LINES[:cut].count(b"\n"), len(whole))
