"""How far two machines agree, as records for programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mapcount.agreement.coverage import OPERATIONS
from mapcount.agreement.not_compared import UNSEEN, why_one_sided
from mapcount.report.encoding import indented
from mapcount.scenarios.changes import words_text
from mapcount.scenarios.text import step_text, text
from mapcount.scenarios.values import format_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mapcount.agreement.conform import Conformance
    from mapcount.agreement.coverage import Coverage
    from mapcount.agreement.pair import Compared
    from mapcount.scenarios.observation import Observation

CONFORM_SCHEMA_VERSION = 1


@dataclass(frozen=True)
class FieldRecord:
    """How often a field was compared and differed; `why` it was not compared where only one machine had it."""

    field: str
    compared: int
    mismatches: int
    allowed: int
    one_sided: int
    why: str


@dataclass(frozen=True)
class DifferenceRecord:
    """One field of one thing after a step, on the left machine and on the right one, as text."""

    scenario: str
    step: int
    """From 1."""
    did: str
    field: str
    subject: str
    left: str
    right: str


@dataclass(frozen=True)
class ShortestRecord:
    """The shortest scenario found that shows a difference: its text, and what each machine showed at its end."""

    found_in: str
    text: str
    differences: list[DifferenceRecord]
    left: list[str]
    right: list[str]


@dataclass(frozen=True)
class BranchRecord:
    """A branch of the way of counting that was never taken; `why` if no scenario can."""

    file: str
    line: int
    source: str
    to_line: int
    """Where it never went on."""
    why: str


@dataclass(frozen=True)
class CoverageRecord:
    """Steps that had an effect, by operation; and branches."""

    effective: dict[str, int]
    branches: int
    branches_taken: int
    not_taken: list[BranchRecord]


@dataclass(frozen=True)
class PairRecord:
    """Two machines."""

    left: str
    right: str
    scenarios: int
    steps: int
    fields: list[FieldRecord]
    allowed: dict[str, int]
    """By reason and source."""
    skipped: dict[str, str]
    """By scenario, why."""
    differences: list[DifferenceRecord]
    shortest: list[ShortestRecord]
    coverage: CoverageRecord | None


@dataclass(frozen=True)
class ConformRecord:
    """All pairs that were compared; `not_compared` says by thing why no machine is looked at for it."""

    schema_version: int
    agrees: bool
    pairs: list[PairRecord]
    not_compared: dict[str, str]


def document(found: Sequence[PairRecord]) -> bytes:
    """Return the records as indented JSON."""
    agrees = not any(one.differences for one in found)
    return indented(ConformRecord(CONFORM_SCHEMA_VERSION, agrees, list(found), UNSEEN))


def pair_record(found: Conformance, coverage: Coverage | None = None) -> PairRecord:
    """Return what came of two machines."""
    return PairRecord(
        found.left,
        found.right,
        found.scenarios,
        found.steps,
        _fields(found),
        {f"{one.field}: {one.reason} ({one.source})": count for one, count in found.allowed.items()},
        found.skipped,
        [row for compared in found.differing for row in difference_records(compared)],
        [_shortest(one) for one in found.shortest],
        None if coverage is None else _coverage(coverage),
    )


def difference_records(compared: Compared) -> list[DifferenceRecord]:
    """Return the differences of a scenario."""
    scenario = compared.scenario
    return [
        DifferenceRecord(
            scenario.name,
            one.step + 1,
            step_text(scenario.steps[one.step]),
            one.field,
            one.subject,
            _shown(one.left),
            _shown(one.right),
        )
        for one in compared.differences
    ]


def state_lines(seen: Observation) -> list[str]:
    """Return what a machine showed, for people: who maps what, then the words of every folio."""
    rows = [
        f"{row.process}: {row.area}[{row.page}:{row.page + row.nr_pages}] maps "
        f"{row.folio}[{row.first}:{row.first + row.nr_pages}] by {row.level.name}"
        for row in seen.mappings
    ]
    for name, state in seen.folios.items():
        words = words_text(state, [row for row in seen.mappings if row.folio == name])
        told = ", ".join(f"{word} {value}" for word, value in words.items())
        rows.append(f"{name}: {state.kind.name.lower()}, order {state.order}, {told}")
    return [f"result {seen.result}", *rows]


def _fields(found: Conformance) -> list[FieldRecord]:
    tally = found.tally
    allowed: dict[str, int] = {}
    for one, count in found.allowed.items():
        allowed[one.field] = allowed.get(one.field, 0) + count
    rows = []
    for name in sorted(tally.compared | tally.only_left | tally.only_right):
        one_sided = tally.only_left[name] + tally.only_right[name]
        why = why_one_sided(name, found.left if tally.only_left[name] else found.right) if one_sided else ""
        rows.append(
            FieldRecord(name, tally.compared[name], found.mismatches[name], allowed.get(name, 0), one_sided, why)
        )
    return rows


def _shortest(one: Compared) -> ShortestRecord:
    assert one.states is not None
    left, right = one.states
    return ShortestRecord(
        one.scenario.name, text(one.scenario), difference_records(one), state_lines(left), state_lines(right)
    )


def _coverage(coverage: Coverage) -> CoverageRecord:
    branches = coverage.branches
    return CoverageRecord(
        {name: coverage.effective[name] for name in OPERATIONS},
        len(branches.all),
        len(branches.taken),
        [
            BranchRecord(_within_package(one.file), one.line, one.source, one.to_line, why)
            for one, why in coverage.branches_not_taken()
        ],
    )


def _within_package(file: str) -> str:
    return file.rpartition("/mapcount/")[2]


def _shown(value: Any) -> str:
    return format_value(value) or "none"
