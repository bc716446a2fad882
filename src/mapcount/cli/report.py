"""`mapcount report`: survey a snapshot, or this machine now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mapcount.cli.common import add_common, add_format, add_output, add_scope, add_top, view_of, wants_colour
from mapcount.cli.html import add_html, is_text_wanted, write_html
from mapcount.errors import EXIT_OK, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence

    from rich.console import RenderableType

    from mapcount.mapping.snapshot import Snapshot
    from mapcount.survey.types import Survey

NAME = "report"
HELP = "survey a snapshot, or this machine now: sizes, sharing, waste"

_BY = ("size", "process", "cgroup", "program", "vma", "folio")


def prepare(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "snapshot", metavar="SNAPSHOT", nargs="?", help="a .mapsnap, or a scenario (default: this machine, now)"
    )
    add_scope(parser)
    parser.add_argument("--by", choices=_BY, help="this table alone, in detail")
    parser.add_argument("--sudo", action="store_true", help="run the capture alone as root, with sudo")
    parser.add_argument("--json-schema", action="store_true", help="print the JSON Schema of --json and exit")
    add_output(parser, "write the report to FILE")
    add_html(parser)
    add_format(parser)
    add_top(parser)
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Load or capture, survey, and print."""
    from mapcount.cli.output import check_file, write

    if args.snapshot and (args.pid or args.cgroup or args.sudo):
        raise UsageError(
            "--pid, --cgroup and --sudo say how to capture, and SNAPSHOT is captured already; give one of them"
        )
    check_file(args)
    if args.json_schema:
        from mapcount.report.json_report import schema_text

        write(args, schema_text())
        return EXIT_OK
    if args.snapshot:
        show(args, load(args.snapshot))
    else:
        from mapcount.cli.live import report_live

        report_live(args)
    return EXIT_OK


def load(name: str) -> Snapshot:
    """Return the snapshot of a file, or the state that a scenario leads to. Raises BadSnapshotError, ScenarioError."""
    from mapcount.cli.scenario_source import is_scenario, run_scenario
    from mapcount.mapping.snapshot import Snapshot

    return run_scenario(name).snapshot if is_scenario(name) else Snapshot.load(name)


def show(args: argparse.Namespace, snapshot: Snapshot) -> None:
    """Print the report of a snapshot in the format of the options."""
    from mapcount.survey.run import survey

    result = survey(snapshot)
    if args.html is not None:
        write_page(args, result, snapshot)
        if not is_text_wanted(args):
            return
    extra = extra_rows(args, snapshot)
    if args.format == "table":
        print_parts(args, table_parts(args, result, snapshot, extra))
    else:
        print_rows(args, result, snapshot, extra)


def write_page(args: argparse.Namespace, result: Survey, snapshot: Snapshot) -> None:
    """Write the page of a snapshot to the file of --html; where folios were hidden, a page of what was visible."""
    from mapcount.report.html import public_page, report_page
    from mapcount.survey.folio_map import folio_map
    from mapcount.survey.states import state_rows
    from mapcount.views.outlook import outlook

    if snapshot.meta.tier == "no-pfn":
        write_html(args, public_page.public_page(snapshot))
        return
    folios = folio_map(snapshot)
    found = report_page.Surveyed(result, state_rows(folios.facts), folios, outlook(snapshot))
    write_html(args, report_page.report_page(found))


def table_parts(
    args: argparse.Namespace, result: Survey, snapshot: Snapshot, extra: Sequence[Any] = ()
) -> Iterable[RenderableType]:
    """Return what to print of a survey for people: the table of --by, else the whole report."""
    from mapcount.report import provenance, public, terminal
    from mapcount.views.outlook import outlook

    view = view_of(args)
    if snapshot.meta.tier == "no-pfn":
        return (*public.section(snapshot, view), *provenance.section(result, view))
    if args.by:
        return terminal.one_table(result, args.by, view, extra, int((snapshot.folios.order > 0).sum()))
    return terminal.report(result, outlook(snapshot), view)


def print_parts(args: argparse.Namespace, parts: Iterable[RenderableType]) -> None:
    """Print tables and sentences: to the file, the pager or standard output."""
    import sys

    from mapcount.cli.output import write_text
    from mapcount.report.terminal import render

    colour = wants_colour(args.color, sys.stdout) and (args.output in {None, "-"} or args.color == "always")
    write_text(args, render(parts, width=view_of(args).width, colour=colour))


def print_rows(args: argparse.Namespace, result: Survey, snapshot: Snapshot, extra: Sequence[Any] = ()) -> None:
    """Print a survey for programs; where folios were hidden, what was visible instead of tables of zeroes."""
    from mapcount.cli.output import write
    from mapcount.report import json_report, public, rows
    from mapcount.views.outlook import outlook

    more = {f"{args.by}s": extra} if args.by in {"vma", "folio"} else {}
    if snapshot.meta.tier == "no-pfn":
        result, more = public.known(result), {"visible": public.public_processes(snapshot)}
        extra = more["visible"] if args.by in {None, "process"} else ()
    if args.format == "json":
        write(args, json_report.document(result, outlook=outlook(snapshot), **more))
    elif args.format == "ndjson":
        write(args, rows.ndjson(result, args.by, extra, None if args.by else outlook(snapshot)))
    else:
        form = rows.csv_text if args.format == "csv" else rows.parquet
        write(args, form(rows.table_of(result, args.by or "size", extra)))


def extra_rows(args: argparse.Namespace, snapshot: Snapshot) -> Sequence[Any]:
    """Return the rows of VMAs or folios if --by asks for them; a survey leaves them out because they are many."""
    if args.by == "vma":
        from mapcount.survey.run import survey_vmas

        return survey_vmas(snapshot)
    if args.by == "folio":
        from mapcount.survey.run import survey_folios

        return survey_folios(snapshot, args.top or None if args.format == "table" else None)
    return ()
