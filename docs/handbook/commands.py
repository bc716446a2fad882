"""Every command and option, from the parser that the command line itself uses, as Markdown."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from mapcount.cli import build_parser

if TYPE_CHECKING:
    from collections.abc import Iterator


def commands_text() -> str:
    """Return one section per command: what it does, how it is called, its arguments and options."""
    (commands,) = [a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction)]  # noqa: SLF001 - argparse has no public way to list them
    return "\n".join(line for name, parser in commands.choices.items() for line in _section(name, parser))


def _section(name: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    yield from (f"## {name}", "", _sentence(parser.description or ""), "")
    yield from ("```text", parser.format_usage().strip(), "```", "")
    yield from ("| option | does |", "|---|---|")
    for action in parser._actions:  # noqa: SLF001
        yield f"| {_spelled(action)} | {_cell(action.help or '')} |"
    yield ""
    if parser.epilog:
        yield from (_cell(parser.epilog), "")


def _spelled(action: argparse.Action) -> str:
    """Return an option with all its names and what it takes; of an argument its name."""
    choices = "{" + ",".join(map(str, action.choices)) + "}" if action.choices else ""
    takes = "" if action.nargs == 0 else str(action.metavar or choices or action.dest.upper())
    return f"`{', '.join(action.option_strings)} {takes}`".replace("` ", "`").replace(" `", "`").replace("|", "\\|")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _cell(text: str) -> str:
    """Return help as a cell: argparse's %% is %, and what Markdown would obey is written out."""
    plain = text.replace("%%", "%").replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_")
    return plain.replace("$(", "\\$(")
