"""Which models the options of `mapcount check` name."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from mapcount.check.cells import Cell

_ANYONE = "zap-fault"
"""The writers beside a reader that is no caller's."""


def models(args: argparse.Namespace) -> tuple[Cell, ...]:
    """Return the models that are asked for, each once. Raises UsageError for names that do not exist."""
    from mapcount.check.cells import known_property

    for name in args.property:
        known_property(name)
    changed = (_assumed(args, cell) for cell in [*_by_scheme(args), *_by_name(args)])
    return tuple(dict.fromkeys(changed))


def _is_whole(text: str) -> bool:
    """Return whether an argument names a model, not a scheme."""
    from mapcount.check.named import NAMED

    return ("/" in text and not text.endswith(".py")) or text in NAMED


def _by_name(args: argparse.Namespace) -> list[Cell]:
    from mapcount.check.cells import parse_cell
    from mapcount.check.named import NAMED

    found = [NAMED[text].cell if text in NAMED else parse_cell(text) for text in args.scheme if _is_whole(text)]
    return [replace(cell, pages=args.pages or cell.pages, writers=args.writers or cell.writers) for cell in found]


def _by_scheme(args: argparse.Namespace) -> list[Cell]:
    from mapcount.check.default_models import default_cells
    from mapcount.schemes.catalogue import SCHEMES, find_scheme
    from mapcount.schemes.load import scheme_named

    schemes = tuple(scheme_named(text) for text in args.scheme if not _is_whole(text))
    for scheme in schemes:
        find_scheme(scheme)
    if args.scheme and not schemes:
        return []
    if args.reader:
        wanted = schemes or tuple(scheme.id for scheme in SCHEMES)
        return [cell for scheme in wanted for reader in args.reader for cell in _asked(args, scheme, reader)]
    cells = default_cells(schemes, args.pages)
    return [replace(cell, writers=args.writers) for cell in cells] if args.writers else list(cells)


def _asked(args: argparse.Namespace, scheme: str, reader: str) -> list[Cell]:
    from mapcount.check.cells import Cell
    from mapcount.check.contexts import CONTEXTS
    from mapcount.check.default_models import sizes_of

    usual = CONTEXTS[reader].writers[0] if reader in CONTEXTS else _ANYONE
    sizes = (args.pages,) if args.pages else sizes_of(scheme)
    return [Cell(scheme, reader, args.writers or usual, pages) for pages in sizes]


def _assumed(args: argparse.Namespace, cell: Cell) -> Cell:
    """Return the model with the locks taken out and added, the truth and the memory model that are asked for."""
    truth = args.truth if cell.truth == "interval" else cell.truth
    memory = args.memory if cell.memory == "sc" else cell.memory
    without, more = cell.without.union(args.without_lock), cell.more.union(args.with_lock)
    return replace(cell, without=without, more=more, truth=truth, memory=memory)
