"""Root for the capture alone: the capture runs under sudo and hands its snapshot back through a pipe."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from mapcount.errors import EXIT_INTERRUPTED, EXIT_USAGE, BadSnapshotError, MapcountError

if TYPE_CHECKING:
    import argparse

    from mapcount.mapping.snapshot import Snapshot


class SudoRefusedError(MapcountError):
    """sudo is missing or did not run the capture. The message says which; the caller goes on without it."""


def command_line(args: argparse.Namespace, *, tty: bool) -> list[str]:
    """
    Return the command that captures under sudo; without a `tty` sudo must not ask for a password.

    It is this interpreter, isolated (-I: root imports nothing that the user's environment or directory brings in) and
    without writing bytecode (-B: nothing root-owned is left in the tree).
    """
    scope = [word for pid in args.pid for word in ("--pid", str(pid))]
    scope += ["--cgroup", args.cgroup] if args.cgroup else []
    scope += ["--check-all"] if args.check_all else []
    quiet = ["--quiet"] if args.quiet else []
    python = [sys.executable, "-B", "-I", "-m", "mapcount", "capture", "-o", "-"]
    return ["sudo", *([] if tty else ["-n"]), "--", *python, *scope, *quiet]


def capture_with_sudo(args: argparse.Namespace) -> Snapshot:
    """
    Return a snapshot taken by a child under sudo, which may ask for a password on the terminal.

    Raises SudoRefusedError if sudo is missing or refuses; SystemExit if the child has said itself what is wrong with
    the arguments. Ctrl-C ends the child's capture, which hands back what it has.
    """
    interrupted = []
    before = signal.signal(signal.SIGINT, lambda *_: interrupted.append(True))
    try:
        snapshot, code = _run(command_line(args, tty=sys.stdin.isatty()))
    except OSError as error:
        raise SudoRefusedError(f"sudo cannot be run ({error.strerror})") from error
    finally:
        signal.signal(signal.SIGINT, before)
    if snapshot is not None:
        return snapshot
    if interrupted or code == EXIT_INTERRUPTED:
        raise KeyboardInterrupt
    if code == EXIT_USAGE:
        raise SystemExit(code)
    raise SudoRefusedError(f"sudo did not run the capture (exit code {code})")


def _run(command: list[str]) -> tuple[Snapshot | None, int]:
    from mapcount.cli.stream import read_tar

    snapshot = None
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        stream: Any = child.stdout
        with contextlib.suppress(BadSnapshotError):  # the exit code says why there is none
            snapshot = read_tar(stream)
        stream.read()  # what follows the tar: the child must not meet a closed pipe
        code = child.wait()
    return (snapshot if code == 0 else None), code
