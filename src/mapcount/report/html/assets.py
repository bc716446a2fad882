"""The scripts and styles of a page, in the order in which they are put together."""

from __future__ import annotations

import importlib.resources
from functools import cache

from mapcount.report.html.embed import check_script

STYLES = ("tones", "page", "table", "matrix", "map", "steps", "chart", "print")
"""Files of css/."""
SCRIPTS = (
    "format", "dom", "data", "theme", "download", "filter", "table", "selection", "matrix", "folios", "layout", "colours",
    "paint", "map", "input", "strip", "detail", "foliotable", "chart", "steps", "main",
)  # fmt: skip
"""Files of js/: one scope, so that each may use what stands in those before it."""


@cache
def style() -> str:
    """Return all styles."""
    return "\n".join(_read("css", f"{name}.css") for name in STYLES)


@cache
def script() -> str:
    """Return all scripts of ours, as one that leaves no global name behind."""
    body = "\n".join(_read("js", f"{name}.js") for name in SCRIPTS)
    return check_script("js/", f'(() => {{\n"use strict";\n{body}\n}})();')


@cache
def echarts() -> str:
    """Return the vendored chart library (vendor/echarts/README.md)."""
    return check_script("echarts", _read("vendor", "echarts", "echarts.common.min.js"))


def _read(*path: str) -> str:
    return importlib.resources.files("mapcount.report.html").joinpath(*path).read_text("utf-8")
