"""`mapcount compare`: the mappings of a snapshot, or of this machine now, counted in several ways."""

from __future__ import annotations

import argparse
import warnings
from typing import TYPE_CHECKING

from mapcount.cli.capture import require_linux
from mapcount.cli.common import add_common, add_format, add_output, add_scope, add_top, say, view_of, warn
from mapcount.cli.html import add_html, is_text_wanted, write_html
from mapcount.errors import EXIT_OK, BadSnapshotError, NotAllowedError, UsageError

if TYPE_CHECKING:
    from mapcount.mapping.snapshot import Snapshot
    from mapcount.views.comparison import Comparison, Past

NAME = "compare"
HELP = "count the same mappings in several ways: what user space would read, who answers what"

_BY = ("number", "process", "cgroup", "found", "answer")


def prepare(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "snapshot", metavar="SNAPSHOT", nargs="?", help="a .mapsnap, or a scenario (default: this machine, now)"
    )
    add_scope(parser)
    parser.add_argument(
        "--scheme",
        metavar="ID[,ID]",
        type=_ids,
        help="count in these ways (default: numbers as the running kernel and without per-page counts, answers in all)",
    )
    parser.add_argument("--by", choices=_BY, help="this table alone, in detail")
    parser.add_argument("--sudo", action="store_true", help="run the capture alone as root, with sudo")
    add_output(parser, "write the comparison to FILE")
    add_html(parser)
    add_format(parser)
    add_top(parser)
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Load or capture, count in every way, print."""
    from mapcount.cli.output import check_file, write
    from mapcount.cli.report import print_parts
    from mapcount.report import comparison as printed
    from mapcount.report import comparison_rows, rows

    if args.snapshot and (args.pid or args.cgroup or args.sudo):
        raise UsageError(
            "--pid, --cgroup and --sudo say how to capture, and SNAPSHOT is captured already; give one of them"
        )
    check_file(args)
    found = _compare(args, *_source(args))
    if args.html is not None:
        from mapcount.report.html.compare_page import compare_page

        write_html(args, compare_page(found))
    if not is_text_wanted(args):
        return EXIT_OK
    if args.format == "table":
        view = view_of(args)
        print_parts(args, printed.one_table(found, args.by, view) if args.by else printed.report(found, view))
    elif args.format == "json":
        write(args, comparison_rows.document(found))
    elif args.format == "ndjson":
        write(args, comparison_rows.ndjson(found, args.by))
    else:
        form = rows.csv_text if args.format == "csv" else rows.parquet
        write(args, form(comparison_rows.rows(found, args.by or "number")))
    return EXIT_OK


def _ids(text: str) -> list[str]:
    ids = [part.strip() for part in text.split(",") if part.strip()]
    if not ids:
        raise argparse.ArgumentTypeError(f"{text!r} names no scheme")
    return ids


def _source(args: argparse.Namespace) -> tuple[Snapshot, Past | None]:
    from mapcount.cli.scenario_source import is_scenario

    if not args.snapshot or not is_scenario(args.snapshot):
        return _snapshot(args), None
    import numpy as np

    from mapcount.cli.scenario_source import run_scenario
    from mapcount.views.comparison import Past

    state = run_scenario(args.snapshot)
    return state.snapshot, Past(state.log, np.array(state.folios, np.int64))


def _snapshot(args: argparse.Namespace) -> Snapshot:
    if args.snapshot:
        from mapcount.mapping.snapshot import Snapshot

        return Snapshot.load(args.snapshot)
    from mapcount.cli.live import capture_machine, load_example

    require_linux()
    snapshot, hidden = capture_machine(args)
    if snapshot.meta.tier != "no-pfn":
        return snapshot
    warn(hidden)
    example = load_example()
    if args.format != "table" or example is None:
        raise NotAllowedError(
            "without folios there is nothing to count; run it as root (--sudo), or name a .mapsnap that has them"
        )
    warn("this is an EXAMPLE from another machine (the snapshot that ships with mapcount)")
    return example


def _compare(args: argparse.Namespace, snapshot: Snapshot, past: Past | None) -> Comparison:
    from mapcount.replay.engine import to_compile
    from mapcount.replay.histories import HISTORIES
    from mapcount.schemes.catalogue import find_scheme
    from mapcount.views.comparison import compare, default_schemes
    from mapcount.views.outlook import era_of_snapshot

    if snapshot.meta.tier == "no-pfn":
        raise BadSnapshotError(
            f"{args.snapshot} holds no folios: the kernel hid page frame numbers from who took it, so there is nothing to "
            "count. Take one as root"
        )
    era = era_of_snapshot(snapshot.meta)
    numbers, answers = (args.scheme, args.scheme) if args.scheme else default_schemes(era.scheme)
    wanted = [find_scheme(scheme) for scheme in dict.fromkeys((*numbers, *answers))]
    if cold := to_compile(wanted, snapshot.folios.order, len(wanted) * (1 if past else len(HISTORIES))):
        say(args, f"mapcount: compiling {cold} ways of counting, once")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        found = compare(
            snapshot,
            numbers=numbers,
            answers=answers,
            running=era.scheme,
            notes=[*era.notes, *(snapshot.meta.notes if past else ())],
            past=past,
            progress=(lambda scheme: say(args, f"counting: {scheme}")) if args.verbose else None,
        )
    for words in dict.fromkeys(str(warning.message) for warning in caught):
        say(args, f"mapcount: {words}")
    return found
