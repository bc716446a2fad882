"""`mapcount schemes`: the catalogue of ways of counting, and one of them in full."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.cli.common import FORMATS, add_common, add_format, add_output, view_of
from mapcount.errors import EXIT_OK

if TYPE_CHECKING:
    import argparse

NAME = "schemes"
HELP = "list the ways of counting, or show one in full: words, costs, promises"


def prepare(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("scheme", metavar="SCHEME", nargs="?", help="`name` or `name:variant` (default: list them all)")
    add_output(parser, "write it to FILE")
    add_format(parser, FORMATS[:2])
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Describe, print."""
    from mapcount.cli.output import check_file, write
    from mapcount.cli.report import print_parts
    from mapcount.report import designs
    from mapcount.schemes.describe import describe, describe_all

    check_file(args)
    found = [describe(args.scheme)] if args.scheme else describe_all()
    if args.format == "json":
        write(args, designs.document(found))
    elif args.scheme:
        print_parts(args, designs.design(found[0], view_of(args)))
    else:
        print_parts(args, designs.catalogue(found, view_of(args)))
    return EXIT_OK
