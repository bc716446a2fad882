"""Kernel images, for people and programs: what is cached, what can be had, what has no referee, and whether all is intact."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mapcount.report.encoding import indented
from mapcount.report.layout import heading, note, sentence
from mapcount.report.table import Column, View, tables
from mapcount.report.text import plural, printable
from mapcount.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from mapcount.kernels.image_store import Verdict
    from mapcount.kernels.listing import Listing, Row, Unrefereed

KERNELS_SCHEMA_VERSION = 1
_FLAVOUR = "-cloud-amd64"
_PER_PAGE = {True: "yes", False: "no", None: "?"}


def listing(found: Listing, view: View) -> Iterator[RenderableType]:
    """Yield the table of images, what is wrong with any, and the ways of counting that have none."""
    if found.images:
        yield heading("Kernel images")
        yield from images(found.images, view)
    else:
        yield sentence("No kernel image is cached.")
    yield from (sentence(f"{row.name} is damaged: {printable(row.problem)}") for row in found.images if row.problem)
    if found.unrefereed:
        yield sentence(f"\nNo image for {', '.join(map(_without, found.unrefereed))}.")
    yield from _lists(found)


def images(rows: Sequence[Row], view: View) -> Iterator[RenderableType]:
    """Yield the table of images alone, and what its columns mean."""
    yield from tables(
        [
            Column("image", text=True),
            Column("release", text=True),
            Column("state", text=True),
            Column("size"),
            Column("page"),
            Column("referee of", text=True),
        ],
        [
            [
                row.name,
                row.release.removesuffix(_FLAVOUR),
                row.state,
                format_bytes(row.size_bytes),
                _PER_PAGE[row.page_mapcount],
                row.scheme,
            ]
            for row in rows
        ],
        width=view.width,
    )
    yield note(
        "size: of the files, or of the download. page: counts the mappings of each page; ?: no config that says so is here, "
        "and the default, yes, is assumed."
    )


def verdicts(found: Sequence[Verdict]) -> Iterator[RenderableType]:
    """Yield a line for each image that was verified, and each problem."""
    for verdict in found:
        yield sentence(f"{'✗ changed' if verdict.problems else '✓ intact '}  {printable(verdict.name)}")
        yield from (sentence(f"           {printable(problem)}") for problem in verdict.problems)
    wrong = sum(bool(verdict.problems) for verdict in found)
    yield sentence(f"\n{plural(len(found), 'image')} read byte by byte, {wrong or 'none'} changed.")


def document(found: Listing) -> bytes:
    """Return the listing as indented JSON: `schema_version`, `images`, `unrefereed`, `updated_s` and `problems`."""
    return indented(
        {
            "schema_version": KERNELS_SCHEMA_VERSION,
            "images": list(found.images),
            "unrefereed": list(found.unrefereed),
            "updated_s": found.updated_s,
            "problems": list(found.problems),
        }
    )


def verdicts_document(found: Sequence[Verdict]) -> bytes:
    """Return verdicts as indented JSON: `schema_version` and `verified`."""
    rows = [{"name": one.name, "directory": str(one.directory), "problems": list(one.problems)} for one in found]
    return indented({"schema_version": KERNELS_SCHEMA_VERSION, "verified": rows})


def _without(one: Unrefereed) -> str:
    return f"{one.scheme} (from Linux {one.first}{f', before {one.before}' if one.before else ''})"


def _lists(found: Listing) -> Iterator[RenderableType]:
    if found.updated_s is None:
        yield sentence("\nWhat Debian has was never asked: mapcount kernels list --update")
        return
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(found.updated_s))
    yield sentence(f"\nDebian's lists are of {when}; get an image: mapcount kernels fetch SERIES")
    yield from (note(f"Not read: {problem.suite}: {printable(problem.why)}") for problem in found.problems)
