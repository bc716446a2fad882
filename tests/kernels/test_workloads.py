"""The programs whose calls are counted: they are built, run here to their end, and have all their files with them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from kernels.native import LACK
from mapcount.errors import MissingToolError, UsageError
from mapcount.kernels.workloads import SAYS, Workload, files_of, load

needs_compiler = pytest.mark.skipif(bool(LACK), reason=f"programs cannot be built here: {LACK}")


@needs_compiler
@pytest.mark.parametrize("name", ["prefork", "allocator"])
def test_a_program_of_ours_runs_to_its_end(name, tmp_path):
    workload = load([name])[name]
    [(path, content)] = workload.files.items()
    assert f"/{path}" == workload.command[0]
    program = tmp_path / name
    program.write_bytes(content)
    program.chmod(0o700)
    assert subprocess.run([program], timeout=120, check=False, capture_output=True).returncode == 0


@needs_compiler
def test_the_compiler_runs_where_there_is_nothing_but_its_files(tmp_path):
    workload = load(["compiler"])["compiler"]
    for path, content in files_of([workload]).items():
        if content is None:
            (tmp_path / path).mkdir()
        else:
            (tmp_path / path).write_bytes(content)
            (tmp_path / path).chmod(0o700)
    libraries = [path for path in workload.files if ".so" in path]
    assert any("ld-linux" in path for path in libraries) and any("libc.so" in path for path in libraries)
    loader = next(tmp_path / path for path in libraries if "ld-linux" in path)
    paths = ":".join({str((tmp_path / path).parent) for path in libraries})
    program, *arguments = (part.replace("/agent.i", str(tmp_path / "agent.i")) for part in workload.command)
    command = [loader, "--library-path", paths, f"{tmp_path}{program}", *arguments]
    assert subprocess.run(command, timeout=120, check=False, capture_output=True).returncode == 0
    assert b"#include" not in Path(tmp_path / "agent.i").read_bytes()


def test_directories_come_before_what_is_in_them():
    made = files_of([Workload(("/a/b/c",), {"a/b/c": b"1"}), Workload(("/d",), {"d": b"2", "a/e": b"3"})])
    assert list(made.items()) == [("a", None), ("a/b", None), ("a/b/c", b"1"), ("d", b"2"), ("a/e", b"3")]


def test_what_is_not_there(monkeypatch):
    with pytest.raises(UsageError, match=f"no workload 'nginx'; there are: {', '.join(SAYS)}"):
        load(["nginx"])
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(MissingToolError, match="apt-get install gcc"):
        load(["compiler"])
    with pytest.raises(MissingToolError, match="The workload prefork is a C program"):
        load(["prefork"])
