"""The verdicts of `mapcount check` for programs: JSON with a schema version, one object a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mapcount.check.cells import model_of
from mapcount.check.trace import trace
from mapcount.report.encoding import indented
from mapcount.report.interleaving import told
from mapcount.report.races import mark_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mapcount.check.verdicts import Verdict, Violation

RACES_SCHEMA_VERSION = 1


def document(verdicts: Sequence[Verdict]) -> bytes:
    """Return verdicts as indented JSON: `schema_version` and `models`."""
    return indented({"schema_version": RACES_SCHEMA_VERSION, "models": [record(verdict) for verdict in verdicts]})


def record(verdict: Verdict) -> dict[str, Any]:
    """Return one verdict: names, counts, and each violation with its steps."""
    cell = verdict.cell
    return {
        "model": str(cell),
        "scheme": cell.scheme,
        "context": cell.context,
        "writers": cell.writers,
        "pages": cell.pages,
        "truth": cell.truth,
        "memory": cell.memory,
        "locks_taken_out": sorted(cell.without),
        "locks_added": sorted(cell.more),
        "status": verdict.status,
        "mark": mark_of(verdict),
        "class": verdict.kind.value if verdict.kind else None,
        "cannot": verdict.cannot or None,
        "properties": list(verdict.properties),
        "states": verdict.states,
        "transitions": verdict.transitions,
        "complete": verdict.complete,
        "sometimes": dict(verdict.sometimes or {}),
        "transient_range": {name: list(found) for name, found in (verdict.ranges or {}).items()},
        "violations": [_violation(verdict, broken) for broken in verdict.violations],
    }


def _violation(verdict: Verdict, broken: Violation) -> dict[str, Any]:
    steps = trace(model_of(verdict.cell), broken.schedule).steps
    return {
        "property": broken.property,
        "sentence": broken.sentence,
        "returned": broken.value,
        "true": list(broken.true),
        "is_race": broken.is_race,
        "replay": verdict.replay_id(broken),
        "steps": [
            {
                "cpu": step.thread,
                "did": told(step),
                "way": step.way.value,
                "word": str(step.cell) if step.cell else None,
                "before": step.before,
                "after": step.after,
                "true": list(step.true),
                "held": list(step.held),
                "source": [str(frame) for frame in step.position],
            }
            for step in steps
        ],
    }
