"""Scenarios as C programs: they compile without a warning, and on the running kernel they find what is expected."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from mapcount.errors import ScenarioError
from mapcount.scenarios import emit_c as emitter
from mapcount.scenarios.emit_c import emit_c
from mapcount.scenarios.library import load
from mapcount.scenarios.parser import parse
from mapcount.scenarios.scenario import Settings
from mapcount.scenarios.steps import Expect

needs_gcc = pytest.mark.skipif(not shutil.which("gcc"), reason="no gcc")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="not root: kpagecount is for root")
ALL_VERBS = """\
# It shows */ and /* nothing.
set anon 64k madvise
set shmem 2M advise
set shmem 64k always
set hugetlb 3
set swap
set huge-zero-page
p: memfd f 28k
p: fallocate f[0:5]
p: punch f[1]
p: mmap a 2M huge
p: mmap b 2M hugetlb
p: mmap c 28k shared nohuge f[0]
p: write a[0]
p: read a[1]
p: fork c
c: fork d
c: exit
p: fork c
c: munmap a[0]
p: mprotect a[5] none
p: mremap a[7] d[0]
p: dontneed a[8]
p: free a[8]
p: pageout a[8]
p: collapse a
p: hugepage a
p: nohugepage a
p: mergeable a
reclaim
"""
SMALL = """\
p: mmap a 28k
p: write a[0:5]
expect result 5
expect a[3] mapcount 1*1
expect a[3] mapped_once
expect a[6] not mapped
p: fork c
expect a[3] mapcount 2
expect a[3] not one_mm
expect a[3] mapped_shared
c: fork d
c: exit
p: fork c
expect a[3] mapcount 3*1
c: write a[3]
expect c: a[3] one_mm
expect p: a[3] mapcount 2*1
expect a[3] kind anon
expect a[3] order 0
p: mprotect a[0] none
p: read a[0:2]
expect result -14
d: munmap a[3]
expect p: a[3] one_mm
p: mremap a[3] b[2]
expect b[2] mapped_pages 1
expect b[2] not partially_mapped
expect b[2] shared
p: mmap a 4k
expect result -17
d: exit
p: exit
expect c: a[3] mapcount 1
c: exit
expect a[3] not mapped
"""


def build(program, directory):
    source = directory / "reproducer.c"
    source.write_text(program)
    binary = directory / "reproducer"
    flags = ["-O2", "-Wall", "-Wextra", "-Werror"]
    done = subprocess.run(["gcc", *flags, "-o", binary, source], capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return binary


@needs_gcc
@pytest.mark.parametrize(
    "text", [ALL_VERBS, SMALL, "p: mmap a 4k", "p: exit", ""], ids=["all", "small", "map", "exit", "none"]
)
def test_it_compiles_without_a_warning(text, tmp_path):
    program = emit_c(parse(text, name="x"))
    assert not re.search(r"@[A-Z_]+@", program)
    build(program, tmp_path)


@needs_gcc
@pytest.mark.parametrize("name", ["three-mms-64k", "walk-shmem", "hugetlb-private"])
def test_the_library_compiles(name, tmp_path):
    build(emit_c(load(name)), tmp_path)


def without_settings(text, monkeypatch):
    """Return the program that leaves all settings alone: small folios need none of them."""
    monkeypatch.setattr(emitter, "_settings", lambda _settings: iter(()))
    return emit_c(parse(text, name="small"))


@needs_gcc
@needs_root
@pytest.mark.live
def test_small_folios_on_this_kernel(tmp_path, monkeypatch):
    binary = build(without_settings(SMALL, monkeypatch), tmp_path)
    done = subprocess.run([binary], capture_output=True, text=True, timeout=60, check=False)
    lines = done.stdout.splitlines()
    tests = [line for line in lines if not line.startswith("#")]
    expectations = [step for step in parse(SMALL).steps if isinstance(step, Expect)]
    assert tests[:2] == ["TAP version 13", f"1..{len(expectations)}"]
    assert len(tests) == 2 + len(expectations)
    skipped = [line for line in tests if "# SKIP" in line]
    assert all(re.match(r"ok \d+ expect ", line) for line in tests[2:]), done.stdout
    assert len(skipped) == 1
    assert "expect b[2] shared # SKIP" in skipped[0]
    assert done.returncode == 0
    assert "# p: read a[0:2] = -14" in lines


@needs_gcc
@needs_root
@pytest.mark.live
def test_it_can_fail(tmp_path, monkeypatch):
    binary = build(without_settings(SMALL.replace("mapcount 3*1", "mapcount 4*1"), monkeypatch), tmp_path)
    done = subprocess.run([binary], capture_output=True, text=True, timeout=60, check=False)
    assert re.search(r"^not ok \d+ expect a\[3\] mapcount 4\*1\n# found 3\*1$", done.stdout, re.MULTILINE)
    assert done.returncode == 1


MOVES = "p: mmap a 28k\np: write a[1:4]\np: migrate a to 0\nexpect result 3\np: migrate a[3:5] to 0\nexpect result 1\n"


@needs_gcc
@pytest.mark.skipif(not Path("/sys/devices/system/node/node0").exists(), reason="this kernel was built without NUMA")
def test_pages_of_a_node_are_counted(tmp_path, monkeypatch):
    binary = build(without_settings(MOVES, monkeypatch), tmp_path)
    done = subprocess.run([binary], capture_output=True, text=True, timeout=60, check=False)
    assert [line[:2] for line in done.stdout.splitlines() if not line.startswith(("#", "1..", "TAP"))] == ["ok", "ok"]


@needs_gcc
@pytest.mark.skipif(Path("/sys/devices/system/node/node1").exists(), reason="this machine has two NUMA nodes")
def test_a_machine_with_one_node_is_told_by_name(tmp_path):
    binary = build(emit_c(parse("set nodes 2\n" + MOVES, name="x")), tmp_path)
    done = subprocess.run([binary], capture_output=True, text=True, timeout=60, check=False)
    assert "1..0 # SKIP this machine has fewer NUMA nodes" in done.stdout
    assert done.returncode == 4


@needs_gcc
def test_without_root_counts_are_skipped(tmp_path, monkeypatch):
    tmp_path.chmod(0o755)
    binary = build(without_settings(SMALL, monkeypatch), tmp_path)
    # Above pytest's directories, which others may not enter.
    shown = Path(tempfile.gettempdir()) / f"mapcount-test-{os.getpid()}"
    shutil.copy(binary, shown)
    user = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    try:
        done = subprocess.run([shown], capture_output=True, text=True, timeout=60, check=False, **user)
    finally:
        shown.unlink()
    assert done.stdout.count("ok ") == len([step for step in parse(SMALL).steps if isinstance(step, Expect)])
    assert "expect a[3] mapcount 1*1 # SKIP /proc/kpagecount and /proc/kpageflags are for root" in done.stdout
    assert re.search(r"^ok \d+ expect result -17$", done.stdout, re.MULTILINE)
    assert done.returncode == 0


def test_settings_that_are_asked_for_are_needed():
    lines = list(emitter._settings(parse(ALL_VERBS).settings))
    assert 'set(THP "hugepages-64kB/enabled", "madvise", 1);' in lines
    assert 'set(THP "shmem_enabled", "advise", 1);' in lines
    assert "need_swap();" in lines
    assert 'set(THP "shmem_enabled", "never", 0);' in list(emitter._settings(Settings()))


def test_too_long_for_c():
    with pytest.raises(ScenarioError, match="too many for C"):
        emit_c(parse("p: mmap a 4k\nrepeat 2000\np: read a\nend", name="x"))
