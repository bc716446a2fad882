"""How far two machines agree, for people: per kernel, per field, what differs, what was not compared, what was covered."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from mapcount.agreement.coverage import ENOUGH
from mapcount.agreement.not_compared import UNSEEN
from mapcount.report.layout import first, heading, left_out, note, sentence
from mapcount.report.table import Column, View, tables
from mapcount.report.text import plural, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import RenderableType

    from mapcount.report.conform_record import CoverageRecord, DifferenceRecord, PairRecord, ShortestRecord

_FLAVOUR = "-cloud-amd64"


def parts(found: Sequence[PairRecord], view: View) -> Iterator[RenderableType]:
    """Yield the tables, then every difference with the shortest scenario that shows it, then what was not compared."""
    yield heading("Agreement after every step")
    yield from _pairs(found, view)
    yield from _fields(found, view)
    for one in found:
        yield from _differences(one, view)
    yield from _allowed(found)
    yield from _not_compared(found, view)
    yield from _coverage(found, view)
    yield sentence(f"\n{_verdict(found)}")


def _pairs(found: Sequence[PairRecord], view: View) -> Iterator[RenderableType]:
    columns = [
        Column("left", text=True),
        Column("right", text=True),
        Column("scenarios"),
        Column("steps"),
        Column("compared"),
        Column("differ"),
        Column("allowed"),
    ]
    rows = [
        [
            _short(one.left),
            _short(one.right),
            f"{one.scenarios:,}",
            f"{one.steps:,}",
            f"{sum(row.compared for row in one.fields):,}",
            f"{sum(row.mismatches for row in one.fields):,}",
            f"{sum(row.allowed for row in one.fields):,}",
        ]
        for one in found
    ]
    yield from tables(columns, rows, width=view.width)
    yield note(
        "compared: words, page tables, results and numbers of /proc that both have; differ: those not as the step before."
    )


def _fields(found: Sequence[PairRecord], view: View) -> Iterator[RenderableType]:
    compared: defaultdict[str, int] = defaultdict(int)
    differ: defaultdict[str, int] = defaultdict(int)
    allowed: defaultdict[str, int] = defaultdict(int)
    where: defaultdict[str, list[str]] = defaultdict(list)
    for one in found:
        for row in one.fields:
            compared[row.field] += row.compared
            differ[row.field] += row.mismatches
            allowed[row.field] += row.allowed
            if row.mismatches:
                where[row.field].append(_short(one.right))
    yield heading("By field")
    yield from tables(
        [Column("field", text=True), Column("compared"), Column("differ"), Column("allowed"), Column("on", text=True)],
        [
            [name, f"{compared[name]:,}", f"{differ[name]:,}", f"{allowed[name]:,}", ", ".join(where[name])]
            for name in compared
            if compared[name]
        ],
        width=view.width,
    )


def _differences(one: PairRecord, view: View) -> Iterator[RenderableType]:
    if not one.differences:
        return
    yield heading(f"{_short(one.left)} and {_short(one.right)} differ")
    for shortest in one.shortest:
        yield from _shortest(shortest, one)
    if one.shortest:
        yield sentence("\nAll that differs:")
    for row in first(one.differences, view.top):
        yield from _difference(row, one)
    yield from left_out(len(one.differences), view.top)


def _difference(row: DifferenceRecord, one: PairRecord) -> Iterator[RenderableType]:
    yield sentence(
        printable(f"{row.scenario}, step {row.step}, `{row.did}`: {row.field} of {row.subject or 'the step'}")
    )
    yield sentence(printable(f"  {_short(one.left)}: {row.left}"))
    yield sentence(printable(f"  {_short(one.right)}: {row.right}"))


def _shortest(shortest: ShortestRecord, one: PairRecord) -> Iterator[RenderableType]:
    row = shortest.differences[0]
    yield sentence(printable(f"\n{row.field} of {row.subject or 'the step'}, first seen in {shortest.found_in}:"))
    yield from (sentence(f"    {printable(line)}") for line in shortest.text.splitlines() if line)
    for name, lines in ((one.left, shortest.left), (one.right, shortest.right)):
        yield sentence(f"  {printable(_short(name))}:")
        yield from (sentence(f"    {printable(line)}") for line in lines)


def _allowed(found: Iterable[PairRecord]) -> Iterator[RenderableType]:
    for one in found:
        for reason, count in one.allowed.items():
            yield sentence(f"\nAllowed on {_short(one.right)}, {count:,} times: {reason}")


def _not_compared(found: Sequence[PairRecord], view: View) -> Iterator[RenderableType]:
    yield heading("Not compared")
    reasons: defaultdict[str, list[str]] = defaultdict(list)
    for one in found:
        for row in one.fields:
            if row.one_sided and row.field not in reasons[row.why]:
                reasons[row.why].append(row.field)
    for why, fields in reasons.items():
        yield sentence(f"{', '.join(fields)}: {why}")
    yield from (sentence(f"{what}: {why}") for what, why in UNSEEN.items())
    for one in found:
        scenarios: defaultdict[str, list[str]] = defaultdict(list)
        for name, why in one.skipped.items():
            scenarios[why].append(name)
        for why, names in scenarios.items():
            shown = ", ".join(names) if view.verbose else plural(len(names), "scenario")
            yield sentence(printable(f"{_short(one.right)}: {shown}: {why}"))


def _coverage(found: Sequence[PairRecord], view: View) -> Iterator[RenderableType]:
    covered = [(one, one.coverage) for one in found if one.coverage is not None]
    if not covered:
        return
    yield heading("Steps with an effect")
    operations = list(covered[0][1].effective)
    yield from tables(
        [
            Column("operation", text=True),
            *(Column(_release(one.right)) for one, _ in covered),
        ],
        [[name, *(_count(coverage.effective[name]) for _, coverage in covered)] for name in operations],
        width=view.width,
    )
    yield note(f"An effect: a mapping or a word changed. *: less than {ENOUGH} times.")
    yield heading("Branches of the way of counting")
    for one, coverage in covered:
        yield from _branches(_short(one.right), coverage, view)


def _branches(name: str, coverage: CoverageRecord, view: View) -> Iterator[RenderableType]:
    missing = [row for row in coverage.not_taken if not row.why]
    out_of_reach = len(coverage.not_taken) - len(missing)
    yield sentence(
        f"{name}: {coverage.branches_taken} of {coverage.branches} taken, {out_of_reach} out of reach of scenarios, "
        f"{len(missing) or 'none'} missing"
    )
    if view.verbose:
        for row in coverage.not_taken:
            why = f" ({row.why})" if row.why else ""
            yield sentence(f"  {row.file}:{row.line}: `{row.source}` never went on to line {row.to_line}{why}")


def _count(steps: int) -> str:
    return f"{steps:,}" + ("*" if steps < ENOUGH else " ")


def _verdict(found: Sequence[PairRecord]) -> str:
    steps = sum(one.steps for one in found)
    fields = sum(row.mismatches for one in found for row in one.fields)
    if not steps:
        return "Nothing was compared."
    if not fields:
        return f"No difference in {plural(steps, 'step')}."
    return f"{plural(fields, 'difference')} in {plural(steps, 'step')}."


def _release(name: str) -> str:
    number, _, config = name.partition(" ")
    return re.split(r"[-+]", number)[0] + (" no page" if config else "")


def _short(name: str) -> str:
    return name.replace(_FLAVOUR, "")
