"""C programs built when they are needed: once for the same source and flags, libraries last, and what is said if it fails."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from mapcount.errors import MissingToolError
from mapcount.kernels.c_build import build

needs_gcc = pytest.mark.skipif(not shutil.which("gcc"), reason="nothing can be built here: no gcc")
TEXT = "#include <math.h>\n#include <stdlib.h>\nint main(int n, char **v)\n{\n\treturn (int)cbrt(atof(v[n - 1]));\n}\n"


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "root.c"
    path.write_text(TEXT)
    return path


def built(source, *flags, **options):
    return build(source, flags, "roots", what="the root of 343", packages="gcc libc6-dev", **options)


@needs_gcc
def test_it_is_built_once_for_the_same_source_and_flags(source, tmp_path):
    path = built(source, "-lm", "-O1")
    assert subprocess.run([path, "343"], check=False).returncode == 7
    before = path.stat().st_mtime_ns
    assert built(source, "-lm", "-O1") == path and path.stat().st_mtime_ns == before
    others = {built(source, "-lm", "-O2"), built(source, "-lm", "-O1", suffix=".so")}
    source.write_text(TEXT + "\n")
    others.add(built(source, "-lm", "-O1"))
    assert len(others | {path}) == 4
    assert {one.parent for one in others} == {tmp_path / "cache" / "mapcount" / "roots"}


@needs_gcc
def test_a_failure_says_what_for_and_leaves_nothing(source, tmp_path):
    source.write_text("int main(void) { return nothing; }")
    with pytest.raises(MissingToolError, match=r"(?s)could not build the root of 343 \(apt-get install gcc.*nothing"):
        built(source)
    assert list((tmp_path / "cache" / "mapcount" / "roots").iterdir()) == []


def test_without_a_compiler_or_a_place(source, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _name: "gcc")
    monkeypatch.setattr(subprocess, "run", lambda *_args, **_options: subprocess.CompletedProcess([], 0, b"", b""))
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(MissingToolError, match="The root of 343 cannot be kept in the user's cache"):
        built(source)
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(MissingToolError, match="The root of 343 is a C program, and there is no gcc here"):
        built(source)
