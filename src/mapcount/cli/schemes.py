"""`mapcount schemes`: the catalogue of ways of counting, and one of them in full."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.cli.common import FORMATS, add_common, add_format, add_output, view_of
from mapcount.errors import EXIT_OK, UsageError

if TYPE_CHECKING:
    import argparse

NAME = "schemes"
HELP = "list the ways of counting, or show one in full: words, costs, promises; or without some of its words"


def prepare(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("scheme", metavar="SCHEME", nargs="?", help="`name` or `name:variant` (default: list them all)")
    parser.add_argument(
        "--without",
        metavar="WORD[,WORD]",
        action="append",
        help="SCHEME without these words: what of it dies, what becomes an estimate, what gets cheaper",
    )
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
    if args.without:
        return _ablate(args)
    found = [describe(args.scheme)] if args.scheme else describe_all()
    if args.format == "json":
        write(args, designs.document(found))
    elif args.scheme:
        print_parts(args, designs.design(found[0], view_of(args)))
    else:
        print_parts(args, designs.catalogue(found, view_of(args)))
    return EXIT_OK


def _ablate(args: argparse.Namespace) -> int:
    from mapcount.check.ablation import ablate
    from mapcount.cli.output import write
    from mapcount.cli.report import print_parts
    from mapcount.report import ablation
    from mapcount.schemes.catalogue import find_scheme

    if not args.scheme:
        raise UsageError("--without is about one way of counting: name it, as in mapcount schemes mm-id --without WORD")
    words = list(dict.fromkeys(word for given in args.without for word in given.split(",")))
    found = ablate(find_scheme(args.scheme), words)
    if args.format == "json":
        write(args, ablation.document(found))
    else:
        print_parts(args, ablation.ablation(found, view_of(args)))
    return EXIT_OK
