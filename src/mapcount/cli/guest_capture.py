"""`mapcount capture --guest`: a snapshot of a kernel in a guest, after a scenario."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from mapcount.cli.common import say
from mapcount.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from mapcount.kernels.guest_backend import GuestBackend
    from mapcount.mapping.snapshot import Snapshot

_OF_THIS_MACHINE = ("pid", "cgroup", "check_all", "freeze", "max_seconds", "max_cpu")


def check_guest_options(args: argparse.Namespace) -> None:
    """Raise UsageError for options that do not go together."""
    if not args.guest:
        if args.scenario is not None or args.steps is not None:
            raise UsageError("--scenario and --steps say what is done in a guest; name its kernel with --guest")
        return
    if args.steps is not None and args.scenario is None:
        raise UsageError("--steps counts the steps of a scenario; name one with --scenario")
    for name in _OF_THIS_MACHINE:
        if getattr(args, name):
            raise UsageError(f"--{name.replace('_', '-')} is for processes of this machine; leave it out with --guest")


def take_of_guest(args: argparse.Namespace) -> Snapshot:
    """
    Boot the kernel that --guest names, do what --scenario says, and return who maps what there.

    Raises what find_image, GuestBackend and leave_at raise.
    """
    from mapcount.kernels.guest_backend import GuestBackend
    from mapcount.kernels.images import find_image

    image = find_image(args.guest)
    say(args, f"Booting {image.release}")
    with GuestBackend(image) as backend:
        note = _do(args, backend)
        snapshot = backend.snapshot(note, command_line=" ".join(sys.argv), keep_pfns=args.keep_pfns)
    if args.redact:
        from mapcount.mapping.redact import redact

        snapshot = redact(snapshot)
    return snapshot


def _do(args: argparse.Namespace, backend: GuestBackend) -> str:
    """Do what is to be done before; return a sentence about it."""
    if args.scenario is None:
        return f"A guest, {backend.name}, after it booted: /init alone runs."
    from mapcount.cli.scenario_file import read_scenario
    from mapcount.scenarios.run import leave_at

    where = leave_at(read_scenario(args.scenario), backend, args.steps)
    return f"A guest, {backend.name}, after {where}."
