"""Ways of counting, for people and programs: the catalogue, and one design in full."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mapcount.report.encoding import indented
from mapcount.report.layout import heading, note, sentence
from mapcount.report.table import Column, View, tables
from mapcount.units import format_bytes, format_count, format_folio_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from mapcount.schemes.describe import Description
    from mapcount.schemes.steps import OperationCost

SCHEMES_SCHEMA_VERSION = 1
_LISTED_ORDERS = (2, 4, 9)


def catalogue(designs: Sequence[Description], view: View) -> Iterator[RenderableType]:
    """Yield the list of all designs, in the order of history."""
    yield heading("Ways of counting the mappings of a folio")
    sizes = [Column(f"B/{format_folio_size(order)}") for order in _LISTED_ORDERS]
    yield from tables(
        [Column("scheme", text=True), *sizes, Column("in Linux", text=True), Column("held against", text=True)],
        [_row(design) for design in designs],
        width=view.width,
    )
    yield note(
        "B/64K: bytes of counters in a folio of 64 KiB. held against: real kernels whose words it was compared with."
    )
    variants = [(variant.id, variant.says) for design in designs for variant in design.variants]
    if variants:
        yield heading("Variants")
        yield from _pairs(variants)
    yield sentence("\nOne in full: mapcount schemes NAME")


def _row(design: Description) -> list[str]:
    by_order = {footprint.order: footprint for footprint in design.footprints}
    sizes = [format_count(by_order[order].bytes_per_folio) for order in _LISTED_ORDERS]
    return [design.id, *sizes, _short(design.when), _short(design.referee)]


def design(one: Description, view: View) -> Iterator[RenderableType]:
    """Yield one design: what it is, its words, what operations touch, what readers promise, what it takes."""
    yield heading(f"{one.id}: {one.title}")
    yield from _pairs([("in Linux", one.when), ("held against", one.referee), ("source", one.file)])
    yield from (sentence(f"\n{' '.join(paragraph.split())}") for paragraph in one.note.split("\n\n"))
    yield from _words(one, view)
    yield from _operations(one, view)
    yield heading("What readers may ask, when nobody changes anything meanwhile")
    yield from _pairs(
        [
            (f"{row.name}: {row.promise}", f"{row.quantity}: {row.says}" if not row.cannot else row.cannot)
            for row in one.readers
        ]
    )
    if one.invariants:
        yield heading("What always holds between its words")
        yield from (sentence(f"* {text}") for text in one.invariants)
    yield from _memory(one, view)
    if one.variants:
        yield heading("Variants")
        yield from _pairs([(variant.id, variant.says) for variant in one.variants])
    yield heading("Sources")
    yield from (sentence(f"* {source}") for source in one.sources)


def document(designs: Sequence[Description]) -> bytes:
    """Return designs as indented JSON: `schema_version` and `schemes`."""
    return indented({"schema_version": SCHEMES_SCHEMA_VERSION, "schemes": list(designs)})


def _words(one: Description, view: View) -> Iterator[RenderableType]:
    yield heading("Words, and where they lie: struct page of the folio, byte (64-bit)")
    scopes = {"page": "every page", "folio": "folio", "small": "small folio"}
    yield from tables(
        [
            Column("word", text=True),
            Column("of", text=True),
            *map(Column, ("page", "byte", "bits", "at first")),
            Column("bit of", text=True),
        ],
        [
            [
                word.name,
                scopes[word.scope],
                "own" if word.scope != "folio" else str(word.struct_page),
                str(word.offset),
                str(word.bits),
                str(word.bias),
                f"{word.flag_of}, {word.bit}" if word.flag_of else "",
            ]
            for word in one.words
        ],
        width=view.width,
    )


def _operations(one: Description, view: View) -> Iterator[RenderableType]:
    yield heading("What operations touch, on all pages of a folio")
    yield from _costs(one.operations, view)
    yield note(
        "Counted by running it: new, dup, unmap and split on an anon folio that one process maps, map on a file folio that "
        "nobody maps. Reference counts and page tables come on top in every design."
    )
    yield heading("What unmapping one page touches, of an anon folio that one process maps whole by PTEs")
    yield from _costs(one.one_page, view)


def _costs(rows: Sequence[OperationCost], view: View) -> Iterator[RenderableType]:
    counted = ["LOCKed", "stores", "loads", "struct pages"]
    counts = [[row.locked, row.stores, row.loads, row.struct_pages] for row in rows]
    if any(row.lookups for row in rows):
        counted += ["look-ups", "entries read"]
        counts = [[*known, row.lookups, row.entries_read] for known, row in zip(counts, rows, strict=True)]
    yield from tables(
        [Column("operation", text=True), Column("folio"), *map(Column, counted)],
        [
            [row.operation, format_folio_size(row.order), *map(format_count, numbers)]
            for row, numbers in zip(rows, counts, strict=True)
        ],
        width=view.width,
    )


def _memory(one: Description, view: View) -> Iterator[RenderableType]:
    yield heading("What its counters take")
    yield from tables(
        [Column("folio", text=True), Column("bytes a folio"), Column("per GiB of such folios")],
        [
            [format_folio_size(row.order), format_count(row.bytes_per_folio), format_bytes(row.bytes_per_gib)]
            for row in one.footprints
        ],
        width=view.width,
    )
    yield heading("A smaller struct page")
    yield from tables(
        [Column("struct page"), Column("memmap per GiB"), Column("fits"), Column("because", text=True)],
        [
            [
                f"{row.struct_page_bytes} B",
                format_bytes(row.memmap_bytes_per_gib),
                "yes" if row.fits else "no",
                row.says,
            ]
            for row in one.fits
        ],
        width=view.width,
    )


def _pairs(rows: Sequence[tuple[str, str]]) -> Iterator[RenderableType]:
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold", ratio=1)
    for name, words in rows:
        grid.add_row(Text(name), Text(words))
    yield grid


def _short(words: str) -> str:
    """Return words up to the first bracket, comma or colon."""
    return re.split(r" \(|, |: ", words, maxsplit=1)[0]
