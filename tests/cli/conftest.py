"""A saved snapshot, and the command as a function."""

from __future__ import annotations

import subprocess

import pytest

from builders import SnapshotBuilder
from mapcount.cli import main
from mapcount.mapping.schema import Kind, Level


def small_machine(folios: int = 11):
    """Two processes: `folios` folios of 64 KiB that lack 3 pages each, a PMD-mapped one that both share, a file folio."""
    builder = SnapshotBuilder()
    parent, child = builder.add_mm(comm="parent", cgroup="/prime"), builder.add_mm(comm="child", cgroup="/prime")
    heap, copy = builder.add_vma(parent, path="[heap]"), builder.add_vma(child)
    for _ in range(folios):
        builder.map_pages(parent, heap, builder.add_folio(4, cgroup="/prime"), 0, 13)
    huge = builder.add_folio(9)
    builder.map_pages(parent, heap, huge, level=Level.PMD)
    builder.map_pages(child, copy, huge)
    builder.map_pages(child, copy, builder.add_folio(2, Kind.FILE), 1, 2)
    builder.add_small(heap, 101)
    return builder.build(host="prime", kernel_release="6.18.44", boot_id="a", mem_total_bytes=1 << 30)


@pytest.fixture
def snapshot(tmp_path):
    path = tmp_path / "a.mapsnap"
    small_machine().save(path)
    return str(path)


@pytest.fixture
def mapcount(tmp_path, monkeypatch, capsysbinary):
    """Return a function that runs `mapcount ARGUMENTS` in this process, in an empty directory and without a terminal."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "COLUMNS", "PAGER"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments):
        capsysbinary.readouterr()
        command = [str(argument) for argument in arguments]
        try:
            code = main(command)
        except SystemExit as ended:
            code = ended.code
        out, err = capsysbinary.readouterr()
        return subprocess.CompletedProcess(command, code, out.decode(), err.decode())

    return run
