"""docs/reference/cli.md against the parser and the exit codes: every option is described, and no other."""

from __future__ import annotations

import argparse
import re

import pytest

from docs.pages import ROOT, plain, sections, table
from mapcount import cli, errors

SECTIONS = sections(ROOT / "docs" / "reference" / "cli.md")
ANCHORS = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-"): title for title in SECTIONS}


def parsers():
    actions = cli.build_parser()._actions
    (commands,) = [action for action in actions if isinstance(action, argparse._SubParsersAction)]
    return commands.choices


def spelled(action):
    """Return an option as the page spells it: all its names, and what it takes."""
    takes = "" if action.nargs == 0 else action.metavar or "{" + ",".join(action.choices) + "}"
    return f"{', '.join(action.option_strings)} {takes}".strip()


def told(title):
    """Return the options that a section describes, and those of the sections that it names after `Also:`."""
    text = SECTIONS[title]
    options = {plain(row[0]) for row in table(text)}
    for line in re.findall(r"^Also: (.*)$", text, re.MULTILINE):
        for anchor in re.findall(r"\(#([\w-]+)\)", line):
            options |= told(ANCHORS[anchor])
    return options


@pytest.mark.parametrize("name", parsers())
def test_options(name):
    actions = [action for action in parsers()[name]._actions if action.dest != "help"]
    options = told(f"mapcount {name}")
    if only := re.search(r"`--format` takes (.*)\.$", SECTIONS[f"mapcount {name}"], re.MULTILINE):
        words = re.findall(r"`(\w+)`", only[1])
        options = {f"--format {{{','.join(words)}}}" if option.startswith("--format") else option for option in options}
    assert options == {spelled(action) for action in actions}


def test_commands():
    described = [title.removeprefix("mapcount ") for title in SECTIONS if title.startswith("mapcount ")]
    assert described == list(parsers())
    shown = [plain(row[0]).split()[1] for row in table(sections(ROOT / "README.md")["Commands"])]
    assert sorted(shown) == sorted(described)


def test_exit_codes():
    codes = {value for name, value in vars(errors).items() if name.startswith("EXIT_")} | {cli._EXIT_BROKEN_PIPE}
    assert {int(row[0]) for row in table(SECTIONS["Exit codes"])} == codes
