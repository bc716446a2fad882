"""`mapcount completion`: shell completion, from the same parser as the help."""

from __future__ import annotations

import argparse
import sys

from mapcount.errors import EXIT_OK

NAME = "completion"
HELP = "print the completion script of a shell"

_SHELLS = ("bash", "zsh", "tcsh")
_FILES = {"output", "snapshot", "before", "after"}
"""Arguments that are names of files or directories."""


def prepare(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("shell", metavar="SHELL", choices=_SHELLS, help=f"{', '.join(_SHELLS)}")
    parser.epilog = 'For bash: eval "$(mapcount completion bash)"'


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    import shtab

    from mapcount.cli import build_parser

    parser = build_parser()
    for action in _actions(parser):
        if action.dest in _FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined] # the way shtab is told
    sys.stdout.write(shtab.complete(parser, shell=args.shell) + "\n")
    return EXIT_OK


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Return the actions of a parser and of all its sub-parsers."""
    found = list(parser._actions)  # noqa: SLF001 - argparse has no public way to list them
    for action in parser._actions:  # noqa: SLF001
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for child in action.choices.values():
                found += _actions(child)
    return found
