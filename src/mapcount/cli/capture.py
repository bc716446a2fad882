"""`mapcount capture`: take a snapshot of this machine, or of a kernel in a guest."""

from __future__ import annotations

import os
import re
import shlex
import sys
import time
from typing import TYPE_CHECKING

from mapcount.cli.common import add_common, add_output, add_scope, positive, say, seconds, warn
from mapcount.errors import EXIT_OK, KernelFeatureError, PartialCaptureError, UsageError
from mapcount.units import format_bytes

if TYPE_CHECKING:
    import argparse

    from mapcount.mapping.snapshot import Snapshot

NAME = "capture"
HELP = "take a snapshot of this machine, or of a guest: who maps what"

_FREEZE_WARNING = (
    "--freeze stops the named processes while they are read: a parent sees it (SIGCHLD, waitpid), and system calls may "
    "return EINTR. Where a cgroup holds none but them it is frozen instead (cgroup.freeze), and nobody outside notices"
)


def prepare(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_scope(parser)
    add_output(
        parser, "name of the snapshot (default: mapcount-HOST-UTC.mapsnap); - for a tar of it on standard output"
    )
    parser.add_argument("--keep-pfns", action="store_true", help="store page frame numbers too")
    parser.add_argument(
        "--keep-small", action="store_true", help="store each order-0 folio too, not only how many there are"
    )
    parser.add_argument("--redact", action="store_true", help="hide names of processes, files and cgroups")
    parser.add_argument(
        "--freeze", action="store_true", help="stop the named processes meanwhile (needs --pid or --cgroup)"
    )
    parser.add_argument(
        "--max-seconds", metavar="S", type=seconds, help="end after S seconds, with what was seen so far"
    )
    parser.add_argument("--max-cpu", metavar="S", type=seconds, help="end after S seconds of CPU time, likewise")
    parser.add_argument("--strict", action="store_true", help="exit code 5 if the snapshot is not complete")
    parser.add_argument(
        "--guest",
        metavar="KERNEL",
        help="boot a kernel image (series, name or path) and take one of it, with all words of its folios",
    )
    parser.add_argument("--scenario", metavar="NAME", help="with --guest: a file, or a name of `mapcount run --list`")
    parser.add_argument(
        "--steps",
        metavar="N",
        type=positive,
        help="after N steps of it (default: the last that leaves anything mapped)",
    )
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Capture, write, and say what to do next."""
    from mapcount.cli.guest_capture import check_guest_options, take_of_guest

    check_guest_options(args)
    if args.freeze and not args.pid and not args.cgroup:
        raise UsageError("--freeze stops what is named with --pid or --cgroup, never the whole machine; name one")
    if args.output == "-" and sys.stdout.isatty():
        raise UsageError("-o - writes a tar and standard output is a terminal; redirect it, or give a name with -o")
    require_linux()
    path = args.output or _default_path(args)
    if path != "-":
        from mapcount.mapping.swap_in import check_output

        check_output(path, force=args.force)
    if args.freeze:
        warn(_FREEZE_WARNING)
    snapshot = take_of_guest(args) if args.guest else take(args)
    _write(args, snapshot, path)
    if args.strict and (lack := what_is_missing(snapshot)):
        raise PartialCaptureError(f"the snapshot is not complete: {lack}")
    return EXIT_OK


def take(args: argparse.Namespace) -> Snapshot:
    """Capture as the options say, with progress on stderr; options that the command lacks have their defaults."""
    from mapcount.capture.session import capture
    from mapcount.cli.progress import progress_for

    progress = progress_for(args)
    try:
        return capture(
            pids=args.pid,
            cgroup=args.cgroup,
            check_all=args.check_all,
            keep_pfns=getattr(args, "keep_pfns", False),
            keep_small=getattr(args, "keep_small", False),
            redact=getattr(args, "redact", False),
            max_seconds=getattr(args, "max_seconds", None),
            max_cpu_s=getattr(args, "max_cpu", None),
            freeze=getattr(args, "freeze", False),
            progress=progress,
        )
    finally:
        if progress:
            progress.close()


def require_linux() -> None:
    """Raise KernelFeatureError where there is no /proc of Linux."""
    if sys.platform != "linux":
        raise KernelFeatureError(
            f"this is {sys.platform}; capturing needs Linux and its /proc. A snapshot from elsewhere can be read here: "
            "mapcount report SNAPSHOT"
        )


def _default_path(args: argparse.Namespace) -> str:
    return default_name(f"guest-{os.path.basename(args.guest)}" if args.guest else "", redacted=args.redact)


def default_name(host: str = "", *, redacted: bool = False) -> str:
    """Return the name of a snapshot taken now: host (by default this one; not of a redacted one) and UTC time."""
    import socket

    host = "redacted" if redacted else re.sub(r"[^\w.-]", "_", host or socket.gethostname()) or "host"
    return f"mapcount-{host}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.mapsnap"


def what_is_missing(snapshot: Snapshot) -> str:
    """Say why the snapshot does not hold everything that was asked for; empty if it does."""
    if snapshot.meta.partial:
        return snapshot.meta.partial
    return "folios cannot be seen without privilege" if snapshot.meta.tier == "no-pfn" else ""


def folios_hidden(beginning: str = "folios cannot be seen") -> str:
    """Say in one line what may not be seen, why, and the cure."""
    from mapcount.capture.privileges import look

    lacks = look().lacks()
    why = lacks.get("pfns") or lacks.get("kpageflags") or next(iter(lacks.values()), "the kernel gave no reason")
    return f"{beginning}: {why}"


def _write(args: argparse.Namespace, snapshot: Snapshot, path: str) -> None:
    if path == "-":
        from mapcount.cli.stream import write_tar

        write_tar(snapshot, sys.stdout.buffer, _default_path(args))
        sys.stdout.buffer.flush()
        return
    size = snapshot.save(path, force=args.force)
    meta = snapshot.meta
    if meta.tier == "no-pfn":
        warn(folios_hidden("the snapshot holds no folios"))
    if meta.partial:
        warn(f"the snapshot is partial: {meta.partial}")
    if args.verbose:
        for note in meta.notes:
            say(args, f"Note: {note}")
    say(args, f"Wrote {path} ({len(snapshot.folios):,} folios, {len(snapshot.runs):,} runs, {format_bytes(size)})")
    say(args, f"Next: mapcount report {shlex.quote(path)}")
