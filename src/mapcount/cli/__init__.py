"""The command line: one file per sub-command, listed in `_COMMANDS`. Nothing heavy is imported before one runs."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Protocol

from mapcount import __version__
from mapcount.blas import start_no_blas_threads
from mapcount.cli import (
    capture,
    check,
    compare,
    completion,
    conform,
    cost,
    diff,
    doctor,
    explain,
    kernels,
    report,
    run,
    schemes,
)
from mapcount.errors import EXIT_INTERRUPTED, EXIT_OK, MapcountError

if TYPE_CHECKING:
    from collections.abc import Sequence

_EXIT_BROKEN_PIPE = 141
"""128 + SIGPIPE: what a shell shows of a program that the signal ended."""


class Command(Protocol):
    """A sub-command: a module with a name, one line of help, its options, and what it does."""

    NAME: str
    HELP: str

    def prepare(self, parser: argparse.ArgumentParser) -> None:
        """Add the options to the parser of the sub-command."""

    def run(self, args: argparse.Namespace) -> int:
        """Do it and return the exit code. Raises MapcountError for what a user can cure."""


_COMMANDS: tuple[Command, ...] = (
    capture,
    report,
    diff,
    doctor,
    compare,
    schemes,
    run,
    kernels,
    conform,
    check,
    cost,
    explain,
    completion,
)

_FIRST_RUN = """\
mapcount: who maps this folio, and how would the kernel know?

  mapcount report --sudo             who maps what on this machine, now
  mapcount capture -o a.mapsnap      a snapshot to keep (as root)
  mapcount diff a.mapsnap b.mapsnap  what changed between two snapshots

Without root it shows what may be seen, and an example.
mapcount doctor says what this kernel lets us see.
All commands: mapcount --help
All options of one: mapcount COMMAND --help"""

_EPILOG = """\
Exit codes: 0 done; 1 a finding (diff --exit-code, conform, check); 2 usage; 3 a privilege or kernel feature is missing;
4 a file cannot be read; 5 partial capture with --strict; 130 interrupted."""


def build_parser(formatter: type[argparse.HelpFormatter] = argparse.HelpFormatter) -> argparse.ArgumentParser:
    """Return the parser of all commands: for `main`, the man page and shell completion."""
    parser = argparse.ArgumentParser(
        prog="mapcount",
        description="Who maps this folio, and how would the kernel know?",
        epilog=_EPILOG,
        formatter_class=formatter,
    )
    parser.add_argument("-V", "--version", action="version", version=f"mapcount {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for command in _COMMANDS:
        child = commands.add_parser(
            command.NAME, help=command.HELP, description=f"{command.HELP}.", formatter_class=formatter
        )
        command.prepare(child)
        child.set_defaults(run=command.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; errors that a user can cure are one message on stderr."""
    argv = sys.argv[1:] if argv is None else argv
    start_no_blas_threads()
    try:
        code = _run(argv)
        sys.stdout.flush()
    except MapcountError as error:
        print(f"mapcount: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # Who read our output has gone: no message, and none from the interpreter when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _EXIT_BROKEN_PIPE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return code


def _run(argv: Sequence[str]) -> int:
    if not argv:
        print(_FIRST_RUN)
        return EXIT_OK
    args = build_parser(_formatter(argv)).parse_args(argv)
    if not args.command:
        print(_FIRST_RUN)
        return EXIT_OK
    code: int = args.run(args)
    return code


def _formatter(argv: Sequence[str]) -> type[argparse.HelpFormatter]:
    """Return a formatter with colour where help goes to a terminal. It costs 35 to 60 ms even if no help is printed."""
    from mapcount.cli.common import wants_colour

    if {"-h", "--help"}.isdisjoint(argv) or not wants_colour("auto", sys.stdout):
        return argparse.HelpFormatter
    from rich_argparse import RichHelpFormatter

    return RichHelpFormatter
