"""Swapping a directory in: all of it or nothing of it, and what was there before is never lost by accident."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

from mapcount.errors import OutputError, OutputExistsError
from mapcount.mapping import swap_in
from mapcount.mapping.swap_in import check_output, write_directory
from waiting import HANG_S

OLD = {"a.parquet": b"old", "meta.json": b'{"schema_version": 1}'}
NEW = {"b.parquet": b"new" * 101, "meta.json": b'{"schema_version": 1, "new": true}'}

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def content(directory) -> dict[str, bytes]:
    return {name: Path(directory, name).read_bytes() for name in os.listdir(directory)}


@pytest.fixture(params=["renameat2", "no renameat2", "no flags"])
def way(request, monkeypatch):
    """The three ways to rename: the last two are what an old libc and an old file system leave us."""
    if request.param == "no renameat2":
        monkeypatch.setattr(swap_in, "_find_renameat2", lambda: None)
    if request.param == "no flags":
        monkeypatch.setattr(swap_in.ctypes, "get_errno", lambda: errno.EINVAL)
        monkeypatch.setattr(swap_in, "_find_renameat2", lambda: lambda *_: -1)
    return request.param


def test_new(tmp_path, way):
    assert write_directory(tmp_path / "s", NEW) == sum(map(len, NEW.values()))
    assert content(tmp_path / "s") == NEW
    assert os.listdir(tmp_path) == ["s"]


def test_trailing_slash_and_relative_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_directory("s/", NEW)
    assert content("s") == NEW


@pytest.mark.parametrize("umask", [0, 0o077, 0o777])
def test_modes_whatever_the_umask(tmp_path, umask):
    if umask == 0o777 and os.geteuid() != 0:
        pytest.skip("only root can enter a directory of mode 0")
    tmp_path.chmod(0o2777)  # a setgid parent passes its bit on to what is made in it
    before = os.umask(umask)
    try:
        write_directory(tmp_path / "s", NEW)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "s").iterdir()} == {0o600}


def test_existing_is_refused(tmp_path, way):
    write_directory(tmp_path / "s", OLD)
    for refused in (write_directory, lambda path, _: check_output(path)):
        with pytest.raises(OutputExistsError, match=r"s already exists .* --force"):
            refused(tmp_path / "s", NEW)
    assert content(tmp_path / "s") == OLD
    assert os.listdir(tmp_path) == ["s"]


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir, lambda path: path.symlink_to("nowhere")])
def test_whatever_exists_is_refused(tmp_path, make):
    make(tmp_path / "s")
    with pytest.raises(OutputExistsError):
        check_output(tmp_path / "s")


def test_force_replaces(tmp_path, way):
    write_directory(tmp_path / "s", OLD, force=True)
    check_output(tmp_path / "s", force=True)
    write_directory(tmp_path / "s", NEW, force=True)
    assert content(tmp_path / "s") == NEW
    assert os.listdir(tmp_path) == ["s"]


def make_stranger(kind: str, path: Path) -> None:
    if kind == "file":
        path.write_text("precious")
        return
    if kind == "link":
        write_directory(path.parent / "target", OLD)
        path.symlink_to("target")
        return
    write_directory(path, OLD)
    extra = {
        "no meta.json": (path / "meta.json").unlink,
        "another meta.json": lambda: (path / "meta.json").write_text('{"name": "data set"}'),
        "damaged meta.json": lambda: (path / "meta.json").write_text("{"),
        "meta.json is a directory": lambda: ((path / "meta.json").unlink(), (path / "meta.json").mkdir()),
        "more": lambda: (path / "thesis.txt").write_text("precious"),
        "sub-directory": (path / "x.parquet").mkdir,
        "linked table": lambda: (path / "x.parquet").symlink_to("a.parquet"),
    }
    extra[kind]()


STRANGERS = "file, link, no meta.json, another meta.json, damaged meta.json, meta.json is a directory, more"


@pytest.mark.parametrize("kind", [*STRANGERS.split(", "), "sub-directory", "linked table"])
def test_force_never_replaces_other_data(tmp_path, kind):
    make_stranger(kind, tmp_path / "s")
    before = sorted((str(path), path.lstat().st_mtime_ns) for path in tmp_path.rglob("*"))
    for refused in (write_directory, lambda path, _, force: check_output(path, force=force)):
        with pytest.raises(OutputError, match=r"s .* left as it is"):
            refused(tmp_path / "s", NEW, force=True)
    assert sorted((str(path), path.lstat().st_mtime_ns) for path in tmp_path.rglob("*")) == before


def test_other_data_that_comes_at_the_last_moment(tmp_path, way, monkeypatch):
    """Between the check and the swap somebody puts other data there: it is swapped back."""
    write_directory(tmp_path / "s", OLD)
    exchange, calls = swap_in._exchange, []

    def late(*args):
        if not calls:
            (tmp_path / "s" / "thesis.txt").write_text("precious")
        calls.append(args)
        exchange(*args)

    monkeypatch.setattr(swap_in, "_exchange", late)
    with pytest.raises(OutputError, match=r"thesis\.txt"):
        write_directory(tmp_path / "s", NEW, force=True)
    assert content(tmp_path / "s") == OLD | {"thesis.txt": b"precious"}
    assert os.listdir(tmp_path) == ["s"]


def test_old_one_that_goes_at_the_last_moment(tmp_path, way, monkeypatch):
    write_directory(tmp_path / "s", OLD)
    exchange = swap_in._exchange

    def late(*args):
        shutil.rmtree(tmp_path / "s", ignore_errors=True)
        exchange(*args)

    monkeypatch.setattr(swap_in, "_exchange", late)
    write_directory(tmp_path / "s", NEW, force=True)
    assert content(tmp_path / "s") == NEW
    assert os.listdir(tmp_path) == ["s"]


@pytest.mark.parametrize("make", [lambda path: write_directory(path, OLD), lambda path: path.write_bytes(b"x")])
def test_something_that_comes_at_the_last_moment(tmp_path, make, monkeypatch):
    """Without RENAME_NOREPLACE there is a moment between looking and renaming; rename(2) refuses then."""
    monkeypatch.setattr(swap_in, "_find_renameat2", lambda: None)
    rename = os.rename

    def late(*args, **kwargs):
        monkeypatch.setattr(os, "rename", rename)
        make(tmp_path / "s")
        rename(*args, **kwargs)

    monkeypatch.setattr(os, "rename", late)
    with pytest.raises(OutputExistsError):
        write_directory(tmp_path / "s", NEW)
    assert os.listdir(tmp_path) == ["s"]
    assert (tmp_path / "s").is_file() or content(tmp_path / "s") == OLD


def test_other_data_in_what_was_replaced_is_not_removed(tmp_path, monkeypatch):
    """Somebody writes into the replaced snapshot before it is removed: all of it stays, under the hidden name."""
    write_directory(tmp_path / "s", OLD)
    monkeypatch.setattr(
        os, "fsync", lambda _fd: [d.joinpath("thesis.txt").touch() for d in tmp_path.iterdir() if is_old(d)]
    )

    def is_old(directory):
        return directory.name != "s" and (directory / "a.parquet").exists()

    write_directory(tmp_path / "s", NEW, force=True)
    hidden = next(path for path in tmp_path.iterdir() if path.name != "s")
    assert content(hidden) == OLD | {"thesis.txt": b""}
    assert content(tmp_path / "s") == NEW


# --- outputs that cannot be ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "/", ".", "..", "s/..", "s/."])
def test_no_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s").mkdir()
    with pytest.raises(OutputError, match="is no name for a new directory"):
        check_output(name)


def test_parent_is_missing_or_a_file(tmp_path):
    (tmp_path / "file").touch()
    for parent, what in (("gone", "does not exist"), ("file", "is not a directory")):
        with pytest.raises(OutputError, match=f"{parent} {what}"):
            check_output(tmp_path / parent / "s")


def test_name_is_too_long(tmp_path):
    with pytest.raises(OutputError, match="File name too long"):
        check_output(tmp_path / ("n" * 256))
    write_directory(tmp_path / ("n" * 255), NEW)


@pytest.fixture
def public():
    """A directory that other users can reach; pytest's own they cannot."""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        yield Path(directory)


@contextlib.contextmanager
def nobody():
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@needs_root
def test_parent_is_not_writable(public):
    for refused in (check_output, lambda path: write_directory(path, NEW)):
        with nobody(), pytest.raises(OutputError, match="s could not be written: Permission denied"):
            refused(public / "s")
    assert os.listdir(public) == []


@needs_root
def test_other_users_snapshot_is_not_replaced(public):
    write_directory(public / "s", OLD)
    public.chmod(0o777)
    with nobody(), pytest.raises(OutputError, match="s cannot be read"):
        check_output(public / "s", force=True)
    assert content(public / "s") == OLD


# --- failures under way ----------------------------------------------------------------------------------------------

FAULTS = [
    OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
    OSError(errno.EROFS, "ro"),
    KeyboardInterrupt(),
    MemoryError(),
]


@pytest.mark.parametrize("fault", FAULTS, ids=repr)
@pytest.mark.parametrize("call", ["mkdir", "open", "write", "fchmod", "fsync", "rename"])
@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("old", [True, False])
def test_failure_leaves_what_was_there(tmp_path, monkeypatch, fault, call, nth, old):
    """Let the nth of each kind of system call fail while the directory is filled or swapped in."""
    if old:
        write_directory(tmp_path / "s", OLD)
    monkeypatch.setattr(swap_in, "_find_renameat2", lambda: None)
    real, calls = getattr(os, call), []
    whole_length = 2 * len(NEW) + 2

    def fail(*args, **kwargs):
        made_by_us = call != "open" or args[1] & os.O_CREAT
        calls.extend([1] * bool(made_by_us))
        if made_by_us and len(calls) == nth:
            raise fault
        return real(*args, **kwargs)

    monkeypatch.setattr(os, call, fail)
    expected = OutputError if isinstance(fault, OSError) else type(fault)
    happens = not (call == "mkdir" and nth == 2) and not (call == "rename" and nth == 2 and not old)
    if happens:
        with pytest.raises(expected):
            write_directory(tmp_path / "s", NEW, force=True)
    else:
        write_directory(tmp_path / "s", NEW, force=True)
    monkeypatch.undo()
    assert len(calls) <= whole_length
    assert os.listdir(tmp_path) == (["s"] if old or not happens else [])
    if old or not happens:
        assert content(tmp_path / "s") == (OLD if happens else NEW)


def test_short_writes_are_continued(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:7]))
    write_directory(tmp_path / "s", NEW)
    assert content(tmp_path / "s") == NEW


def test_no_space_says_how_much_it_needs(tmp_path, monkeypatch):
    def full(*_args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(
        OutputError, match=rf"s could not .*: No space left on device; it needs 7.0 MiB, .* free in {tmp_path}"
    ):
        write_directory(tmp_path / "s", {"meta.json": b"x" * (7 << 20)})


PRIVATE_TMPFS = """
mount -t tmpfs -o size=256k tmpfs "$1" &&
exec "$2" -c '
import os, sys
from mapcount.errors import OutputError
from mapcount.mapping.swap_in import check_output, write_directory
os.chdir(sys.argv[1])
old = {"meta.json": b"{\\"schema_version\\": 1}"}
write_directory("s", old)
for name, force in (("s", True), ("t", False)):
    try:
        write_directory(name, {"a.parquet": bytes(100_000), "b.parquet": bytes(200_000)}, force=force)
    except OutputError as error:
        print(error)
print(os.listdir("."), os.listdir("s"))
os.system("mount -o remount,ro .")
try:
    check_output("u")
except OutputError as error:
    print(error)
' "$1"
"""


@needs_root
@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare (util-linux)")
def test_a_really_full_and_a_really_read_only_file_system(tmp_path):
    allowed = subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False)
    if allowed.returncode:
        pytest.skip("mount namespaces are not allowed here")
    shell = ["unshare", "-m", "sh", "-c", PRIVATE_TMPFS, "sh", str(tmp_path), sys.executable]
    lines = subprocess.run(shell, capture_output=True, text=True, check=True).stdout.splitlines()
    for name, line in zip("st", lines, strict=False):
        assert line.startswith(f"{name} could not be written: No space left on device; it needs 293 KiB, ")
    assert lines[2] == "['s'] ['meta.json']"
    assert lines[3].startswith("u could not be written: Read-only file system")


# --- others at the same time -----------------------------------------------------------------------------------------

SAVER = """
    import sys
    from mapcount.errors import OutputExistsError
    from mapcount.mapping.swap_in import write_directory
    path, mark, force = sys.argv[1], sys.argv[2], sys.argv[3] == "force"
    print("ready", flush=True)
    sys.stdin.readline()
    won = 0
    for n in range(11):
        files = {"meta.json": b'{"schema_version": 1}', "a.parquet": mark.encode(), "b.parquet": mark.encode()}
        try:
            write_directory(path if force else f"{path}{n}", files, force=force)
            won += 1
        except OutputExistsError:
            pass
    print(won)
"""


def race(path: Path, force: str) -> list[int]:
    command = [sys.executable, "-c", textwrap.dedent(SAVER), str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    savers = [subprocess.Popen([*command, mark, force], **pipes) for mark in "xy"]
    assert [saver.stdout.readline() for saver in savers] == [b"ready\n"] * 2
    for saver in savers:
        saver.stdin.write(b"go\n")
        saver.stdin.flush()
    return [int(saver.communicate(timeout=HANG_S)[0]) for saver in savers]


def test_of_two_savers_one_wins(tmp_path):
    assert sum(race(tmp_path / "s", "")) == 11
    assert sorted(os.listdir(tmp_path)) == sorted(f"s{n}" for n in range(11))
    for n in range(11):
        made = content(tmp_path / f"s{n}")
        assert made["a.parquet"] == made["b.parquet"], "a mixture of both"


def test_two_savers_with_force(tmp_path):
    assert race(tmp_path / "s", "force") == [11, 11]
    assert os.listdir(tmp_path) == ["s"]
    assert content(tmp_path / "s")["a.parquet"] == content(tmp_path / "s")["b.parquet"]


@needs_root
def test_under_sudo_all_belongs_to_the_caller(tmp_path, monkeypatch):
    monkeypatch.setenv("SUDO_UID", "1009")
    monkeypatch.setenv("SUDO_GID", "1013")
    write_directory(tmp_path / "s", NEW)
    owners = {(path.stat().st_uid, path.stat().st_gid) for path in (tmp_path / "s", *(tmp_path / "s").iterdir())}
    assert owners == {(1009, 1013)}


def test_without_root_the_variables_of_sudo_mean_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("SUDO_UID", "1009")
    monkeypatch.setenv("SUDO_GID", "1013")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    write_directory(tmp_path / "s", NEW)
    assert (tmp_path / "s").stat().st_uid == os.getuid()
