"""The verdicts of `mapcount check` for programs: JSON with a schema version, one object a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mapcount.check.cells import model_of
from mapcount.check.trace import trace
from mapcount.report.encoding import indented
from mapcount.report.interleaving import told
from mapcount.report.races import mark_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mapcount.check.trace import TraceStep
    from mapcount.check.verdicts import Verdict, Violation

RACES_SCHEMA_VERSION = 1


@dataclass(frozen=True)
class RaceStep:
    """One access of an interleaving, what it made of its word, and what was true then."""

    cpu: int
    did: str
    way: str
    word: str | None
    before: int
    after: int
    true: list[int]
    held: list[str]
    source: list[str]


@dataclass(frozen=True)
class RaceViolation:
    """A property that does not hold, and the shortest interleaving that shows it."""

    property: str
    sentence: str
    amounts_to: str
    damage: str
    recheck: str | None
    returned: int | None
    true: list[int]
    is_race: bool
    replay: str
    steps: list[RaceStep]


@dataclass(frozen=True)
class RaceModel:
    """What is known of one model."""

    model: str
    scheme: str
    context: str
    writers: str
    pages: int
    truth: str
    memory: str
    locks_taken_out: list[str]
    locks_added: list[str]
    status: str
    mark: str
    amounts_to: str | None
    cannot: str | None
    properties: list[str]
    returns: list[int]
    untrue: list[int]
    states: int
    transitions: int
    complete: bool
    sometimes: dict[str, bool]
    transient_range: dict[str, list[int]]
    violations: list[RaceViolation]
    recheck: str | None
    recheck_status: str | None


@dataclass(frozen=True)
class Races:
    """All models that were asked for, in the order of the matrix."""

    schema_version: int
    models: list[RaceModel]


def document(verdicts: Sequence[Verdict]) -> bytes:
    """Return verdicts as indented JSON: a `Races`."""
    return indented(Races(RACES_SCHEMA_VERSION, [record(verdict) for verdict in verdicts]))


def record(verdict: Verdict) -> RaceModel:
    """Return one verdict: names, counts, and each violation with its steps."""
    cell = verdict.cell
    return RaceModel(
        model=str(cell),
        scheme=cell.scheme,
        context=cell.context,
        writers=cell.writers,
        pages=cell.pages,
        truth=cell.truth,
        memory=cell.memory,
        locks_taken_out=sorted(cell.without),
        locks_added=sorted(cell.more),
        status=verdict.status,
        mark=mark_of(verdict),
        amounts_to=verdict.kind.value if verdict.kind else None,
        cannot=verdict.cannot or None,
        properties=list(verdict.properties),
        returns=list(verdict.returns),
        untrue=list(verdict.untrue),
        states=verdict.states,
        transitions=verdict.transitions,
        complete=verdict.complete,
        sometimes=dict(verdict.sometimes or {}),
        transient_range={name: list(found) for name, found in (verdict.ranges or {}).items()},
        violations=[_violation(verdict, broken) for broken in verdict.violations],
        recheck=str(verdict.recheck.cell) if verdict.recheck else None,
        recheck_status=verdict.recheck.status if verdict.recheck else None,
    )


def _violation(verdict: Verdict, broken: Violation) -> RaceViolation:
    return RaceViolation(
        property=broken.property,
        sentence=broken.sentence,
        amounts_to=verdict.kind_of(broken).value,
        damage=verdict.harm_of(broken).damage,
        recheck=verdict.harm_of(broken).recheck or None,
        returned=broken.value,
        true=list(broken.true),
        is_race=broken.is_race,
        replay=verdict.replay_id(broken),
        steps=[_step(step) for step in trace(model_of(verdict.cell), broken.schedule).steps],
    )


def _step(step: TraceStep) -> RaceStep:
    return RaceStep(
        cpu=step.thread,
        did=told(step),
        way=step.way.value,
        word=str(step.cell) if step.cell else None,
        before=step.before,
        after=step.after,
        true=list(step.true),
        held=list(step.held),
        source=[str(frame) for frame in step.position],
    )
