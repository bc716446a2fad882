"""The benchmark of folios: what it tells, what it refuses, and that settings are as before."""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from mapcount.errors import KernelFeatureError, NotAllowedError
from mapcount.kernels import folio_bench

NAMES = {
    "right",
    "fork",
    "exit",
    "cow",
    "dontneed",
    "munmap",
    "dontneed-pages",
    "fork-read",
    "fork-again",
    "fork-pieces",
    "exit-pieces",
    "munmap-pieces",
    "hot-locked",
    "hot-stores",
    "line-locked",
}
needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc here")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: page frame numbers, THP settings")
THP = "/sys/kernel/mm/transparent_hugepage"
needs_sizes = pytest.mark.skipif(
    not os.path.exists(f"{THP}/hugepages-64kB/enabled"), reason="this kernel has no anon folios of 64 KiB"
)


def settings():
    return {path: Path(path).read_text() for path in glob.glob(f"{THP}/**/*enabled", recursive=True)}


@needs_gcc
@needs_root
def test_each_operation_of_small_pages_is_told():
    program = folio_bench._build()
    done = subprocess.run([program, "0", "8"], capture_output=True, text=True, timeout=60, check=True)
    told = {name: (float(ns), int(units)) for name, ns, units in map(str.split, done.stdout.splitlines())}
    assert set(told) == NAMES
    assert told["right"] == (2048, 2048)
    assert {units for name, (_, units) in told.items() if not name.startswith("hot")} == {2048}
    assert all(ns > 0 for name, (ns, _) in told.items() if not name.startswith("fork"))


@pytest.mark.live
@needs_gcc
@needs_root
@needs_sizes
def test_sizes_are_measured_and_settings_put_back():
    before = settings()
    measured = folio_bench.measure([4, 9], rounds=1, memory_mib=8)
    assert settings() == before
    assert {(one.name, one.order) for one in measured.measurements} == {
        (name, order) for name in NAMES - {"right"} for order in (4, 9)
    } | {("pmd-split", 9)}


@pytest.mark.live
@needs_gcc
@needs_root
@needs_sizes
def test_settings_are_put_back_when_a_round_fails(monkeypatch):
    before = settings()
    program = Path(shutil.which("false") or "/bin/false")
    monkeypatch.setattr(folio_bench, "_build", lambda: program)
    with pytest.raises(KernelFeatureError, match="benchmark of folios failed"):
        folio_bench.measure([4, 9], rounds=1, memory_mib=8)
    assert settings() == before


class NoSettings:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


@pytest.fixture
def no_machine(monkeypatch):
    """Rounds are invented; nothing of this machine is read or changed."""
    rounds = []
    monkeypatch.setattr(folio_bench.os, "geteuid", lambda: 0)
    monkeypatch.setattr(folio_bench, "_build", lambda: Path("/nowhere"))
    monkeypatch.setattr(folio_bench, "HostSettings", NoSettings)
    monkeypatch.setattr(folio_bench, "apply_settings", lambda *_: None)

    def invented(_held, _program, order, _mib):
        rounds.append(order)
        return {"right": 0.5 if order == 7 else 1.0, "fork": float(len(rounds))}

    monkeypatch.setattr(folio_bench, "_round", invented)
    return rounds


def test_rounds_are_interleaved_and_the_first_warms_up(no_machine):
    measured = folio_bench.measure([2, 4], rounds=3, memory_mib=1)
    assert no_machine == [2, 4] * 4
    assert {one.order: one.ns for one in measured.measurements} == {2: (3, 5, 7), 4: (4, 6, 8)}


def test_memory_that_is_too_fragmented(no_machine):
    with pytest.raises(KernelFeatureError, match="only 50% of the memory came in folios of 512 KiB"):
        folio_bench.measure([2, 7], rounds=1, memory_mib=1)


def test_without_root(monkeypatch):
    monkeypatch.setattr(folio_bench.os, "geteuid", lambda: 1000)
    with pytest.raises(NotAllowedError, match="run it as root"):
        folio_bench.measure([2], rounds=1, memory_mib=1)
