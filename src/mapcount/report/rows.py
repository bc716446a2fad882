"""The tables of a survey as plain rows, for NDJSON, CSV and Parquet."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mapcount.report.encoding import encode, utf8

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mapcount.survey.types import Survey
    from mapcount.views.outlook import OutlookRow

_FIELDS = {"size": "sizes", "process": "processes", "cgroup": "cgroups", "program": "programs"}
_OTHERS = {"cut": "cuts", "memory": "memory", "since_boot": "since_boot", "check": "checks"}


def table_of(survey: Survey, by: str, extra: Sequence[Any] = ()) -> list[dict[str, Any]]:
    """Return the rows of one table as dictionaries: those of the survey, else `extra` (VMAs, folios, visible processes)."""
    rows = getattr(survey, _FIELDS.get(by, ""), None) or extra
    return [utf8(asdict(row)) for row in rows]


def ndjson(
    survey: Survey, by: str | None, extra: Sequence[Any] = (), outlook: Sequence[OutlookRow] | None = None
) -> bytes:
    """
    Return one JSON object a line, its table in `row`: the table `by`, or metadata and all tables of the survey.

    Without `by`, `extra` are the processes of a snapshot whose folios were hidden: their `row` is `visible`.
    """
    lines: list[dict[str, Any]] = []
    if by is None:
        lines.append({"row": "meta", **asdict(survey.meta)})
        for name, field in (_FIELDS | _OTHERS).items():
            lines += [{"row": name, **asdict(row)} for row in getattr(survey, field)]
        lines += [{"row": "visible", **asdict(row)} for row in extra]
        lines += [{"row": "outlook", **asdict(row)} for row in outlook or ()]
    else:
        lines += [{"row": by, **row} for row in table_of(survey, by, extra)]
    return b"".join(encode(line) + b"\n" for line in lines)


def csv_text(rows: Sequence[dict[str, Any]]) -> bytes:
    """Return rows as CSV with a header, in UTF-8; what is itself a dictionary is left out. No rows: nothing at all."""
    if not rows:
        return b""
    names = _flat_names(rows[0])
    text = io.StringIO()
    writer = csv.DictWriter(text, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def parquet(rows: Sequence[dict[str, Any]]) -> bytes:
    """Return rows as a Parquet file; what is itself a dictionary is left out."""
    import polars as pl

    names = _flat_names(rows[0]) if rows else []
    file = io.BytesIO()
    pl.DataFrame({name: [row[name] for row in rows] for name in names}).write_parquet(file)
    return file.getvalue()


def _flat_names(row: dict[str, Any]) -> list[str]:
    return [name for name, value in row.items() if not isinstance(value, dict)]
