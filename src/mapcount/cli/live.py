"""This machine, now: as root, with sudo for the capture, or as much of it as may be seen and an example."""

from __future__ import annotations

import importlib.resources
import os
import sys
from typing import TYPE_CHECKING

from mapcount.cli.capture import folios_hidden, take
from mapcount.cli.common import say, view_of, warn
from mapcount.cli.html import is_text_wanted
from mapcount.cli.report import extra_rows, print_parts, print_rows, show, table_parts, write_page
from mapcount.cli.sudo import SudoRefusedError, capture_with_sudo

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from rich.console import RenderableType

    from mapcount.mapping.snapshot import Snapshot


def report_live(args: argparse.Namespace) -> None:
    """Capture this machine and report on it; where folios are hidden, on what may be seen and on the example."""
    if sys.platform != "linux":
        warn(
            f"this is {sys.platform}: mappings can be captured on Linux alone; this is an example from another machine"
        )
        show(args, _example_or_error())
        return
    snapshot, hidden = capture_machine(args)
    if snapshot.meta.tier != "no-pfn":
        show(args, snapshot)
        return
    warn(hidden)
    if args.html is not None:
        from mapcount.survey.run import survey

        write_page(args, survey(snapshot), snapshot)
    if not is_text_wanted(args):
        return
    if args.format != "table":
        from mapcount.survey.run import survey

        print_rows(args, survey(snapshot), snapshot)
    else:
        print_parts(args, _without_privilege(args, snapshot))


def load_example() -> Snapshot | None:
    """Return the snapshot that ships with the package; None if this installation lacks it."""
    from mapcount.mapping.snapshot import Snapshot

    with importlib.resources.as_file(importlib.resources.files("mapcount") / "data" / "example.mapsnap") as path:
        return Snapshot.load(path) if path.is_dir() else None


def capture_machine(args: argparse.Namespace) -> tuple[Snapshot, str]:
    """Return a snapshot of this machine, with sudo if that was asked for, and the line to print if its folios are hidden."""
    if args.sudo and os.geteuid() != 0:
        try:
            return capture_with_sudo(args), folios_hidden("folios cannot be seen even with sudo")
        except SudoRefusedError as refused:
            snapshot = take(args)
            return snapshot, folios_hidden(f"{refused}, so folios cannot be seen")
    snapshot = take(args)
    return snapshot, folios_hidden() if snapshot.meta.tier == "no-pfn" else ""


def _without_privilege(args: argparse.Namespace, snapshot: Snapshot) -> Iterator[RenderableType]:
    from mapcount.report import public
    from mapcount.report.layout import heading
    from mapcount.survey.run import survey

    yield from public.section(snapshot, view_of(args))
    example = load_example()
    if example is None:
        say(args, "mapcount: the example snapshot is not part of this installation")
        return
    yield heading("EXAMPLE: another machine (the snapshot that ships with mapcount)")
    yield from table_parts(args, survey(example), example, extra_rows(args, example))


def _example_or_error() -> Snapshot:
    from mapcount.errors import KernelFeatureError

    example = load_example()
    if example is None:
        raise KernelFeatureError("there is nothing to report on; name a snapshot: mapcount report SNAPSHOT")
    return example
