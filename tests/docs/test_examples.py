"""What the pages point at is there: links, anchors, paths, targets of make, packages. (Blocks are run by test_blocks.py.)"""

from __future__ import annotations

import re

import pytest
from rich.cells import cell_len

from docs.pages import PAGES, ROOT, blocks

_CODE = re.compile(r"`[^`\n]*`")
PATH = re.compile(r"`((?:src|tests|benchmarks|docs)/[\w/.-]*)`")


def name_of(page):
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_and_paths(page):
    text = page.read_text()
    for target in re.findall(r"\]\((?!https?:)([^)#]*)(?:#[\w-]*)?\)", text):
        assert not target or (page.parent / target).exists(), target
    for path in PATH.findall(text):
        assert "NAME" in path or (ROOT / path).exists(), path


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_anchors(page):
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#([\w-]+)\)", _CODE.sub("", page.read_text())):
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
