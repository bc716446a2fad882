"""The same mappings counted in several ways, for programs: JSON, and its tables as plain rows."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mapcount.report.encoding import encode, indented, utf8

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mapcount.views.comparison import Comparison, Number

COMPARE_SCHEMA_VERSION = 2
TABLES = ("number", "process", "cgroup", "found", "answer")
"""Its tables, by the name of a row."""


def document(comparison: Comparison) -> bytes:
    """Return the comparison as indented JSON: `schema_version` and its records."""
    return indented({"schema_version": COMPARE_SCHEMA_VERSION, **asdict(comparison)})


def rows(comparison: Comparison, by: str) -> list[dict[str, Any]]:
    """Return the rows of one table of TABLES. A number has a row for each scheme, so that each row is flat."""
    numbers: dict[str, Sequence[Number]] = {
        "number": comparison.numbers,
        "process": comparison.processes,
        "cgroup": comparison.cgroups,
    }
    if by in numbers:
        return [row for number in numbers[by] for row in _by_scheme(number, comparison.schemes)]
    found = comparison.found if by == "found" else comparison.answers
    return [utf8(asdict(row)) for row in found]


def ndjson(comparison: Comparison, by: str | None) -> bytes:
    """Return one JSON object a line, its table in `row`: the table `by`, or metadata and all tables."""
    lines: list[dict[str, Any]] = [] if by else [{"row": "meta", **asdict(comparison.meta)}]
    lines += [{"row": name, **row} for name in ((by,) if by else TABLES) for row in rows(comparison, name)]
    return b"".join(encode(line) + b"\n" for line in lines)


def _by_scheme(number: Number, schemes: list[str]) -> list[dict[str, Any]]:
    about = utf8(asdict(number))
    by_scheme = {name: about.pop(name) for name in ("values", "least", "most")}
    columns = {"value": "values", "least": "least", "most": "most"}
    return [
        {**about, "scheme": scheme, **{name: by_scheme[of][scheme] for name, of in columns.items()}}
        for scheme in schemes
    ]
