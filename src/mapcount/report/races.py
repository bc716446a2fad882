"""The verdicts of `mapcount check`: the matrix of schemes and callers, the violations by class, and one of them in full."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from mapcount.check.callers import QUESTIONS
from mapcount.check.cells import AT_REST, has_reference, model_of
from mapcount.check.contexts import CONTEXTS
from mapcount.check.harm import Class
from mapcount.check.locks import ENTRIES, FREEZE, REFERENCE
from mapcount.check.locks import TITLES as TITLES_OF_LOCKS
from mapcount.check.memory_order import TITLES
from mapcount.check.mixes import MIXES
from mapcount.check.properties import READER_PROPERTIES, REST_PROPERTIES
from mapcount.check.trace import trace
from mapcount.report.interleaving import interleaving
from mapcount.report.layout import first, heading, left_out, note, sentence
from mapcount.report.table import Column, View, tables
from mapcount.report.text import plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import RenderableType

    from mapcount.check.cells import Cell
    from mapcount.check.contexts import Context
    from mapcount.check.verdicts import Verdict, Violation
    from mapcount.schemes.scheme import Reader

MARKS = {
    Class.STALE: "stale",
    Class.ESTIMATE: "guess",
    Class.TORN: "TORN",
    Class.RECHECKED: "recheck",
    Class.CONSEQUENTIAL: "HARM",
}
MEANINGS = {
    "true": "what it returns is still true when it returns",
    "fine": "it may return what was never true, in a way that the caller does not mind",
    "stale": "what it returns was true, and may not be any more: no way of counting cures that",
    "guess": "it is wrong at times without any race: approximate by design",
    "TORN": "it may return what was never true; nobody comes to harm",
    "recheck": "it may return what was never true; the caller knows and looks again before it acts",
    "HARM": "it may return what was never true, and the caller acts on it",
    "-": "the scheme has no answer, or no kernel with it does this",
    "bound": "not all states were looked at, and none of those met is a violation",
}
WORST = ("HARM", "recheck", "TORN", "guess", "bound", "fine", "stale", "true", "-")


def parts(verdicts: Sequence[Verdict], view: View) -> Iterator[RenderableType]:
    """Yield the matrix, the summary, and a line for each violation."""
    yield heading("What a reader may see while others map and unmap: scheme x caller")
    yield from matrix(verdicts, view)
    yield from _summary(verdicts)
    yield from _violations(verdicts, view)
    yield from _at_rest(verdicts)


def matrix(verdicts: Sequence[Verdict], view: View) -> Iterator[RenderableType]:
    """Yield a table of schemes and callers, and what its marks mean."""
    yield from _matrix(verdicts, view)
    marks = {mark_of(verdict) for verdict in verdicts}
    yield from (note(f"{mark:7} {meaning}") for mark, meaning in MEANINGS.items() if mark in marks)


def mark_of(verdict: Verdict) -> str:
    """Return the mark of a verdict in the matrix."""
    if verdict.cannot:
        return "-"
    if verdict.violations and verdict.kind:
        return MARKS[verdict.kind]
    if not verdict.complete:
        return "bound"
    if verdict.untrue:
        return "fine"
    return MARKS[verdict.kind] if verdict.kind else "true"


def _matrix(verdicts: Sequence[Verdict], view: View) -> Iterator[RenderableType]:
    contexts, rows = matrix_rows(verdicts)
    fullest = {row[0]: max(_explored(other) for other in rows if other[0] == row[0]) for row in rows}
    full = [row for row in rows if _explored(row) == fullest[row[0]]]
    if rows:
        # No text column: a scheme's name stays whole, and the table goes on in another one instead.
        columns = [Column("scheme, pages"), *map(Column, contexts)]
        yield from tables(columns, [[" ".join(row[:2]), *row[2:]] for row in full], width=view.width)
    for scheme, pages, *marks in (row for row in rows if row not in full):
        told = (f"{context} {mark}" for context, mark in zip(contexts, marks, strict=True) if mark)
        yield sentence(f"{scheme} {pages}, too: {', '.join(told)}")


def _explored(row: Sequence[str]) -> int:
    return sum(map(bool, row))


def matrix_rows(verdicts: Sequence[Verdict]) -> tuple[list[str], list[list[str]]]:
    """
    Return the callers, and rows of scheme, pages, and the worst mark of each caller: "" where no such model was explored.

    A row is one size of folios, or several (`2, 4`) where each caller has the same mark at all of them.
    """
    callers = [verdict for verdict in verdicts if verdict.cell.context != AT_REST]
    met = dict.fromkeys(one.cell.context for one in callers)
    contexts = [*(name for name in CONTEXTS if name in met), *sorted(met.keys() - CONTEXTS.keys())]
    marks: defaultdict[tuple[str, int, str], list[str]] = defaultdict(list)
    for one in callers:
        marks[one.cell.scheme, one.cell.pages, one.cell.context].append(mark_of(one))
    sizes: dict[str, dict[tuple[str, ...], list[int]]] = {}
    for scheme, pages in sorted({(one.cell.scheme, one.cell.pages) for one in callers}, key=lambda of: of[1]):
        row = tuple(worst(marks[scheme, pages, context]) for context in contexts)
        sizes.setdefault(scheme, {}).setdefault(row, []).append(pages)
    schemes = dict.fromkeys(one.cell.scheme for one in callers)
    return contexts, [
        [scheme, ", ".join(map(str, pages)), *row] for scheme in schemes for row, pages in sizes[scheme].items()
    ]


def worst(marks: Iterable[str]) -> str:
    """Return the mark that says the worst; of none, nothing."""
    return min(marks, key=WORST.index, default="")


def _summary(verdicts: Sequence[Verdict]) -> Iterator[RenderableType]:
    counts = Counter(mark_of(verdict) for verdict in verdicts)
    told = ", ".join(f"{counts[mark]} {mark}" for mark in MEANINGS if counts[mark])
    states = sum(verdict.states for verdict in verdicts)
    models = sum(not verdict.cannot for verdict in verdicts)
    yield sentence(f"\n{plural(models, 'model')}, {states:,} states: {told}")
    memories = [title for memory, title in TITLES.items() if any(one.cell.memory == memory for one in verdicts)]
    truths = sorted({verdict.cell.truth for verdict in verdicts})
    without = sorted(set().union(*(verdict.cell.without for verdict in verdicts)))
    more = sorted(set().union(*(verdict.cell.more for verdict in verdicts)))
    yield note(
        f"truth: {', '.join(truths)}; memory: {'; '.join(memories)}; locks taken out: {', '.join(without) or 'none'}, "
        f"added to the reader's: {', '.join(more) or 'none'}. "
        "A verdict holds for the pages, writers and locks of its model."
    )


def _violations(verdicts: Sequence[Verdict], view: View) -> Iterator[RenderableType]:
    for kind in (Class.CONSEQUENTIAL, Class.RECHECKED, Class.TORN, Class.ESTIMATE):
        found = [(one, broken) for one in verdicts for broken in one.violations if one.kind_of(broken) is kind]
        if not found:
            continue
        yield heading(f"Violated, {kind.value}")
        if kind is Class.RECHECKED:
            yield from _modelled([one.recheck for one, _ in found])
        for verdict, broken in first(found, view.top):
            yield sentence(f"{verdict.cell}: {broken.property} in {plural(len(broken.schedule), 'step')}")
            yield note(f"  {broken.sentence}")
            yield note(f"  mapcount check --replay {verdict.replay_id(broken)}")
        yield from left_out(len(found), view.top)


def _modelled(rechecks: Sequence[Verdict | None]) -> Iterator[RenderableType]:
    """Yield how many of the callers hold that were followed past their look."""
    followed = {one.cell: one.status for one in rechecks if one}
    if followed:
        held = sum(status == "holds" for status in followed.values())
        yield sentence(
            f"Followed past that look, to the compare of references: {held} of {plural(len(followed), 'model')} hold."
        )


def _at_rest(verdicts: Sequence[Verdict]) -> Iterator[RenderableType]:
    rest = [one for one in verdicts if one.cell.context == AT_REST and not one.cannot]
    if rest:
        held = Counter(name for one in rest for name in one.properties if name not in _broken(one))
        yield heading("At rest, when every writer is done")
        for name in REST_PROPERTIES:
            asked = sum(name in one.properties for one in rest)
            if asked:
                yield sentence(f"{name}: holds in {held[name]} of {plural(asked, 'model')}")


def _broken(verdict: Verdict) -> set[str]:
    return {one.property for one in verdict.violations}


def one_model(verdict: Verdict, view: View) -> Iterator[RenderableType]:
    """Yield what is known of one model: who does what, the verdict of each property, and the values that words take."""
    cell = verdict.cell
    yield heading(f"{cell}: {mark_of(verdict)}")
    if verdict.cannot:
        yield sentence(f"Cannot answer: {verdict.cannot}.")
        return
    yield sentence(f"Writers: {MIXES[cell.writers].says}.")
    if verdict.context and verdict.reader:
        yield sentence(
            f"Reader: {verdict.context.function} asks {verdict.reader.name}; {_holds(cell, verdict.context)}."
        )
        yield from _protected(cell, verdict.reader)
        yield sentence(f"It may return {one_of(verdict.returns)}{_untrue(verdict)}.")
    if cell.without:
        yield sentence(f"Taken out: {', '.join(TITLES_OF_LOCKS[kind] for kind in sorted(cell.without))}.")
    broken = _broken(verdict)
    for name in verdict.properties:
        known = "violated" if name in broken else "holds" if verdict.complete else "not violated in the states met"
        yield sentence(f"{name}: {known}")
    extent = "all" if verdict.complete else "bound reached:"
    yield note(
        f"{extent} {verdict.states:,} states, {verdict.transitions:,} steps; truth: {cell.truth}; memory: {TITLES[cell.memory]}"
    )
    reached = verdict.sometimes or {}
    for word, wanted in (("sometimes", True), ("never", False)):
        yield note(f"{word}: {', '.join(name for name, met in reached.items() if met is wanted) or 'nothing'}")
    ranges = verdict.ranges or {}
    yield from tables(
        [Column("word", text=True), Column("least"), Column("greatest")],
        [[name, str(least), str(most)] for name, (least, most) in ranges.items() if least != most],
        width=view.width,
    )


def _untrue(verdict: Verdict) -> str:
    if not verdict.untrue:
        return ", and each was true at some moment while it looked" if verdict.complete else ""
    return f", of which {one_of(verdict.untrue)} though that was true at no moment while it looked"


def one_of(values: Sequence[int]) -> str:
    """Return values in words: `0 to 4` for five or more that follow each other."""
    if len(values) > 4 and values[-1] - values[0] == len(values) - 1:
        return f"{values[0]} to {values[-1]}"
    *before, last = map(str, values or ("none",))
    return f"{', '.join(before)} or {last}" if before else last


def _protected(cell: Cell, reader: Reader) -> Iterator[RenderableType]:
    """Yield what keeps others out when a caller goes on after its look, and whether it is there."""
    question = QUESTIONS.get(reader.name)
    if question is None or "FREEZE" not in question.names:
        return
    kinds = (ENTRIES, FREEZE) if question.unmaps else (FREEZE,)
    told = (f"{TITLES_OF_LOCKS[kind]}: {'no' if kind in cell.without else 'yes'}" for kind in kinds)
    yield sentence(f"As it goes on: {'; '.join(told)}.")


def _holds(cell: Cell, context: Context) -> str:
    """Return what a reader holds: its caller's locks and those that were added, without those that were taken out."""
    kinds = dict.fromkeys((*context.locks, *sorted(cell.more)))
    locks = ", ".join(kind for kind in kinds if kind not in {*cell.without, REFERENCE}) or "none"
    return f"locks: {locks}; a reference: {'yes' if has_reference(cell, context) else 'no'}"


def violations(verdict: Verdict, view: View) -> Iterator[RenderableType]:
    """Yield the violations of a model in full; those that one interleaving shows together."""
    by_schedule: dict[tuple[int, ...], list[Violation]] = {}
    for broken in verdict.violations:
        by_schedule.setdefault(broken.schedule, []).append(broken)
    for together in by_schedule.values():
        yield from _one_interleaving(verdict, together, view)


def _one_interleaving(verdict: Verdict, together: Sequence[Violation], view: View) -> Iterator[RenderableType]:
    """Yield what is violated, the interleaving, what went wrong, and who would suffer."""
    yield heading(f"{verdict.cell}: {', '.join(broken.property for broken in together)}")
    for broken in together:
        meaning = READER_PROPERTIES.get(broken.property) or REST_PROPERTIES.get(broken.property)
        if meaning:
            yield sentence(f"{broken.property}: {meaning.meaning}.")
    model = model_of(verdict.cell)
    yield from interleaving(model, trace(model, together[0].schedule), view)
    yield heading("What went wrong")
    for broken in together:
        yield sentence(f"{broken.sentence[:1].upper()}{broken.sentence[1:]}.")
    yield from _who_suffers(verdict, together)
    yield note(f"\nmapcount check --replay {verdict.replay_id(together[0])}")


def _told(recheck: Verdict) -> str:
    if recheck.violations:
        return f"is violated ({', '.join(one.property for one in recheck.violations)}): nothing catches it"
    return f"{recheck.status}, {recheck.states:,} states"


def _who_suffers(verdict: Verdict, together: Sequence[Violation]) -> Iterator[RenderableType]:
    context = verdict.context
    if context and context.source:
        yield sentence(f"Caller: {context.function}; {_holds(verdict.cell, context)}.")
    for broken in together:
        harm = verdict.harm_of(broken)
        yield sentence(f"{broken.property}, {verdict.kind_of(broken).value}: {harm.damage}.")
        if harm.recheck:
            yield sentence(f"It looks again: {harm.recheck}.")
    if verdict.recheck and any(verdict.harm_of(broken).recheck for broken in together):
        yield sentence(f"That look, modelled: {verdict.recheck.cell} {_told(verdict.recheck)}.")
    if not any(one.is_race for one in together):
        yield sentence("No race is needed for it: one call at a time does it too. The scheme is approximate by design.")
    if context and context.approximates:
        yield sentence(f"More than a kernel does: {context.approximates}.")
    if context and context.source:
        yield note(f"source: {context.source}")
