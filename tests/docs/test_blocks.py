"""Every console and Python block of the pages is run, with the output that it shows; what is not run says why."""

from __future__ import annotations

import itertools
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from cli.conftest import small_machine
from docs.blocks import all_blocks, missing
from docs.pages import ROOT
from mapcount.cli import main
from mapcount.schemes import catalogue

BLOCKS = all_blocks()
AT_LEAST = {"console": 45, "python": 10}
"""Blocks that are run: fewer would mean that they are not found any more."""
OF_A_SHELL = set("|&<>;$`")
OTHER_CODES = {"doctor": {0, 3}, "check": {0, 1}}
"""Exit status 3 without root is what doctor is for, and 1 what check is for: a page may say which it is."""


def params(language):
    return [pytest.param(block, id=block.name) for block in BLOCKS if block.language == language]


@pytest.fixture(scope="module")
def machines(tmp_path_factory):
    """The snapshots that the pages talk of without taking them: a.mapsnap, b.mapsnap, and now.mapsnap as one just taken."""
    directory = tmp_path_factory.mktemp("machines")
    for name, folios in (("a", 11), ("b", 13), ("now", 17)):
        small_machine(folios).save(directory / f"{name}.mapsnap")
    return directory


@pytest.fixture
def place(machines, tmp_path, monkeypatch):
    """An empty directory to type in, with these snapshots and the tree's docs/."""
    for path in (*machines.iterdir(), ROOT / "docs"):
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    catalogue.LOADED.clear()


def forget_what_it_writes(typed):
    """A page may take now.mapsnap in one block and read it in the next: each block finds one, and may make its own."""
    words = typed.split()
    for option, target in itertools.pairwise(words):
        if option == "-o" and Path(target).is_symlink():
            Path(target).unlink()


def in_this_process(typed, capsys):
    try:
        code = main(shlex.split(typed, comments=True)[1:])
    except SystemExit as ended:  # --help and --version
        code = ended.code or 0
    return code, *capsys.readouterr()


def in_a_shell(typed):
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    ran = subprocess.run(
        ["bash", "-o", "pipefail", "-c", typed],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ran.returncode, ran.stdout, ran.stderr


@pytest.mark.parametrize("block", params("console"))
def test_console(block, place, capsys):
    if block.why:
        pytest.skip(f"{block.name}: {block.why}")
    for command in block.commands:
        forget_what_it_writes(command.typed)
        plain = OF_A_SHELL.isdisjoint(command.typed.replace("'", ""))
        code, output, errors = in_this_process(command.typed, capsys) if plain else in_a_shell(command.typed)
        verb = command.typed.split()[1] if command.typed.startswith("mapcount ") else ""
        assert code in ({block.code} if block.code else OTHER_CODES.get(verb, {0})), (command.typed, errors)
        assert "Traceback" not in errors
        lacks = missing(command.shown, output + errors)
        assert not lacks, f"`{command.typed}` does not print {lacks!r}:\n{output}"


@pytest.mark.parametrize("block", params("python"))
def test_python(block, place):
    if block.why:
        pytest.skip(f"{block.name}: {block.why}")
    exec(compile(block.body, block.name, "exec"), {"__name__": "example"})


@pytest.mark.parametrize("language", AT_LEAST)
def test_most_blocks_are_run(language):
    run = [block for block in BLOCKS if block.language == language and not block.why]
    assert len(run) >= AT_LEAST[language]


def test_no_console_block_is_empty_and_none_escapes():
    """A fence of another language, or without one, in which something is typed would not be run."""
    assert all(block.commands for block in BLOCKS if block.language == "console")
    typed = sum(len(block.commands) for block in BLOCKS if block.language == "console")
    pages = {block.name.rpartition(":")[0] for block in BLOCKS}
    lines = [line for page in pages for line in (ROOT / page).read_text().splitlines()]
    assert typed == sum(line.startswith("$ ") for line in lines)


@pytest.mark.parametrize(
    ("shown", "lacks"),
    [
        ((), ""),
        (("one", "two"), ""),
        (("two", "three"), ""),
        (("one", "three"), "three"),
        (("one", "...", "three"), ""),
        (("...", "thr..."), ""),
        (("three", "...", "one"), "one"),
        (("on",), "on"),
    ],
)
def test_shown_lines_are_looked_for(shown, lacks):
    assert missing(shown, "one\ntwo  \nthree\n") == lacks
