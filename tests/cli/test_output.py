"""Where results go: the pager, for a terminal alone; files, whole or not at all."""

from __future__ import annotations

import argparse
import os
import pty
import subprocess
import sys

import pytest

from mapcount.cli import output
from mapcount.cli.common import wants_colour
from mapcount.errors import OutputError, OutputExistsError, UsageError


def in_a_terminal(command, environment, rows=24, columns=80):
    """Run a command with a terminal as its standard output; return what it wrote there."""
    controller, terminal = pty.openpty()
    os.set_blocking(controller, True)
    size = rows.to_bytes(2, sys.byteorder) + columns.to_bytes(2, sys.byteorder) + bytes(4)
    import fcntl
    import termios

    fcntl.ioctl(terminal, termios.TIOCSWINSZ, size)
    child = subprocess.Popen(command, stdout=terminal, stdin=subprocess.DEVNULL, env=environment)
    os.close(terminal)
    shown = b""
    while True:
        try:
            chunk = os.read(controller, 1 << 16)
        except OSError:  # how Linux says that nobody has the terminal open any more
            chunk = b""
        if not chunk:
            break
        shown += chunk
    os.close(controller)
    assert child.wait(60) == 0
    return shown.decode().replace("\r\n", "\n")


@pytest.fixture
def environment(tmp_path):
    pager = tmp_path / "pager"
    pager.write_text("#!/bin/sh\necho PAGED\ncat\n")
    pager.chmod(0o700)
    inherited = {key: value for key, value in os.environ.items() if key not in {"NO_COLOR", "COLUMNS", "LINES"}}
    return inherited | {"PAGER": str(pager), "TERM": "xterm"}


def report(snapshot, *options):
    return [sys.executable, "-m", "mapcount", "report", snapshot, *options]


def test_long_output_goes_through_the_pager(snapshot, environment):
    assert in_a_terminal(report(snapshot), environment).startswith("PAGED\n")


@pytest.mark.parametrize("options", [["--no-pager"], ["--json"], ["-o", "-", "--no-pager"]])
def test_no_pager_if_told_or_for_programs(snapshot, environment, options):
    assert "PAGED" not in in_a_terminal(report(snapshot, *options), environment)


def test_no_pager_if_it_fits(snapshot, environment):
    assert "PAGED" not in in_a_terminal(report(snapshot), environment, rows=500)


def test_a_terminal_has_colour_unless_told_otherwise(snapshot, environment):
    command = report(snapshot, "--no-pager")

    assert "\x1b[" in in_a_terminal(command, environment)
    assert "\x1b" not in in_a_terminal(command, environment | {"NO_COLOR": "1"})
    assert "\x1b" not in in_a_terminal(command, environment | {"TERM": "dumb"})


def test_the_report_is_never_wider_than_80_columns_unless_asked(snapshot, environment):
    wide = in_a_terminal(report(snapshot, "--no-pager", "--color", "never"), environment, columns=200)

    assert max(map(len, wide.splitlines())) <= 80


def test_colour_on_request_goes_before_no_color(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")

    assert wants_colour("always", sys.stdout)
    assert not wants_colour("auto", sys.stdout)


def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "r.json"
    path.write_bytes(b"before")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)

    with pytest.raises(OutputError, match=r"No space left.*unchanged"):
        output.write_file(str(path), b"after", force=True)

    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["r.json"]


def test_a_link_is_followed_and_stays_a_link(tmp_path):
    (tmp_path / "real").write_bytes(b"before")
    (tmp_path / "link").symlink_to("real")

    with pytest.raises(OutputExistsError):
        output.write_file(str(tmp_path / "link"), b"after", force=False)
    output.write_file(str(tmp_path / "link"), b"after", force=True)

    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"after"


def test_binary_is_not_written_to_a_terminal(monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)

    with pytest.raises(UsageError, match="parquet"):
        output.check_file(argparse.Namespace(output=None, format="parquet", force=False))


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a file away needs root")
def test_under_sudo_a_file_belongs_to_the_caller(tmp_path, monkeypatch):
    monkeypatch.setenv("SUDO_UID", "1009")
    monkeypatch.setenv("SUDO_GID", "1013")
    path = tmp_path / "report.txt"
    output.write_file(str(path), b"new", force=False)
    found = path.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (1009, 1013, 0o600)
