"""Golden traces: what a real kernel showed after every step of many scenarios, in a file that tests compare the model with.

A file is JSON with a step a line, so that a change can be read: what a step changed in who maps what, by process, and in the
words of folios, by folio. No frame numbers. tests/golden/README.md describes it for readers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mapcount.errors import BadLogError, DisagreementError
from mapcount.mapping.schema import Kind, Level
from mapcount.scenarios.observation import FolioState, Mapped, Observation
from mapcount.scenarios.parser import parse
from mapcount.scenarios.steps import Expect
from mapcount.scenarios.text import step_text, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from mapcount.scenarios.observation import Backend
    from mapcount.scenarios.scenario import Scenario, Settings
    from mapcount.scenarios.steps import Step

FORMAT = 2


@dataclass(frozen=True)
class Recorded:
    """A scenario and what was seen after each of its steps, expectations left out."""

    scenario: Scenario
    observations: tuple[Observation, ...]


@dataclass(frozen=True)
class Trace:
    """What one kernel showed."""

    kernel: str
    """The release."""
    page_mapcount: bool
    image_sha256: str
    recorded: tuple[Recorded, ...]
    skipped: dict[str, str] = field(default_factory=dict)
    """By scenario, why it could not be recorded."""


def record(backend: Backend, scenarios: Iterable[Scenario], *, image_sha256: str = "") -> Trace:
    """Run scenarios on a machine and keep what it shows; those that it cannot run are `skipped`."""
    from mapcount.errors import KernelFeatureError
    from mapcount.scenarios.run import run

    recorded, skipped = [], {}
    for scenario in scenarios:
        try:
            seen = [shown for step, shown in run(scenario, backend) if not isinstance(step, Expect)]
            recorded.append(Recorded(scenario, tuple(seen)))
        except KernelFeatureError as lacks:
            skipped[scenario.name] = str(lacks)
    return Trace(backend.release, backend.page_mapcount, image_sha256, tuple(recorded), skipped)


def save(trace: Trace, path: Path) -> None:
    """Write a trace."""
    head = {
        "format": FORMAT,
        "kernel": trace.kernel,
        "page_mapcount": trace.page_mapcount,
        "image_sha256": trace.image_sha256,
        "skipped": trace.skipped,
    }
    lines = [json.dumps(head, separators=(",", ":"))]
    for one in trace.recorded:
        lines.append(json.dumps({"scenario": one.scenario.name, "text": text(one.scenario).splitlines()}))
        lines += [json.dumps(step, separators=(",", ":")) for step in _deltas(one)]
    path.write_text("\n".join(lines) + "\n")


def load(path: Path) -> Trace:
    """Read a trace. Raises BadLogError if it is none, or of another format."""
    try:
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        head = lines[0]
        if head["format"] != FORMAT:
            raise BadLogError(f"{path} is a trace of format {head['format']}; this program reads {FORMAT}")
        recorded, steps = [], list[dict[str, Any]]()
        for line in reversed(lines[1:]):
            if "scenario" in line:
                scenario = parse("\n".join(line["text"]), name=line["scenario"], file=str(path))
                recorded.append(Recorded(scenario, tuple(_restored(reversed(steps)))))
                steps = []
            else:
                steps.append(line)
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise BadLogError(f"{path} is no golden trace: {error}") from error
    return Trace(
        head["kernel"], head["page_mapcount"], head["image_sha256"], tuple(reversed(recorded)), dict(head["skipped"])
    )


class RecordedBackend:
    """Plays back one recorded scenario as a machine. Raises DisagreementError for a step that was not recorded there."""

    def __init__(self, trace: Trace, recorded: Recorded) -> None:
        self._recorded = recorded
        self._steps = [step for step in recorded.scenario.steps if not isinstance(step, Expect)]
        self._at = -1
        self.name = f"{trace.kernel}, recorded"
        self.release = trace.kernel
        self.page_mapcount = trace.page_mapcount

    def begin(self, settings: Settings) -> None:  # noqa: ARG002 - they are those of then
        """Go to the start."""
        self._at = -1

    def do(self, step: Step) -> int:
        """Return what the step returned then."""
        self._at += 1
        if self._at >= len(self._steps) or self._steps[self._at] != step:
            raise DisagreementError(f"`{step_text(step)}` is not step {self._at + 1} of what was recorded")
        return self._recorded.observations[self._at].result

    def observe(self, result: int, *, proc: bool = False) -> Observation:  # noqa: ARG002 - /proc is not recorded
        """Return what was seen then."""
        return self._recorded.observations[self._at]

    def end(self) -> None:
        """Do nothing."""


def _deltas(one: Recorded) -> Iterator[dict[str, Any]]:
    steps = [step for step in one.scenario.steps if not isinstance(step, Expect)]
    rows_before: dict[str, list[list[object]]] = {}
    words_before: dict[str, dict[str, object]] = {}
    for step, seen in zip(steps, one.observations, strict=True):
        rows: dict[str, list[list[object]]] = {}
        for row in seen.mappings:
            told = [row.area, row.page, row.folio, row.first, row.nr_pages, row.level.name.lower()]
            rows.setdefault(row.process, []).append(told)
        words = {name: _plain(state) for name, state in seen.folios.items()}
        delta: dict[str, Any] = {"do": step_text(step), "result": seen.result}
        delta["map"] = {
            name: rows.get(name) for name in rows.keys() | rows_before if rows.get(name) != rows_before.get(name)
        }
        delta["folios"] = {
            name: None if name not in words else _changed(words_before.get(name, {}), words[name])
            for name in words.keys() | words_before
            if words.get(name) != words_before.get(name)
        }
        yield {key: dict(sorted(value.items())) if isinstance(value, dict) else value for key, value in delta.items()}
        rows_before, words_before = rows, words


def _plain(state: FolioState) -> dict[str, object]:
    return {"order": state.order, "kind": state.kind.name.lower(), **state.words}


def _changed(before: dict[str, object], after: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in after.items() if before.get(name) != value or name not in before}


def _restored(steps: Iterable[dict[str, Any]]) -> Iterator[Observation]:
    rows: dict[str, list[Any]] = {}
    folios: dict[str, dict[str, Any]] = {}
    for step in steps:
        for process, told in step["map"].items():
            rows[process] = told or []
        for name, changed in step["folios"].items():
            if changed is None:
                folios.pop(name, None)
            else:
                folios[name] = folios.get(name, {}) | changed
        mappings = sorted(
            Mapped(process, area, page, folio, first, nr_pages, Level[level.upper()])
            for process, told in rows.items()
            for area, page, folio, first, nr_pages, level in told
        )
        yield Observation(step["result"], tuple(mappings), {name: _state(words) for name, words in folios.items()})


def _state(words: dict[str, Any]) -> FolioState:
    rest = {name: _frozen(value) for name, value in words.items() if name not in {"order", "kind"}}
    return FolioState(words["order"], Kind[words["kind"].upper()], rest)


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
