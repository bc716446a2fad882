"""Write docs/images/report.svg, the README's picture of a terminal: what `mapcount report` prints of the tutorial's snapshot.

Made by `PYTHONPATH=src python docs/handbook/screenshot.py`.
"""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from mapcount.cli import main

DOCS = Path(__file__).parents[1]
PICTURE = DOCS / "images" / "report.svg"
SNAPSHOT = DOCS / "examples" / "shop.mapsnap"
COLUMNS = 80
LAST = "Processes with most memory in large folios"
"""The heading before which the picture ends."""


def screenshot() -> str:
    """Return the picture: text, in colours, without a font of somebody else's server."""
    output = io.BytesIO()
    with contextlib.redirect_stdout(io.TextIOWrapper(output, encoding="utf-8")):
        main(["report", str(SNAPSHOT), "--color", "always", "--no-pager"])
        lines = output.getvalue().decode().splitlines()
    end = next(number for number, line in enumerate(lines) if LAST in line)
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.from_ansi("\n".join(["$ mapcount report shop.mapsnap", *lines[:end]]).rstrip()))
    plain = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    svg = console.export_svg(title="mapcount report", unique_id="report", code_format=plain)
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


if __name__ == "__main__":
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(screenshot(), encoding="utf-8")
