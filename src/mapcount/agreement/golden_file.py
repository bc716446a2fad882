"""The file of a golden trace, format 2: JSON, one step a line with what it changed, small enough to review as a diff."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from mapcount.agreement.golden import Recorded, Trace
from mapcount.agreement.merge_patch import Document, difference, merged
from mapcount.errors import BadTraceError, ScenarioError
from mapcount.mapping.schema import Kind, Level
from mapcount.scenarios.observation import FolioState, Mapped, Observation, VmaReading
from mapcount.scenarios.parser import parse
from mapcount.scenarios.text import step_text, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

_T = TypeVar("_T")
FORMAT = 2
_RANGE = re.compile(r"([a-z])\[(\d+)(?::(\d+))?\]")
_HEAD = ("kernel", "page_mapcount", "image_sha256", "config", "fields", "smaps", "skipped")


def save(trace: Trace, path: Path) -> None:
    """Write a trace. Raises OSError."""
    path.write_text("".join(f"{line}\n" for line in _lines(trace)), encoding="utf-8")


def load(path: Path) -> Trace:
    """Read a trace. Raises BadTraceError if the file is damaged or of another format, OSError if it cannot be read."""
    try:
        document = msgspec.json.decode(path.read_bytes())
        if document["format"] != FORMAT:
            raise BadTraceError(f"{path} has format {document['format']}; this mapcount reads {FORMAT}")
        recorded = tuple(_recorded(one, document["smaps"], str(path)) for one in document["scenarios"])
        kernel, page_mapcount, image, config = (document[name] for name in _HEAD[:4])
        return Trace(kernel, page_mapcount, image, config, recorded, document["skipped"])
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, ScenarioError) as error:
        raise BadTraceError(f"{path} is damaged: {error}; record it again") from error


def _lines(trace: Trace) -> Iterator[str]:
    head: Document = {name: getattr(trace, name, None) for name in _HEAD}
    head["smaps"] = sorted({name for seen in _all(trace) for one in seen.proc for name in one.smaps_bytes})
    yield "{"
    yield f'"format": {FORMAT},'
    for name, value in head.items():
        yield f'"{name}": {_json(value)},'
    yield '"scenarios": ['
    for at, one in enumerate(trace.recorded):
        said = [line for line in text(one.scenario).splitlines() if line][: -len(one.scenario.steps)]
        yield f'{{"name": {_json(one.scenario.name)}, "head": {_json(said)}, "steps": ['
        yield ",\n".join(map(_json, _steps(one)))
        yield "]}" + ("," if at + 1 < len(trace.recorded) else "")
    yield "]}"


def _all(trace: Trace) -> Iterator[Observation]:
    for one in trace.recorded:
        yield from one.observations


def _steps(one: Recorded) -> Iterator[Document]:
    before: Document = {}
    for step, seen in zip(one.scenario.steps, one.observations, strict=True):
        after = _document(seen)
        yield {"do": step_text(step), "result": seen.result} | difference(before, after)
        before = after


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _document(seen: Observation) -> Document:
    """Return what is seen as a document; a part in which there is nothing is left out."""
    mappings: Document = {}
    for row in seen.mappings:
        place = f"{row.area}[{row.page}]"
        mappings.setdefault(row.process, {})[place] = (row.folio, row.first, row.nr_pages, row.level.name.lower())
    folios = {
        name: {"order": state.order, "kind": state.kind.name.lower(), **state.words}
        for name, state in seen.folios.items()
    }
    proc: Document = {}
    for one in seen.proc:
        sizes = {name: size for name, size in sorted(one.smaps_bytes.items()) if size}
        place = f"{one.area}[{one.first}:{one.end}]"
        proc.setdefault(one.process, {})[place] = sizes | {"bit 56": one.mapped_once}
    parts = {"mappings": mappings, "folios": folios, "proc": proc, "kpagecount": dict(seen.kpagecount)}
    return {name: part for name, part in parts.items() if part}


def _recorded(one: Document, smaps: Sequence[str], file: str) -> Recorded:
    steps = one["steps"]
    lines = [*one["head"], "", *(step["do"] for step in steps)]
    scenario = parse("\n".join(lines), name=one["name"], file=file)
    document: Document = {}
    states: dict[str, FolioState] = {}
    rows: dict[str, list[Mapped]] = {}
    observations = []
    for step in steps:
        patch = {name: part for name, part in step.items() if name not in {"do", "result"}}
        document = merged(document, patch)
        # What did not change is kept: most of a trace.
        states = _kept(document, patch, "folios", states, _state)
        rows = _kept(document, patch, "mappings", rows, _rows)
        mappings = tuple(sorted(row for part in rows.values() for row in part))
        proc, counts = _readings(document, smaps), document.get("kpagecount", {})
        kpagecount = {name: _frozen(runs) for name, runs in counts.items()}
        observations.append(Observation(step["result"], mappings, states, proc, kpagecount))
    return Recorded(scenario, tuple(observations))


def _kept(
    document: Document, patch: Document, part: str, before: dict[str, _T], decode: Callable[[str, Document], _T]
) -> dict[str, _T]:
    """Return the members of a part decoded: those that the patch does not name are as before."""
    changed = patch.get(part) or {}
    members = document.get(part, {})
    return {
        name: decode(name, member) if name in changed or name not in before else before[name]
        for name, member in members.items()
    }


def _state(_name: str, words: Document) -> FolioState:
    kept = {name: _frozen(value) for name, value in words.items() if name not in {"order", "kind"}}
    return FolioState(words["order"], Kind[words["kind"].upper()], kept)


def _rows(process: str, part: Document) -> list[Mapped]:
    return [
        Mapped(process, *_place(place)[:2], folio, first, nr_pages, Level[level.upper()])
        for place, (folio, first, nr_pages, level) in part.items()
    ]


def _readings(document: Document, smaps: Sequence[str]) -> tuple[VmaReading, ...]:
    found = [
        VmaReading(process, *_place(place), {name: words.get(name, 0) for name in smaps}, _frozen(words["bit 56"]))
        for process, part in document.get("proc", {}).items()
        for place, words in part.items()
    ]
    return tuple(sorted(found, key=lambda one: (one.process, one.area, one.first)))


def _place(place: str) -> tuple[str, int, int]:
    found = _RANGE.fullmatch(place)
    if not found:
        raise ValueError(f"{place!r} is no place")
    area, first, end = found.groups()
    return area, int(first), int(end or 0)


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
