"""Price lists for programs: JSON, and each table as plain rows."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import msgspec

from mapcount.cost.budget import Budget  # noqa: TC001 - msgspec reads the annotations
from mapcount.cost.fit import FittedPrice, Predicted  # noqa: TC001 - as above
from mapcount.cost.measured import Measurement  # noqa: TC001 - as above
from mapcount.cost.price import Price  # noqa: TC001 - as above
from mapcount.cost.published import Compared  # noqa: TC001 - as above
from mapcount.cost.readers import ReaderPrice  # noqa: TC001 - as above
from mapcount.cost.workload import WorkloadPrice  # noqa: TC001 - as above
from mapcount.report.encoding import encode, indented

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COST_SCHEMA_VERSION = 1


class CostTables(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What `mapcount cost` prints as JSON: `schema_version`, and the tables that were asked for and hold something."""

    schema_version: int
    operation: list[Price] = []
    reader: list[ReaderPrice] = []
    budget: list[Budget] = []
    workload: list[WorkloadPrice] = []
    fitted_price: list[FittedPrice] = []
    prediction: list[Predicted] = []
    published: list[Compared] = []
    measurement: list[Measurement] = []


def document(found: Mapping[str, Sequence[Any]]) -> bytes:
    """Return tables by name as indented JSON."""
    return indented(CostTables(COST_SCHEMA_VERSION, **{name: list(part) for name, part in found.items()}))


def rows(part: Sequence[Any]) -> list[dict[str, Any]]:
    """Return one table as plain rows; a list in a cell becomes words."""
    return [
        {name: " ".join(value) if isinstance(value, tuple) else value for name, value in asdict(row).items()}
        for row in part
    ]


def ndjson(found: Mapping[str, Sequence[Any]]) -> bytes:
    """Return one JSON object a line, its table in `row`."""
    return b"".join(encode({"row": name, **asdict(row)}) + b"\n" for name, part in found.items() for row in part)
