"""A way of counting without some of its words, for people and programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.report.encoding import indented
from mapcount.report.layout import heading, note, sentence
from mapcount.report.table import Column, View, tables
from mapcount.units import format_count, format_folio_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from mapcount.check.ablation import Ablation, Loss
    from mapcount.schemes.steps import OperationCost

ABLATION_SCHEMA_VERSION = 1


def ablation(one: Ablation, view: View) -> Iterator[RenderableType]:
    """Yield what becomes of a way of counting without these words."""
    yield heading(f"{one.scheme} without {', '.join(one.without)}")
    for word, feeders in one.feeds.items():
        yield sentence(f"{word} falls with it: its changes depend on {', '.join(feeders)}. It is counted as gone, too.")
    yield from _uses(one, view)
    yield from _losses(one, view)
    yield from _savings(one, view)
    yield heading("Bytes of counters in a folio")
    yield from tables(
        [Column("folio", text=True), *map(Column, ("with", "without", "less"))],
        [
            [
                format_folio_size(row.order),
                *map(format_count, (row.with_bytes, row.without_bytes, row.with_bytes - row.without_bytes)),
            ]
            for row in one.counters
        ],
        width=view.width,
    )


def document(one: Ablation) -> bytes:
    """Return it as indented JSON: `schema_version` and `ablation`."""
    return indented({"schema_version": ABLATION_SCHEMA_VERSION, "ablation": one})


def _uses(one: Ablation, view: View) -> Iterator[RenderableType]:
    yield heading("Who uses its value")
    if not one.uses:
        yield sentence("Nobody does.")
        return
    yield from tables(
        [Column("word", text=True), Column("function", text=True), Column("line", text=True)],
        [[use.word, f"{use.function}()", f"{use.file}:{use.line}"] for use in one.uses],
        width=view.width,
    )


def _losses(one: Ablation, view: View) -> Iterator[RenderableType]:
    yield heading("What becomes of answers, statistics and the queue")
    yield from tables(
        [*(Column(name, text=True) for name in ("what", "verdict")), Column("same"), Column("what is left", text=True)],
        [[loss.name, loss.verdict, _share(loss), ", ".join(loss.left)] for loss in one.losses],
        width=view.width,
    )
    yield note(
        "dies: nothing that it depends on is left, or it says the same in all states. estimate: other words are left. same: "
        "of the states of random histories in which it says anything, those in which it says what it said with all words. "
        "100% of an estimate: what is lost shows only while others change the folio as well."
    )


def _share(loss: Loss) -> str:
    if not loss.states:
        return "-"
    # 100% is all of them.
    return f"{100 * loss.same // loss.states}%"


def _savings(one: Ablation, view: View) -> Iterator[RenderableType]:
    yield heading("What operations touch, on all pages of a folio: with > without")
    yield from tables(
        [Column("operation", text=True), Column("folio"), *map(Column, ("LOCKed", "stores", "loads", "struct pages"))],
        [
            [row.before.operation, format_folio_size(row.before.order), *_changes(row.before, row.after)]
            for row in one.savings
        ],
        width=view.width,
    )


def _changes(before: OperationCost, after: OperationCost) -> list[str]:
    pairs = (
        (before.locked, after.locked),
        (before.stores, after.stores),
        (before.loads, after.loads),
        (before.struct_pages, after.struct_pages),
    )
    return [format_count(a) if a == b else f"{format_count(a)} > {format_count(b)}" for a, b in pairs]
