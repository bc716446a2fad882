"""Our search beside SPIN's, a line a model: states, time to the verdict, bytes a state, and whether all is equal."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mapcount.report.layout import heading, note, sentence
from mapcount.report.table import Column, View, tables
from mapcount.report.text import plural

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from mapcount.check.spin import Agreement


class Compared(NamedTuple):
    """One model that both went through."""

    model: str
    states: int
    ours_s: float
    """to our verdict, the model's making included"""
    agreement: Agreement


def spin_table(compared: Sequence[Compared], view: View) -> Iterator[RenderableType]:
    """Yield the table, what differs, and what was compared."""
    yield heading("The same models in SPIN")
    rows = [
        [
            one.model,
            f"{one.states:,}",
            f"{one.ours_s:.2f}",
            f"{one.agreement.spin.total_s:.2f}",
            "yes" if one.agreement.agrees else "NO",
        ]
        for one in compared
    ]
    columns = [Column("model", text=True), Column("states"), Column("ours s"), Column("SPIN s"), Column("equal")]
    yield from tables(columns, rows, width=view.width)
    for one in compared:
        yield from (sentence(f"{one.model}: {difference}") for difference in one.agreement.differences)
    equal = sum(one.agreement.agrees for one in compared)
    yield sentence(f"\n{equal} of {plural(len(compared), 'model')} equal")
    yield note(
        "compared: states, steps, answers and their verdicts, final words, endless waits. SPIN s: spin, gcc and pan."
    )
