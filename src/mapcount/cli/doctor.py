"""`mapcount doctor`: what this kernel lets us see, and what follows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.cli.common import FORMATS, add_common, add_format, add_output
from mapcount.errors import EXIT_NOT_ALLOWED, EXIT_OK

if TYPE_CHECKING:
    import argparse

NAME = "doctor"
HELP = "say what this kernel lets us see, and what follows (exit code 3: no folios)"


def prepare(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_output(parser, "write it to FILE")
    add_format(parser, FORMATS[:2])
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Print every finding; the exit code says whether folios can be captured."""
    from mapcount.capture.doctor import examine
    from mapcount.cli.capture import require_linux
    from mapcount.cli.output import check_file, write
    from mapcount.cli.report import print_parts
    from mapcount.report import findings

    require_linux()
    check_file(args)
    found = examine()
    if args.format == "json":
        write(args, findings.document(found))
    else:
        print_parts(args, findings.section(found))
    return EXIT_OK if findings.can_capture(found) else EXIT_NOT_ALLOWED
