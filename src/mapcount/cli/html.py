"""--html: a page for a browser, in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.cli.common import say

if TYPE_CHECKING:
    import argparse

    from mapcount.report.html.page import Page


def add_html(parser: argparse.ArgumentParser) -> None:
    """Add --html; what it writes is up to the command (check_file of output.py refuses a FILE that cannot be)."""
    parser.add_argument(
        "--html",
        metavar="FILE",
        help="write a page for a browser to FILE, in place of tables; with -o, --by or --json also those",
    )


def is_text_wanted(args: argparse.Namespace) -> bool:
    """Say whether the command is to print too: without --html, or if -o, --by or another format asks for it."""
    asked = args.output is not None or getattr(args, "by", None) is not None or args.format != "table"
    return args.html is None or asked


def write_html(args: argparse.Namespace, page: Page) -> None:
    """Write the page to the file of --html (0600, whole or not at all), and say so on stderr."""
    from mapcount.cli.output import write_file
    from mapcount.report.html.render import render
    from mapcount.units import format_bytes

    data = render(page).encode()
    write_file(args.html, data, force=args.force)
    say(args, f"Wrote {args.html} ({format_bytes(len(data))}); open it in a browser")
