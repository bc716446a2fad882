"""Price lists for programs: JSON, and each table as plain rows."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mapcount.report.encoding import encode, indented

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COST_SCHEMA_VERSION = 1


def document(found: Mapping[str, Sequence[Any]]) -> bytes:
    """Return tables by name as indented JSON: `schema_version`, and those that were asked for."""
    return indented(
        {"schema_version": COST_SCHEMA_VERSION} | {name: list(part) for name, part in found.items() if part}
    )


def rows(part: Sequence[Any]) -> list[dict[str, Any]]:
    """Return one table as plain rows; a list in a cell becomes words."""
    return [
        {name: " ".join(value) if isinstance(value, tuple) else value for name, value in asdict(row).items()}
        for row in part
    ]


def ndjson(found: Mapping[str, Sequence[Any]]) -> bytes:
    """Return one JSON object a line, its table in `row`."""
    return b"".join(encode({"row": name, **asdict(row)}) + b"\n" for name, part in found.items() for row in part)
