"""A page as the text of one HTML file: the template filled in, data, scripts and styles inside, nothing from outside."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from mapcount import __version__
from mapcount.report.html import assets
from mapcount.report.html.embed import csp_hash, packed, script_json, visible

if TYPE_CHECKING:
    from jinja2 import Template

    from mapcount.report.html.page import Page

_STANDING = {"facts", "text"}


def render(page: Page) -> str:
    """
    Return the file's text, in UTF-8 when written.

    Its Content-Security-Policy allows the scripts and styles in it by their hashes, images made by them, and nothing
    else: no request can leave the page, and no text from a snapshot can become markup or code.
    """
    charts = any(block.kind == "chart" for section in page.sections for block in section.blocks)
    scripts = [*([assets.echarts()] if charts else []), assets.script()]
    shown = visible(msgspec.to_builtins(replace(page, packed=None)))
    return _template().render(
        page=shown,
        version=__version__,
        policy=_policy(scripts),
        style=assets.style(),
        scripts=scripts,
        data=script_json(_data(shown)),
        packed="" if page.packed is None else packed(page.packed),
    )


def _policy(scripts: list[str]) -> str:
    return "; ".join((
        "default-src 'none'",
        f"script-src {' '.join(map(csp_hash, scripts))}",
        f"style-src {csp_hash(assets.style())}",
        "img-src data: blob:",
        "base-uri 'none'",
        "form-action 'none'",
    ))  # fmt: skip


def _data(page: dict[str, Any]) -> dict[str, Any]:
    """Return what the scripts need to know of the page; facts and text stand in it already."""
    blocks = [block for section in page["sections"] for block in section["blocks"] if block["kind"] not in _STANDING]
    return {"command": page["command"], "title": page["title"], "blocks": blocks}


@cache
def _template() -> Template:
    import jinja2

    # Escaping is on for all: `safe` is said only of our own files and of data that embed.py has escaped.
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mapcount.report.html"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("page.html.jinja")
