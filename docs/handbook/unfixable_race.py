"""The unfixable race, scheme by scheme, as Markdown: from the stored verdicts (verdicts.py), and the drawings from replays."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from handbook.verdicts import BITS, CALLERS, LOCKS, stored
from mapcount.check.cells import AT_REST, model_of, question_of
from mapcount.check.contexts import CONTEXTS
from mapcount.check.locks import TITLES
from mapcount.check.properties import READER_PROPERTIES, REST_PROPERTIES
from mapcount.check.schedule import schedule_text
from mapcount.check.trace import trace
from mapcount.report.interleaving import drawing
from mapcount.report.races import MEANINGS, WORST, one_of
from mapcount.report.table import View
from mapcount.report.terminal import render
from mapcount.schemes.catalogue import SCHEMES, find_scheme

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from handbook.verdicts import Broken, Known
    from mapcount.check.cells import Cell

_WIDTH = 80
_SAYS = {
    "HARM": "Never true, and acted on",
    "recheck": "Never true, and looked at again before anything is done",
    "TORN": "Never true, and nobody comes to harm",
    "guess": "Wrong without any race",
}
_HOLDS = {
    "fine": "Never true at times, in a way that the caller does not mind",
    "stale": "True while it looked, and perhaps not any more: no way of counting cures that",
    "true": "Still true when it returns",
}
_COUNTED = ("true", "stale", "fine", *reversed(_SAYS))


@cache
def known() -> dict[Cell, Known]:
    """Return the stored verdicts by their models."""
    return {one.cell: one for one in stored()}


def overview_text() -> str:
    """Return a table of how many callers get what with each scheme, and one of what each lock does for all of them."""
    rows = [f"| scheme | {' | '.join(_COUNTED)} |", f"|---|{'---|' * len(_COUNTED)}"]
    for scheme in SCHEMES:
        counts = Counter(one.mark for one in _as_they_are(scheme.id))
        rows.append(f"| [{scheme.id}](#{scheme.id}) | {' | '.join(str(counts[mark] or '') for mark in _COUNTED)} |")
    rows += [
        "",
        "| the reader has also the | never true: cured | less bad | no help | stale: now true | stale still |",
    ]
    rows += ["|---|---|---|---|---|---|", *map(_over_all, LOCKS), ""]
    return "\n".join(rows)


def _over_all(kind: str) -> str:
    counts: Counter[str] = Counter()
    for one in known().values():
        if one.cell.more == {kind}:
            before = known()[replace(one.cell, more=frozenset())].mark
            if before == "stale":
                counts["true" if one.mark == "true" else "stale"] += 1
            else:
                counts["cured" if one.mark in _HOLDS else "less" if _is_better(one.mark, before) else "no"] += 1
    told = (str(counts[name] or "") for name in ("cured", "less", "no", "true", "stale"))
    return f"| {TITLES[kind]} | {' | '.join(told)} |"


def races_text() -> str:
    """Return a section for each scheme of the catalogue, in the order of history."""
    return "\n".join(line for scheme in SCHEMES for line in _section(scheme.id))


def _section(scheme: str) -> Iterator[str]:
    about, callers = find_scheme(scheme).scheme, _as_they_are(scheme)
    title = f"{about.title[:1].upper()}{about.title[1:]}; {about.when}."
    yield from (f"## {scheme}", "", f"{title} Here with {callers[0].cell.pages} pages.", "")
    yield from _table(callers)
    for mark, says in _SAYS.items():
        those = [one for one in callers if one.mark == mark]
        if those:
            yield from (f"**{says}** (`{mark}`):", "", *(f"* {_name(one)}: {_told(one, mark)}" for one in those), "")
    for mark, says in _HOLDS.items():
        those = [one for one in callers if one.mark == mark]
        if those:
            yield from (f"**{says}** (`{mark}`): {_names(those)}.", "")
    missing = sorted(set(CALLERS) - {one.cell.context for one in callers}, key=CALLERS.index)
    if missing:
        yield from (f"**{MEANINGS['-'].capitalize()}**: {', '.join(f'`{name}`' for name in missing)}.", "")
    yield from (_at_rest(scheme), "", *_locks(callers), "", *_worst(callers))


def _table(callers: Sequence[Known]) -> Iterator[str]:
    yield from ("| caller | asks | may return | untrue at times | verdict |", "|---|---|---|---|---|")
    for one in callers:
        reader = question_of(CONTEXTS[one.cell.context], find_scheme(one.cell.scheme))
        assert reader is not None
        untrue = one_of(one.untrue) if one.untrue else ""
        yield f"| {_name(one)} | `{reader.name}` | {one_of(one.returns)} | {untrue} | {one.mark} |"
    yield ""


def _told(one: Known, mark: str) -> str:
    """Return the violation that gives a model its mark, the shortest if several do, and what comes of it."""
    broken = _shortest(one, mark)
    true = " or ".join(map(str, broken.true))
    sentence = READER_PROPERTIES[broken.property].verdict.format(value=broken.value, true=true)
    damage = CONTEXTS[one.cell.context].relies[broken.property].damage
    return f"{sentence} ({len(broken.schedule)} steps). Then {damage}."


def _shortest(one: Known, mark: str) -> Broken:
    return min((broken for broken in one.broken if broken.mark == mark), key=lambda broken: len(broken.schedule))


def _at_rest(scheme: str) -> str:
    (rest,) = (
        one for one in known().values() if _is_plain(one) and (one.cell.scheme, one.cell.context) == (scheme, AT_REST)
    )
    if not rest.broken:
        return "At rest, when three writers are done, its words and statistics are right."
    told = (
        f"`{one.property}` does not hold: {REST_PROPERTIES[one.property].harm.damage} ({one.mark})"
        for one in rest.broken
    )
    return f"At rest, when three writers are done, {'; '.join(told)}."


def _locks(callers: Sequence[Known]) -> Iterator[str]:
    """Yield a line for each kind of lock: whom it helps, whom not, and who would be worse off if nobody held it."""
    for kind in LOCKS:
        given = _changes(callers, more=frozenset({kind}))
        taken = _changes(callers, without=frozenset({kind}))
        told = _changed(f"With the **{TITLES[kind]}** as well", given, "not helped")
        told += _changed(f"If nobody held the **{TITLES[kind]}**", taken, "no worse")
        if told:
            yield f"* {' '.join(told)}"
    taken = _changes(callers, without=frozenset({BITS}))
    yield from (f"* {told}" for told in _changed("If nobody waited for its own **bit lock**", taken, "no worse"))


def _changes(
    callers: Iterable[Known], more: frozenset[str] = frozenset(), without: frozenset[str] = frozenset()
) -> list[tuple[Known, str]]:
    """Return the callers of whom the model with other locks is known, each with its mark there."""
    others = ((one, known().get(replace(one.cell, more=more, without=without))) for one in callers)
    return [(one, other.mark) for one, other in others if other]


def _changed(condition: str, changes: Sequence[tuple[Known, str]], no_change: str) -> list[str]:
    """Return a sentence about who sees something else under a condition, and who does not; none if nobody is asked."""
    if not changes:
        return []
    moves: dict[tuple[str, str], list[Known]] = {}
    for one, mark in changes:
        moves.setdefault((mark, one.mark), []).append(one)
    told = [
        f"{_names(of)}: `{after}` instead of `{before}`" for (after, before), of in moves.items() if after != before
    ]
    same = [one for one, mark in changes if mark == one.mark]
    return [f"{condition}, {'; '.join([*told, *([f'{no_change}: {_names(same)}'] if same else [])])}."]


def _worst(callers: Sequence[Known]) -> Iterator[str]:
    """Yield the drawing of the shortest way to what is worst."""
    mark = min((one.mark for one in callers if one.broken), key=WORST.index, default=None)
    if mark is None:
        return
    one = min((one for one in callers if one.mark == mark), key=lambda one: len(_shortest(one, mark).schedule))
    broken = _shortest(one, mark)
    model = model_of(one.cell)
    parts = drawing(model, trace(model, broken.schedule), View(width=_WIDTH))
    yield from (f"The shortest way to {mark}, `{broken.property}` of {_name(one)}:", "", "```text")
    yield from render(parts, width=_WIDTH, colour=False).strip("\n").splitlines()
    yield from ("```", "", f"`mapcount check --replay {one.cell}:{schedule_text(broken.schedule)}`", "")


def _names(those: Iterable[Known]) -> str:
    return ", ".join(map(_name, those))


def _name(one: Known) -> str:
    return f"`{one.cell.context}`"


def _as_they_are(scheme: str) -> list[Known]:
    return [
        one for one in known().values() if _is_plain(one) and one.cell.scheme == scheme and one.cell.context != AT_REST
    ]


def _is_plain(one: Known) -> bool:
    return not one.cell.more and not one.cell.without


def _is_better(mark: str, before: str) -> bool:
    return WORST.index(mark) > WORST.index(before)
