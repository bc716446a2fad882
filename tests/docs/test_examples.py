"""What the pages tell the reader to type works: Python blocks, console blocks that need no root, links, paths, targets."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len

from cli.conftest import small_machine
from docs.pages import PAGES, ROOT, blocks

NOT_RUN = ("make ", "sudo ", "mapcount kernels fetch", "mapcount kernels list --update", "mapcount kernels add")
NOT_RUN += ("mapcount conform", "mapcount capture --guest")
"""Commands that set up or test this very tree, need root, the network or a kernel of one's own, or boot kernels."""
OTHER_CODES = {"mapcount doctor": {0, 3}, "mapcount check": {0, 1}}
"""Exit code 3 without root is what doctor is for, and 1 what check is for."""
PATH = re.compile(r"`((?:src|tests|benchmarks|docs)/[\w/.-]*)`")


def name_of(page):
    return str(page.relative_to(ROOT))


def commands():
    lines = [(page, line) for page in PAGES for block in blocks(page, "console") for line in block.splitlines()]
    return [(page, line) for page, line in lines if line.startswith("$ ")]


def runnable():
    found = {line.removeprefix("$ "): name_of(page) for page, line in commands()}
    return [
        pytest.param(command, id=f"{page}: {command}")
        for command, page in found.items()
        if not command.startswith(NOT_RUN)
    ]


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory):
    """A directory with the two snapshots that the pages talk of, and `now.mapsnap` as one just taken."""
    directory = tmp_path_factory.mktemp("examples")
    for name, folios in (("a", 11), ("b", 13)):
        small_machine(folios).save(directory / f"{name}.mapsnap")
    return directory


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_python_blocks(page, snapshots, monkeypatch):
    monkeypatch.chdir(snapshots)
    for block in blocks(page, "python"):
        exec(compile(block, name_of(page), "exec"), {"__name__": "example"})


@pytest.mark.parametrize("command", runnable())
def test_console_blocks(command, snapshots):
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    ran = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=snapshots,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    allowed = next((codes for start, codes in OTHER_CODES.items() if command.startswith(start)), {0})
    assert ran.returncode in allowed, ran.stderr
    assert "Traceback" not in ran.stderr


def test_every_command_in_the_pages_is_known():
    for page, line in commands():
        assert line.startswith(("$ mapcount", "$ sudo mapcount", "$ make ", '$ eval "$(mapcount')), (page, line)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_and_paths(page):
    text = page.read_text()
    for target in re.findall(r"\]\((?!https?:)([^)#]*)(?:#[\w-]*)?\)", text):
        assert not target or (page.parent / target).exists(), target
    for path in PATH.findall(text):
        assert "NAME" in path or (ROOT / path).exists(), path


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_anchors(page):
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#([\w-]+)\)", page.read_text()):
        text = (page.parent / target if target else page).read_text()
        titles = [
            re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
            for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
        ]
        assert anchor in titles or f'<a name="{anchor}">' in text, (target, anchor)


def test_every_target_of_make_that_is_named_exists():
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for page in PAGES for name in re.findall(r"(?:`|\$ )make ([a-z-]+)", page.read_text())}
    assert {"report", "test", "help"} <= named <= targets


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_excerpts_fit_80_columns(page):
    for block in blocks(page, "text"):
        assert max(map(cell_len, block.splitlines())) <= 80


def test_each_package_has_its_line_in_contributing():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    packages = [path.parent for path in (ROOT / "src" / "mapcount").glob("*/__init__.py")]
    assert packages
    for package in packages:
        assert f"| `src/mapcount/{package.name}/` |" in text
