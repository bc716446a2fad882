"""Explores a cell and judges what was found: which properties hold, what breaks the others, and what that amounts to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mapcount.check.cells import AT_REST, Cell, context_of, model_of, properties_asked, question_of
from mapcount.check.explore import DEFAULT_BOUND, Answer, Explored, explore
from mapcount.check.harm import NOBODY, Class, Harm, worst
from mapcount.check.properties import READER_PROPERTIES, REST_PROPERTIES, TRUTH_MOVES, Takes
from mapcount.check.rest import broken_at_rest
from mapcount.check.schedule import schedule_text
from mapcount.check.trace import trace
from mapcount.errors import UsageError
from mapcount.mapping.schema import Kind
from mapcount.schemes.catalogue import find_scheme
from mapcount.schemes.words import PG_anon_exclusive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from mapcount.check.contexts import Context
    from mapcount.check.explore import Progress
    from mapcount.check.model import Model
    from mapcount.check.properties import Property
    from mapcount.check.steps import State
    from mapcount.schemes.scheme import Reader
    from mapcount.schemes.truth import FolioTruth
    from mapcount.schemes.words import Word


@dataclass(frozen=True)
class Violation:
    """A property that does not hold, and the shortest interleaving that shows it."""

    property: str
    sentence: str
    """what went wrong"""
    schedule: tuple[int, ...]
    value: int | None = None
    """what the reader returned; None: the words at rest are wrong"""
    true: tuple[int, ...] = ()
    """what was true at some moment of the window"""
    is_race: bool = True
    """it needs calls that overlap; else the scheme is wrong when one waits for the other, too"""


@dataclass(frozen=True)
class Verdict:
    """
    What is known of a cell.

    `cannot` says why nothing is: no kernel does this, or the scheme cannot answer. `properties` are those that were asked,
    `violations` those of them that do not hold. Without `complete` the bound of states was reached, and what is not violated
    is not known to hold. `sometimes` tells which of properties.SOMETIMES the model reaches. `recheck` is what is known of the
    same caller when it goes on, locks, unmaps and compares: judged where its look is wrong and that is modelled. `returns` is
    every value that the reader may return, `untrue` those of them that some interleaving returns though they were true at no
    moment of the window; both are empty at rest.
    """

    cell: Cell
    cannot: str = ""
    properties: tuple[str, ...] = ()
    violations: tuple[Violation, ...] = ()
    states: int = 0
    transitions: int = 0
    complete: bool = True
    context: Context | None = None
    reader: Reader | None = None
    sometimes: Mapping[str, bool] | None = None
    ranges: Mapping[str, tuple[int, int]] | None = None
    recheck: Verdict | None = None
    returns: tuple[int, ...] = ()
    untrue: tuple[int, ...] = ()

    @property
    def kind(self) -> Class | None:
        """What the worst of it amounts to: a violation's class, STALE, or None where every value is true to the end."""
        if self.violations:
            return worst(map(self.kind_of, self.violations))
        return Class.STALE if self.sometimes and self.sometimes.get(TRUTH_MOVES) else None

    def kind_of(self, violation: Violation) -> Class:
        """Return what a violation amounts to: ESTIMATE if it needs no race, else its property's class for this caller."""
        if not violation.is_race:
            return Class.ESTIMATE
        kind = self.harm_of(violation).kind
        is_caught = kind is not Class.RECHECKED or self.recheck is None or not self.recheck.violations
        return kind if is_caught else Class.CONSEQUENTIAL

    def harm_of(self, violation: Violation) -> Harm:
        """Return what comes of a violation, for the caller or of the words at rest."""
        if violation.property in REST_PROPERTIES:
            return REST_PROPERTIES[violation.property].harm
        return self.context.relies.get(violation.property, NOBODY) if self.context else NOBODY

    @property
    def status(self) -> str:
        """`holds`, `violated`, `bound reached` or `cannot answer`."""
        if self.cannot:
            return "cannot answer"
        if self.violations:
            return "violated"
        return "holds" if self.complete else "bound reached"

    def replay_id(self, violation: Violation) -> str:
        """Return the text that replays a violation."""
        return f"{self.cell}:{schedule_text(violation.schedule)}"


def judge(
    cell: Cell,
    *,
    properties: Iterable[str] | None = None,
    max_states: int = DEFAULT_BOUND,
    engine: str = "auto",
    progress: Progress | None = None,
) -> Verdict:
    """
    Explore a cell and judge it by `properties`, or by those that its caller relies on.

    What cannot be modelled or answered is a verdict too. Raises SchemeSourceError for a scheme that cannot be lowered.
    """
    wanted = tuple(properties) if properties is not None else None
    scheme = find_scheme(cell.scheme)
    if cell.context != AT_REST:
        context_of(cell, scheme)
    try:
        model = model_of(cell)
    except UsageError as error:
        return Verdict(cell, cannot=str(error))
    asked = wanted or properties_asked(cell)
    explored = explore(model, max_states=max_states, engine=engine, progress=progress)
    if cell.context == AT_REST:
        return _at_rest(cell, model, explored, asked, max_states, engine)
    context = context_of(cell, scheme)
    reader = question_of(context, scheme)
    assert reader is not None
    fitting = [name for name in asked if _fits(name, reader, model)]
    if not fitting:
        return Verdict(
            cell, cannot=f"{reader.name} is about {reader.quantity.value}: {', '.join(asked)} says nothing of it"
        )
    found = [one for name in fitting if (one := _violation(name, explored.observed))]
    if found:
        found = _without_overlap(cell, found, max_states, engine)
    return Verdict(
        cell,
        properties=tuple(fitting),
        violations=tuple(found),
        states=explored.states,
        transitions=explored.transitions,
        complete=explored.complete,
        context=context,
        reader=reader,
        sometimes=_sometimes(explored),
        ranges=explored.ranges,
        recheck=_recheck(cell, context, max_states, engine) if found else None,
        returns=tuple(sorted({one.value for one in explored.observed})),
        untrue=tuple(sorted({one.value for one in explored.observed if one.value not in one.attainable})),
    )


def _fits(name: str, reader: Reader, model: Model) -> bool:
    """Return whether a property says something about what is read."""
    one = READER_PROPERTIES.get(name)
    asked = {Takes.WINDOW: True, Takes.FOLIO: model.renews, Takes.HISTORY: model.histories}
    return one is not None and reader.quantity in one.quantities and asked[one.takes]


def _recheck(cell: Cell, context: Context, max_states: int, engine: str) -> Verdict | None:
    """
    Judge the caller as it goes on after its look, which may have been wrong; None if that is not modelled.

    In weak memory it is left to who asks for it by name: what may be put off there makes millions of states of it.
    """
    if not context.rechecked_by or cell.memory == "weak":
        return None
    further = judge(replace(cell, context=context.rechecked_by, more=frozenset()), max_states=max_states, engine=engine)
    return None if further.cannot else further


def _violation(name: str, answers: Iterable[Answer]) -> Violation | None:
    """Return the answer that breaks a property on the shortest way."""
    broken = [answer for answer in answers if breaks(READER_PROPERTIES[name], answer)]
    if not broken:
        return None
    first = min(broken, key=lambda answer: len(answer.schedule))
    true = tuple(READER_PROPERTIES[name].of(first.attainable, first.own, first.might))
    return _told(name, first.schedule, first.value, true, first.earlier)


def _without_overlap(cell: Cell, found: list[Violation], max_states: int, engine: str) -> list[Violation]:
    """Return violations, each with whether it needs calls that overlap: what happens one call at a time is no race."""
    serial = explore(model_of(cell, one_at_a_time=True), max_states=max_states, engine=engine)
    return [replace(one, is_race=_violation(one.property, serial.observed) is None) for one in found]


def breaks(one: Property, answer: Answer) -> bool:
    """Return whether an answer breaks a property of a reader."""
    return one.broken_by(answer.value, answer.attainable, answer.own, answer.might)


def _told(
    name: str, schedule: tuple[int, ...], value: int, true: tuple[int, ...], earlier: tuple[int, ...] = ()
) -> Violation:
    # What the first read returns wrongly fits no order, whatever follows.
    verdict = READER_PROPERTIES[name if earlier or name != "reads-in-order" else "explainable"].verdict
    sentence = verdict.format(
        value=value, true=" or ".join(map(str, true)) or "nothing", earlier=" and ".join(map(str, earlier))
    )
    return Violation(name, sentence, schedule, value, true)


def retold(model: Model, name: str, schedule: tuple[int, ...]) -> Violation:
    """Return the violation of a reader's property that a schedule ends with."""
    steps = trace(model, schedule).steps
    last = steps[-1]
    assert last.returned is not None
    earlier = tuple(one.returned for one in steps[:-1] if one.thread == last.thread and one.returned is not None)
    true = tuple(READER_PROPERTIES[name].of(last.window, last.own, last.might))
    return _told(name, schedule, last.returned, true, earlier)


def _sometimes(explored: Explored) -> dict[str, bool]:
    return {
        TRUTH_MOVES: any(len(answer.attainable) > 1 for answer in explored.observed),
        "value-varies": len({answer.value for answer in explored.observed}) > 1,
        "unmapped-meanwhile": any(0 in answer.attainable for answer in explored.observed),
        "runs-to-the-end": bool(explored.finals),
        "waits-for-ever": bool(explored.stuck),
    }


def _at_rest(
    cell: Cell, model: Model, explored: Explored, asked: tuple[str, ...], max_states: int, engine: str
) -> Verdict:
    fitting = [name for name in asked if name in REST_PROPERTIES]
    if model.kind != Kind.ANON or model.order < 2 or model.scheme.scheme.splits_at_once:
        fitting = [name for name in fitting if name != "partial-never-missed"]
    if model.kind != Kind.ANON or all(place.word != PG_anon_exclusive for place in model.scheme.scheme.places):
        fitting = [name for name in fitting if name != "exclusive-is-alone"]
    broken = {name: told for name in fitting if (told := _broken_at_rest(name, explored))}
    found = []
    if broken:
        serial = explore(model_of(cell, one_at_a_time=True), max_states=max_states, engine=engine)
        for name, told in broken.items():
            way = _way_to(name, model, explored, max_states, engine)
            found.append(Violation(name, told, way, is_race=not _broken_at_rest(name, serial)))
    return Verdict(
        cell,
        properties=tuple(fitting),
        violations=tuple(found),
        states=explored.states,
        transitions=explored.transitions,
        complete=explored.complete,
        sometimes=_sometimes(explored),
        ranges=explored.ranges,
    )


def _broken_at_rest(name: str, explored: Explored) -> str:
    """Return what of a property at rest is broken, in a sentence; nothing if it holds."""
    if name == "no-wrap":
        return next((sentence for _, sentence in _below_unused(explored)), "")
    if name == "comes-to-rest":
        return _WAIT if explored.stuck else ""
    return next((told for _, told in _broken_finals(name, explored)), "")


def _way_to(name: str, model: Model, explored: Explored, max_states: int, engine: str) -> tuple[int, ...]:
    """Return the shortest way to what is broken; but for an endless wait it is searched for once more, to that very state."""
    if name == "comes-to-rest":
        return explored.stuck[0]
    if name == "no-wrap":
        word, _ = next(_below_unused(explored))
        return explore(
            model, until={name: lambda words: min(words[word.name]) < word.bias}, max_states=max_states, engine=engine
        ).seen[name]
    state, _ = next(_broken_finals(name, explored))
    same = explored.steps.words(state).__eq__
    way = explore(model, until={name: same}, max_states=max_states, engine=engine).seen[name]
    return _to_the_end(model, way)


def _broken_finals(name: str, explored: Explored) -> Iterator[tuple[State, str]]:
    """Yield the states in which all is done and a property is broken, and what is wrong there."""
    for state in explored.finals:
        told = _AT_REST[name](explored, state)
        if told:
            yield state, told


def _to_the_end(model: Model, way: tuple[int, ...]) -> tuple[int, ...]:
    """Return the schedule with what the threads still have to do: their last steps may touch no word that the state tells."""
    from mapcount.check.steps import Steps

    steps = Steps(model)
    state, schedule = steps.first, list(way)
    for chosen in way:
        taken = steps.step(state, chosen)
        assert taken is not None
        state = taken.state
    while not steps.is_over(state):
        able = [(chosen, taken) for chosen in steps.choices(state) if (taken := steps.step(state, chosen))]
        schedule.append(able[0][0])
        state = able[0][1].state
    return tuple(schedule)


def _statistics(explored: Explored, state: State) -> str:
    return "; ".join(broken_at_rest(explored.steps, state, statistics=True))


def _words(explored: Explored, state: State) -> str:
    return "; ".join(broken_at_rest(explored.steps, state, statistics=False))


def _truth(explored: Explored, state: State) -> FolioTruth:
    steps = explored.steps
    return steps.moments.settled([steps.local(state, thread) for thread in range(len(steps.threads))])


def _partial_missed(explored: Explored, state: State) -> str:
    mapped, pages = _truth(explored, state).pages_mapped(), 1 << explored.steps.model.order
    marked = explored.steps.words(state)["PG_partially_mapped"][0]
    if not 0 < mapped < pages or marked:
        return ""
    return f"{mapped} of {pages} pages are mapped, and the folio is not marked to be split"


def _shared_exclusive(explored: Explored, state: State) -> str:
    truth = _truth(explored, state)
    whole = {mm for mm, *_ in truth.huge}
    for page, flag in enumerate(explored.steps.words(state)[PG_anon_exclusive.name]):
        mms = whole | {mm for mm, *_, i in truth.ptes if i == page}
        if flag and len(mms) > 1:
            return f"page {page} is marked exclusive, and {len(mms)} address spaces map it"
    return ""


_WAIT = "from here on every thread that is not done waits for a lock that is never given back"
_AT_REST: dict[str, Callable[[Explored, State], str]] = {
    "stats-balance": _statistics,
    "words-balance": _words,
    "partial-never-missed": _partial_missed,
    "exclusive-is-alone": _shared_exclusive,
}


def _below_unused(explored: Explored) -> Iterator[tuple[Word, str]]:
    """Yield the words that are less than an unused one holds at some moment, each with a sentence."""
    for place in explored.steps.model.scheme.scheme.places:
        word = place.word
        least = explored.ranges.get(word.name, (word.bias, 0))[0]
        if not word.is_flag and least < word.bias:
            yield word, f"{word.name} is {least} at worst, less than {word.bias}, which is what an unused one holds"
