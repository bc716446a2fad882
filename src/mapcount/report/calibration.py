"""What this machine makes of counting: prices in ns, what they predict, and the published tables beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mapcount.cost.fit import ALONE, FittedPrice, counted_of, locked_in_place
from mapcount.cost.published import CONTENTION, SERIES, SMALL, order_of
from mapcount.report.layout import heading, note, sentence
from mapcount.report.table import Column, View, tables
from mapcount.schemes.catalogue import SCHEMES
from mapcount.units import format_folio_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import RenderableType

    from mapcount.cost.fit import Fit
    from mapcount.cost.measured import Measured
    from mapcount.cost.published import Compared
    from mapcount.schemes.eras import Era


def data(measured: Measured, fitted: Fit, compared: Sequence[Compared]) -> Mapping[str, Sequence[Any]]:
    """Return the tables by name, for programs."""
    return {
        "fitted_price": [FittedPrice(thing, ns) for thing, ns in fitted.prices.items()],
        "prediction": fitted.rows,
        "published": compared,
        "measurement": measured.measurements,
    }


def parts(
    measured: Measured, fitted: Fit, compared: Sequence[Compared], era: Era, view: View
) -> Iterator[RenderableType]:
    """Yield prices, predictions beside measurements, all schemes at these prices, and what was published."""
    batches = "batched" if era.policies.batches_unmap else "not batched"
    yield heading("Uncontended, x86-64: what this machine makes of counting")
    yield sentence(
        f"Linux {measured.release}, which counts as {era.scheme}, {batches}. {measured.rounds} rounds over "
        f"{measured.memory_mib} MiB of each folio size, interleaved; CPU time of one thread, medians."
    )
    yield heading("Prices")
    yield from tables(
        [Column("of a", text=True), Column("ns")],
        [[thing, f"{ns:,.1f}"] for thing, ns in fitted.prices.items()],
        width=view.width,
    )
    yield note(
        "entry: a page-table entry and all else that grows with pages; of cow the fault and the copy; of dontneed-pages a "
        "system call. call: a call of rmap with what is around it; last mapping: what is added, such as statistics, where "
        "nothing maps the pages any more. folio: coming to one, often a cache miss. 0.0: nothing that could be told apart."
    )
    in_place = locked_in_place(measured)
    yield sentence(
        "A LOCKed operation in place, by what fork takes longer if it has to clear PageAnonExclusive: {:.1f} ns "
        "({:.1f} .. {:.1f} in half of all rounds and sizes).".format(in_place.median, *in_place.spread)
    )
    yield from _predictions(measured, fitted, view)
    for operation in ("fork", "munmap"):
        yield from _schemes(fitted, operation, view)
    yield from _published(compared, view)
    yield sentence(f"\n{CONTENTION}")


def _predictions(measured: Measured, fitted: Fit, view: View) -> Iterator[RenderableType]:
    yield heading("Nanoseconds a page: measured, and predicted from these prices")
    rows = [
        [
            one.name,
            format_folio_size(one.order),
            f"{one.median:,.1f}",
            "{:,.1f} .. {:,.1f}".format(*one.spread),
            *_beside(fitted, one.name, one.order),
        ]
        for one in measured.measurements
        if one.name not in ALONE
    ]
    yield from tables(
        [
            Column("operation", text=True),
            *map(Column, ("folio", "measured", "quartiles", "predicted", "error")),
            Column("size", text=True),
        ],
        sorted(rows, key=lambda row: row[0]),
        width=view.width,
    )
    yield sentence(
        f"Mean error: {fitted.mean_error(held_out=False):.1%} on sizes that were fitted, "
        f"{fitted.mean_error(held_out=True):.1%} on those held out, there {fitted.worst_error(held_out=True):.0%} at worst."
    )


def _beside(fitted: Fit, name: str, order: int) -> list[str]:
    for row in fitted.rows:
        if (row.operation, row.order) == (name, order):
            return [f"{row.predicted_ns:,.1f}", f"{row.error:+.0%}", "held out" if row.held_out else "fitted"]
    return ["-", "-", "another path"]


def _schemes(fitted: Fit, operation: str, view: View) -> Iterator[RenderableType]:
    orders = sorted({row.order for row in fitted.rows if row.operation == operation})

    def cell(scheme: str, order: int) -> str:
        ns = [
            fitted.ns_per_page(operation, counted_of(scheme, operation, order, batched=batched))
            for batched in (False, True)
        ]
        return "{:.0f}/{:.0f}".format(*ns)

    yield heading(f"{operation} under every scheme at these prices: ns a page, not batched/batched")
    yield from tables(
        [Column("scheme", text=True), *(Column(format_folio_size(order)) for order in orders)],
        [[scheme.id, *(cell(scheme.id, order) for order in orders)] for scheme in SCHEMES],
        width=view.width,
    )


def _published(compared: Sequence[Compared], view: View) -> Iterator[RenderableType]:
    yield heading("Beside what was published: change of run time in percent")
    for series in SERIES:
        rows = [row for row in compared if row.series == series.title]
        if not rows:
            continue
        order = order_of(rows)
        machine = "" if series.machine in series.title else f"; {series.machine}"
        yield sentence(f"\n{series.title}{machine}; {series.source}")
        yield from tables(
            [
                Column("operation", text=True),
                *map(Column, ("folio", "published", "predicted", "off by")),
                Column("sign", text=True),
            ],
            [
                [
                    row.operation,
                    format_folio_size(row.order),
                    *(f"{percent:+.1f}" for percent in (row.published, row.predicted, row.difference)),
                    row.sign,
                ]
                for row in rows
            ],
            width=view.width,
        )
        if order.pairs:
            same = order.pairs - len(order.missed)
            yield sentence(
                f"In the same order: {same} of {order.pairs} pairs that differ by more than {SMALL:g} points."
            )
        for pair in order.missed:
            first, second = (f"{row.operation} of {format_folio_size(row.order)}" for row in pair)
            yield sentence(f"In another order: {first}, published as less than {second}.")
    wrong = sum(row.sign == "OTHER" for row in compared)
    yield sentence(f"\nSigns: {len(compared) - wrong} of {len(compared)} as published, or both within {SMALL:g} %.")
    yield note(
        "Other machines, other kernels, the same counts: only sign and order can be expected. pmd-split is called remap there, "
        "cow cow-byte, and dontneed-pages pte-dontneed."
    )
