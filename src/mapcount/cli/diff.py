"""`mapcount diff`: two snapshots compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.cli.common import FORMATS, add_common, add_format, add_output, add_top, view_of
from mapcount.cli.html import add_html, is_text_wanted, write_html
from mapcount.errors import EXIT_FINDING, EXIT_OK

if TYPE_CHECKING:
    import argparse

NAME = "diff"
HELP = "compare two snapshots"


def prepare(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("before", metavar="BEFORE", help="a .mapsnap")
    parser.add_argument("after", metavar="AFTER", help="another, taken later")
    parser.add_argument("--exit-code", action="store_true", help="exit code 1 if there is a difference")
    add_output(parser, "write the comparison to FILE")
    add_html(parser)
    add_format(parser, FORMATS[:2])
    add_top(parser)
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Load both, compare, print."""
    from mapcount.cli.output import check_file, write
    from mapcount.cli.report import print_parts
    from mapcount.mapping.snapshot import Snapshot
    from mapcount.report import difference
    from mapcount.survey.diff import diff

    check_file(args)
    before, after = Snapshot.load(args.before), Snapshot.load(args.after)
    found = diff(before, after)
    if args.html is not None:
        from mapcount.report.html.diff_page import diff_page

        write_html(args, diff_page(found, before.meta, after.meta))
    if args.format == "json":
        write(args, difference.document(found, before.meta, after.meta))
    elif is_text_wanted(args):
        print_parts(args, difference.section(found, before.meta, after.meta, view_of(args)))
    return EXIT_FINDING if args.exit_code and difference.differs(found) else EXIT_OK
