"""The same mappings counted in several ways, for people: what changes, for whom, what is missed, and who answers what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.report.layout import first, heading, left_out, note, sentence
from mapcount.report.table import Column, View, tables
from mapcount.report.text import plural, printable
from mapcount.schemes.scheme import Promise
from mapcount.units import format_bytes, format_count, format_folio_size, format_share

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import RenderableType

    from mapcount.views.answers import Answers
    from mapcount.views.comparison import Comparison, Found, Number

READERS = {
    "mapcount": ("folio_mapcount",),
    "mapped": ("folio_mapped",),
    "page": ("page_mapcount", "folio_average_page_mapcount"),
    "shared": ("mapped_shared",),
    "partial": ("partially_mapped",),
    "statistics": ("NR_MAPPED",),
}
"""Columns of the matrix, and the reader of each: the first that the scheme has."""
WORDS = (
    "exact: promised, and so here. right: not promised, yet right here. A share: of the folios (of the pages, for page) "
    "of which the answer is wrong: + too much, - too little, ± either (of yes and no, yes is more). ≥, ≤: promised never "
    "to be less, or more. ~: depends on the past. cannot: its words do not say. other: the number is about something "
    "else. statistics: AnonPages and Mapped."
)
"""What the words of `verdict` mean."""
_ONE_SIDED = {Promise.NEVER_LESS.value: "≥", Promise.NEVER_MORE.value: "≤"}


def report(comparison: Comparison, view: View) -> Iterator[RenderableType]:
    """Yield the whole comparison, what matters most first."""
    yield from numbers(comparison, view)
    yield from processes(comparison, view)
    yield from cgroups(comparison, view)
    yield from found(comparison, view)
    yield from answers(comparison, view)
    yield from words(comparison, view)
    yield from _provenance(comparison)


def words(comparison: Comparison, view: View) -> Iterator[RenderableType]:
    """Yield how counters out of a guest's memory compare with the mappings; nothing of other snapshots."""
    if not comparison.words:
        return
    yield heading(f"Counters in this kernel's memory, beside {comparison.running} after the same mappings")
    yield from tables(
        [Column("word", text=True), Column("of", text=True), *map(Column, ("equal", "differ", "depends"))],
        [
            [row.word, row.unit, *map(format_count, (row.compared - row.differ, row.differ, row.depends))]
            for row in comparison.words
        ],
        width=view.width,
    )
    yield from (sentence(f"{row.word}, {printable(row.first)}") for row in comparison.words if row.first)
    yield note(
        "depends: left out, since pasts that lead to these mappings leave different values. Flags and slots tell of the past "
        "and are not compared: mapcount conform does that, step by step."
    )


def one_table(comparison: Comparison, by: str, view: View) -> Iterator[RenderableType]:
    """Yield one table; `by` is number, process, cgroup, found or answer."""
    table = {
        "number": numbers,
        "process": processes,
        "cgroup": cgroups,
        "found": _found_by_size,
        "answer": _answers_in_detail,
    }[by]
    yield from table(comparison, view)


def numbers(comparison: Comparison, view: View) -> Iterator[RenderableType]:
    """Yield the numbers of the machine under each scheme, as differences from the truth."""
    shown = shown_schemes(comparison)
    yield heading("What user space would read of this machine")
    yield from tables(
        [Column("number", text=True), Column("truth"), *(Column(_title(scheme, comparison)) for scheme in shown)],
        [
            [row.name, _value(row.truth, row.unit), *(_difference(row, scheme, row.unit) for scheme in shown)]
            for row in comparison.numbers
        ],
        width=view.width,
    )
    yield note(
        "A scheme's column is its difference from the truth, = for none. * counts as the kernel of this snapshot does. "
        "truth: from page tables alone, mappings seen."
    )
    yield from (note(words) for words in comparison.notes)
    yield from _by_past(comparison, shown, view)


def _by_past(comparison: Comparison, shown: Sequence[str], view: View) -> Iterator[RenderableType]:
    """Yield what would be different after another past that leads to the same mappings."""
    rows = [
        [row.name, scheme, _extreme(row, row.least[scheme]), _extreme(row, row.most[scheme])]
        for row in comparison.numbers
        for scheme in shown
        if row.least[scheme] != row.most[scheme]
    ]
    if not rows:
        return
    yield heading("The same, if it came about otherwise")
    columns = [Column("number", text=True), Column("scheme", text=True), Column("at least"), Column("at most")]
    yield from tables(columns, rows, width=view.width)
    yield note(
        "A snapshot has no past. Above, folios are taken to have been mapped whole, shared by fork and trimmed last; these "
        f"are the extremes over {plural(len(comparison.histories), 'past')} that lead to the same mappings."
    )


def processes(comparison: Comparison, view: View) -> Iterator[RenderableType]:
    """Yield the processes whose numbers differ from the truth, the largest difference first."""
    yield heading("Processes whose numbers are furthest from the truth")
    if not comparison.processes:
        yield sentence("None: every number of every process is the truth under all of these, whatever the past.")
        return
    rows = first(comparison.processes, view.top)
    yield from _owned(
        comparison, [Column("pid"), Column("process", text=True)], [[str(r.pid), r.comm] for r in rows], rows, view
    )
    yield from left_out(len(comparison.processes), view.top)


def cgroups(comparison: Comparison, view: View) -> Iterator[RenderableType]:
    """Yield the memory cgroups whose numbers differ from the truth, the largest difference first."""
    if not comparison.cgroups:
        return
    rows = first(comparison.cgroups, view.top)
    yield heading("Memory cgroups whose memory.stat is furthest from the truth")
    yield from _owned(comparison, [Column("cgroup", text=True)], [[row.cgroup] for row in rows], rows, view)
    yield from left_out(len(comparison.cgroups), view.top)


def _owned(
    comparison: Comparison, owner: list[Column], owners: Sequence[list[str]], rows: Sequence[Number], view: View
) -> Iterator[RenderableType]:
    """Yield numbers that are somebody's: `owners` are the cells that say whose, for each row."""
    shown = shown_schemes(comparison)
    yield from tables(
        [*owner, Column("number", text=True), Column("truth"), *(Column(_title(s, comparison)) for s in shown)],
        [
            [*who, row.name, _value(row.truth, row.unit), *(_difference(row, scheme, row.unit) for scheme in shown)]
            for who, row in zip(owners, rows, strict=True)
        ],
        width=view.width,
    )


def found(comparison: Comparison, view: View) -> Iterator[RenderableType]:
    """Yield which partially mapped folios the deferred split would miss under each scheme."""
    yield from _found(comparison, [row for row in comparison.found if row.order is None], view)


def _found_by_size(comparison: Comparison, view: View) -> Iterator[RenderableType]:
    yield from _found(comparison, comparison.found, view)


def _found(comparison: Comparison, rows: Sequence[Found], view: View) -> Iterator[RenderableType]:
    yield heading("Partially mapped anon folios: would the kernel find them?")
    if not rows or not rows[0].folios:
        yield sentence("There are none above order 1 outside of the swap cache.")
        return
    yield sentence(
        f"{plural(rows[0].folios, 'folio')} with {format_bytes(rows[0].unmapped_bytes)} that nobody maps. What is missed "
        "stays until the folio is unmapped whole, collapsed or swapped out."
    )
    yield from tables(
        [
            *(Column(title, text=True) for title in ("scheme", "size")),
            *map(Column, ("folios", "missed", "bytes", "at least", "at most", "mistaken")),
        ],
        [_found_cells(row, comparison) for row in rows],
        width=view.width,
    )
    yield note(
        "missed: folios, and bytes of them that nobody maps; at least, at most: over all pasts (where nothing ever was "
        "unmapped, nothing was noticed). mistaken: whole folios that are queued to be split."
    )


def answers(comparison: Comparison, view: View) -> Iterator[RenderableType]:
    """Yield the matrix of schemes and readers."""
    if not comparison.answers:
        return
    yield heading("Which way of counting answers what, on these mappings")
    by_scheme = answers_by_scheme(comparison)
    yield from tables(
        [Column("scheme", text=True), *map(Column, READERS)],
        [
            [_title(scheme, comparison), *(verdict(chosen(given, readers)) for readers in READERS.values())]
            for scheme, given in by_scheme.items()
        ],
        width=view.width,
    )
    yield note(f"{WORDS} By how much: --by answer.")


def answers_by_scheme(comparison: Comparison) -> dict[str, dict[str, Answers]]:
    """Return the answers by scheme, then by reader."""
    by_scheme: dict[str, dict[str, Answers]] = {}
    for row in comparison.answers:
        by_scheme.setdefault(row.scheme, {})[row.reader] = row
    return by_scheme


def _answers_in_detail(comparison: Comparison, view: View) -> Iterator[RenderableType]:
    yield heading("Answers beside the truth")
    columns = [Column(title, text=True) for title in ("scheme", "reader", "promise")]
    yield from tables(
        [*columns, *map(Column, ("asked", "wrong", "any past", "least", "most"))],
        [_answer_cells(row) for row in comparison.answers],
        width=view.width,
    )
    yield note(
        "wrong: after the usual past; any past: the extremes over all. least and most: the extremes of (answer - truth), over "
        "all pasts."
    )


def _answer_cells(row: Answers) -> list[str]:
    wrong = [format_count(row.asked), format_count(row.wrong), _counts(row.wrong_least, row.wrong_most)]
    return [row.scheme, row.reader, row.promise, *wrong, _signed(row.least, ""), _signed(row.most, "")]


def chosen(given: Mapping[str, Answers], readers: Sequence[str]) -> Answers | None:
    """Return the answers of the first reader that the scheme has; else why it cannot."""
    rows = [given[reader] for reader in readers if reader in given]
    return next((row for row in rows if row.promise != "cannot"), rows[0] if rows else None)


def verdict(row: Answers | None) -> str:
    """Say in a word how a reader's answers came out (the note below the matrix explains the words)."""
    if row is None:
        return "-"
    if row.promise in {"cannot", "not comparable"}:
        return "cannot" if row.promise == "cannot" else "other"
    marks = _ONE_SIDED.get(row.promise, "") + ("~" if row.wrong_least != row.wrong_most else "")
    if not row.wrong:
        return f"{'exact' if row.promise == 'exact' else 'right'}{marks}"
    sign = "±" if row.least < 0 < row.most else "-" if row.least < 0 else "+"
    return f"{sign}{format_share(row.wrong, row.asked)}{marks}"


def shown_schemes(comparison: Comparison) -> list[str]:
    """Return the schemes of which there are numbers, the running kernel's first."""
    return sorted(comparison.schemes, key=lambda scheme: scheme != comparison.running)


def _title(scheme: str, comparison: Comparison) -> str:
    return f"{scheme}*" if scheme == comparison.running else scheme


def _value(value: int, unit: str) -> str:
    return format_bytes(value) if unit == "bytes" else format_count(value)


def _difference(row: Number, scheme: str, unit: str) -> str:
    difference = row.values[scheme] - row.truth
    return f"{_signed(difference, unit)} {_percent(difference, row.truth)}".strip() if difference else "="


def _extreme(row: Number, value: int) -> str:
    return _signed(value - row.truth, row.unit) if value != row.truth else "="


def _signed(value: int, unit: str) -> str:
    text = _value(abs(value), unit)
    return f"+{text}" if value > 0 else f"-{text}" if value < 0 else "0"


def _percent(difference: int, truth: int) -> str:
    return f"{'+' if difference > 0 else '-'}{format_share(abs(difference), truth)}" if truth else ""


def _found_cells(row: Found, comparison: Comparison) -> list[str]:
    size = "all" if row.order is None else format_folio_size(row.order, comparison.meta.page_size)
    sizes = (row.missed_bytes, row.missed_least_bytes, row.missed_most_bytes)
    return [
        _title(row.scheme, comparison),
        size,
        *map(format_count, (row.folios, row.missed)),
        *map(format_bytes, sizes),
        format_count(row.mistaken),
    ]


def _counts(least: int, most: int) -> str:
    return format_count(least) if least == most else f"{least:,}-{most:,}"


def _provenance(comparison: Comparison) -> Iterator[RenderableType]:
    meta = comparison.meta
    host = printable(meta.host) or "a machine"
    yield note(
        f"\n{host}, {printable(meta.kernel_release)}. Pasts: {', '.join(comparison.histories)}. A design that no kernel "
        "could be held against says so: mapcount schemes."
    )
