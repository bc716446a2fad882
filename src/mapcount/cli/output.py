"""Where results go: a file that appears whole or not at all, a pager, or standard output."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

from mapcount.errors import OutputError, OutputExistsError, UsageError
from mapcount.mapping.swap_in import give_to_caller_of_sudo

if TYPE_CHECKING:
    import argparse

# For terminals that are not UTF-8; one character each, so that columns stay where they are.
_ASCII = str.maketrans({"…": "~", "─": "-", "✓": "+", "✗": "x"})


def check_file(args: argparse.Namespace) -> None:
    """Refuse, before any work is done, an output (-o, --html) that could not be written afterwards."""
    html = getattr(args, "html", None)
    if html is not None:
        if html == args.output:
            raise UsageError(f"-o and --html both name {html}; they are two files")
        _check_path(html, "--html", force=args.force)
    if args.output not in (None, "-"):
        _check_path(args.output, "-o", force=args.force)
    elif args.format == "parquet" and sys.stdout.isatty():
        raise UsageError("parquet is binary and standard output is a terminal; name a file with -o")


def _check_path(path: str, option: str, *, force: bool) -> None:
    if _is_file(path) and not force:
        raise OutputExistsError(path, option)
    if os.path.isdir(path):
        raise OutputError(f"{path} is a directory; name a file with {option}")
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise OutputError(f"cannot write {path}: there is no directory {folder}")


def write(args: argparse.Namespace, data: bytes) -> None:
    """Write data to the file of -o, else to standard output. Raises OutputError; BrokenPipeError if the reader left."""
    if args.output not in (None, "-"):
        write_file(args.output, data, force=args.force)
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def write_text(args: argparse.Namespace, text: str) -> None:
    """Write text for people: as `write`, and through the pager if it is longer than the terminal."""
    if args.output not in (None, "-"):
        write(args, text.encode())
        return
    encoding = sys.stdout.encoding or "utf-8"
    if encoding.lower().replace("-", "") != "utf8":
        text = text.translate(_ASCII)
    data = text.encode(encoding, "replace")
    pager = [] if args.no_pager else _pager(text.count("\n"))
    if not pager or not _page(pager, data):
        write(args, data)


def write_file(path: str, data: bytes, *, force: bool) -> None:
    """
    Write a file (0600) beside its final name and then move it there; devices and pipes are written to as they are.

    Under sudo a new file belongs to the user who called sudo.

    Raises OutputExistsError if there is a file and not `force`, OutputError if it cannot be written.
    """
    if _is_file(path) and not force:
        raise OutputExistsError(path)
    try:
        if os.path.exists(path) and not _is_file(path):
            with open(path, "wb") as device:
                device.write(data)
            return
        _swap_in(os.path.realpath(path), data)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}; what was there before is unchanged") from error


def _is_file(path: str) -> bool:
    return os.path.isfile(path) or (os.path.islink(path) and not os.path.exists(path))


def _swap_in(path: str, data: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(prefix=f".{os.path.basename(path)}.", dir=os.path.dirname(path))
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            give_to_caller_of_sudo(file.fileno())
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _pager(lines: int) -> list[str]:
    """Return the command of the pager; none if the output is short, not for a terminal, or there is no pager."""
    if not sys.stdout.isatty() or lines < shutil.get_terminal_size().lines:
        return []
    chosen = os.environ.get("PAGER")
    if chosen is None:
        return ["less", "-FRX"] if shutil.which("less") else []
    try:
        return shlex.split(chosen)
    except ValueError:
        return []


def _page(command: list[str], data: bytes) -> bool:
    """Show data in the pager until it is left; False if it cannot be started."""
    try:
        pager = subprocess.Popen(command, stdin=subprocess.PIPE)
    except OSError:
        return False
    # Ctrl-C belongs to the pager while it runs. A handler, not SIG_IGN: that would be inherited.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        with contextlib.suppress(BrokenPipeError):  # left before it had read all
            pager.communicate(data)
        pager.wait()
    finally:
        signal.signal(signal.SIGINT, before)
    return True
