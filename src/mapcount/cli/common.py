"""Options that commands share, and what they mean: colour, notes on stderr, width."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from mapcount.report.table import View

FORMATS = ("table", "json", "ndjson", "csv", "parquet")


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add what every command has: -q, -v, --color."""
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress and no notes on stderr")
    parser.add_argument("-v", "--verbose", action="store_true", help="say more")
    parser.add_argument(
        "--color", choices=("auto", "always", "never"), default="auto", help="colour (default: auto; honours NO_COLOR)"
    )


def add_output(parser: argparse.ArgumentParser, what: str) -> None:
    """Add -o and --force."""
    parser.add_argument("-o", "--output", metavar="FILE", help=what)
    parser.add_argument("--force", action="store_true", help="replace FILE if it exists")


def add_top(parser: argparse.ArgumentParser) -> None:
    """Add --top: for commands that print lists."""
    parser.add_argument(
        "--top",
        metavar="N",
        type=natural,
        default=10,
        help="rows per list; 0 for all (default: 10; data formats hold all)",
    )


def add_format(parser: argparse.ArgumentParser, formats: tuple[str, ...] = FORMATS) -> None:
    """Add --format and --json, --wide and --no-pager."""
    parser.add_argument("--format", choices=formats, default="table", help="output format (default: table)")
    parser.add_argument("--json", dest="format", action="store_const", const="json", help="short for --format json")
    parser.add_argument(
        "-w", "--wide", action="store_true", help="use the width of the terminal, not 80 columns; do not shorten names"
    )
    parser.add_argument("--no-pager", action="store_true", help="do not pipe long output through $PAGER")


def add_scope(parser: argparse.ArgumentParser) -> None:
    """Add -p, --cgroup and --check-all: what to capture."""
    parser.add_argument(
        "-p", "--pid", metavar="PID", type=positive, action="append", default=[], help="this process alone; repeatable"
    )
    parser.add_argument("--cgroup", metavar="PATH", help="the processes of this cgroup and those below it alone")
    parser.add_argument(
        "--check-all",
        action="store_true",
        help="check Rss and Pss of processes above 1 GiB too: smaps_rollup holds their mmap_lock, about 10 ms a GiB",
    )


def natural(text: str) -> int:
    """Parse an integer of at least 0, for argparse."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer of at least 0")
    return int(text)


def positive(text: str) -> int:
    """Parse an integer of at least 1, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer of at least 1")
    return int(text)


def seconds(text: str) -> float:
    """Parse a number of seconds above 0, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value


def wants_colour(choice: str, stream: TextIO) -> bool:
    """Say whether to colour: as told; else on a terminal, unless NO_COLOR is set or the terminal is dumb."""
    if choice != "auto":
        return choice == "always"
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"


def say(args: argparse.Namespace, words: str) -> None:
    """Print a note on stderr, unless -q."""
    if not args.quiet:
        print(words, file=sys.stderr)


def warn(words: str) -> None:
    """Print on stderr what must be known even with -q."""
    print(f"mapcount: {words}", file=sys.stderr)


def view_of(args: argparse.Namespace) -> View:
    """Return how to lay out tables: 80 columns, fewer on a narrow terminal, more with --wide."""
    from mapcount.report.table import DEFAULT_WIDTH, View

    # Not a terminal, and no COLUMNS: with --wide there is nothing to fit into.
    columns = shutil.get_terminal_size((10_000 if args.wide else DEFAULT_WIDTH, 24)).columns
    return View(
        width=columns if args.wide else min(columns, DEFAULT_WIDTH), top=getattr(args, "top", 0), verbose=args.verbose
    )
