"""The report for programs: one JSON document made of the records that the terminal report prints, and its schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from mapcount.mapping.snapshot import Metadata  # noqa: TC001 - msgspec reads the annotations
from mapcount.report.encoding import indented
from mapcount.report.public import PublicProcess  # noqa: TC001 - as above
from mapcount.survey import types  # noqa: TC001 - as above
from mapcount.views.outlook import OutlookRow  # noqa: TC001 - as above

if TYPE_CHECKING:
    from collections.abc import Sequence

REPORT_SCHEMA_VERSION = 1
"""Raised when a key is removed or changes its meaning; new keys do not raise it."""


class Report(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    One report of one snapshot. Integers are raw, sizes are bytes (`_bytes`), times seconds (`_s`), counts are folios.

    `exclusive` means that all mappings belong to one address space. `vmas` and `folios` are there with `--by vma` and
    `--by folio`. If folios were hidden (`meta.tier` is `no-pfn`), the tables about them are empty and `visible` is there.
    `outlook` is there unless it would take long to find out.
    """

    schema_version: int
    meta: Metadata
    sizes: list[types.SizeRow]
    processes: list[types.ProcessRow]
    cgroups: list[types.OwnerRow]
    programs: list[types.OwnerRow]
    cuts: list[types.CutRow]
    memory: list[types.MemoryRow]
    since_boot: list[types.SinceBootRow]
    checks: list[types.Check]
    vmas: list[types.VmaRow] | None = None
    folios: list[types.FolioRow] | None = None
    visible: list[PublicProcess] | None = None
    outlook: list[OutlookRow] | None = None


def document(
    survey: types.Survey,
    *,
    vmas: Sequence[types.VmaRow] | None = None,
    folios: Sequence[types.FolioRow] | None = None,
    visible: Sequence[PublicProcess] | None = None,
    outlook: Sequence[OutlookRow] | None = None,
) -> bytes:
    """Return the report as indented JSON with a final newline."""
    report = Report(
        schema_version=REPORT_SCHEMA_VERSION,
        meta=survey.meta,
        sizes=survey.sizes,
        processes=survey.processes,
        cgroups=survey.cgroups,
        programs=survey.programs,
        cuts=survey.cuts,
        memory=survey.memory,
        since_boot=survey.since_boot,
        checks=survey.checks,
        vmas=None if vmas is None else list(vmas),
        folios=None if folios is None else list(folios),
        visible=None if visible is None else list(visible),
        outlook=None if outlook is None else list(outlook),
    )
    return indented(report)


def schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of `document`."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "mapcount report",
        **msgspec.json.schema(Report),
    }


def schema_text() -> bytes:
    """Return the JSON Schema as indented JSON with a final newline."""
    return indented(schema())
