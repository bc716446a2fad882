"""`mapcount cost`: what counting costs: operations, readers, workloads; and what this machine makes of it in ns."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from mapcount.cli.common import FORMATS, add_common, add_format, add_output, positive, say, view_of
from mapcount.cli.html import add_html, is_text_wanted, write_html
from mapcount.errors import EXIT_OK, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mapcount.mapping.log import Log
    from mapcount.schemes.bind import BoundScheme

NAME = "cost"
HELP = "price list: atomics, cache lines and bytes of each operation, size and way of counting"
_BY = ("operation", "reader", "budget")
_SIZES = "4K,16K,64K,256K,2M"
PMD_ORDER = 9
_LEAST_SIZES = 3
_MEMORY_MIB = 256
"""So much that a fork of it takes a hundred times as long as one of nothing, and little enough for a small machine."""


def prepare(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--scheme", metavar="ID[,ID]", type=_words, help="these ways of counting (default: all)")
    parser.add_argument(
        "--operation",
        metavar="O[,O]",
        type=_words,
        help="these alone: fork, munmap, dontneed, cow, remap, pmd-split, exit (default: all)",
    )
    parser.add_argument(
        "--sizes",
        metavar="S[,S]",
        type=_orders,
        help=f"folio sizes, or a range like 4K..2M (default: {_SIZES}; with --calibrate all but 8K)",
    )
    parser.add_argument("--by", choices=_BY, help="this table alone")
    parser.add_argument(
        "--workload", metavar="W", help="price what happened instead: a .maplog, a scenario, or the past of a .mapsnap"
    )
    parser.add_argument(
        "--calibrate",
        action="store_true",
        help="measure this machine: the price of an atomic, a cache line and a page-table entry (root, gcc; some minutes)",
    )
    parser.add_argument("--rounds", metavar="N", type=positive, default=7, help="of --calibrate (default: 7)")
    parser.add_argument(
        "--memory", metavar="GIB", type=positive, help="memory for the struct page budget (default: this machine's)"
    )
    add_output(parser, "write the price list to FILE")
    add_html(parser)
    add_format(parser, FORMATS)
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Count, print."""
    from mapcount.cli.output import check_file
    from mapcount.schemes.catalogue import SCHEMES, find_scheme

    check_file(args)
    if args.html is not None and (args.calibrate or args.workload):
        raise UsageError("--html shows price lists, and --calibrate and --workload make none; give one of them")
    if args.calibrate:
        return _calibrate(args)
    args.sizes = args.sizes or _orders(_SIZES)
    schemes = [find_scheme(scheme) for scheme in args.scheme or [scheme.id for scheme in SCHEMES]]
    if args.workload:
        if args.by or args.operation:
            raise UsageError("--workload prices what happened; --by and --operation choose among the price lists")
        return _workload(args, schemes)
    return _price_lists(args, schemes)


def _calibrate(args: argparse.Namespace) -> int:
    from mapcount.capture.probe import probe_counts
    from mapcount.cli.report import print_parts
    from mapcount.cost.fit import fit, held_in
    from mapcount.cost.published import compare
    from mapcount.kernels.folio_bench import measure
    from mapcount.report import calibration
    from mapcount.schemes.eras import era_of

    if args.workload or args.operation or args.by or args.scheme:
        raise UsageError(
            "--calibrate measures this machine; --workload, --operation, --by and --scheme choose price lists"
        )
    orders = args.sizes or [0, *range(2, PMD_ORDER + 1)]
    if 1 in orders or len([order for order in orders if order]) < _LEAST_SIZES:
        raise UsageError(
            f"--calibrate needs {_LEAST_SIZES} sizes or more from 16K to 2M, to fit some and predict others"
        )
    era = era_of(os.uname().release, page_mapcount=probe_counts()[0] != "average")
    say(args, f"mapcount: measuring {len(orders)} sizes, {args.rounds} rounds; THP settings are changed meanwhile")
    measured = measure(orders, rounds=args.rounds, memory_mib=_MEMORY_MIB, progress=lambda words: say(args, words))
    fitted = fit(measured, era.scheme, era.policies, held_in(orders))
    compared = compare(fitted)
    if args.format != "table":
        return _write_data(args, calibration.data(measured, fitted, compared))
    print_parts(args, calibration.parts(measured, fitted, compared, era, view_of(args)))
    return EXIT_OK


def _words(text: str) -> list[str]:
    words = [part.strip() for part in text.split(",") if part.strip()]
    if not words:
        raise argparse.ArgumentTypeError(f"{text!r} names nothing")
    return words


def _orders(text: str) -> list[int]:
    """Parse folio sizes up to 2M, for argparse: `4K,64K` or `4K..2M`."""
    from mapcount.units import parse_folio_size

    try:
        first, is_range, last = text.partition("..")
        if is_range:
            orders = list(range(parse_folio_size(first), parse_folio_size(last) + 1))
        else:
            orders = sorted({parse_folio_size(size.strip()) for size in text.split(",")})
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if not orders or orders[-1] > PMD_ORDER:
        raise argparse.ArgumentTypeError(f"{text!r}: sizes go from 4K to 2M, the smaller one first")
    return orders


def _price_lists(args: argparse.Namespace, schemes: Sequence[BoundScheme]) -> int:
    from rich.console import RenderableType

    from mapcount.cli.report import print_parts
    from mapcount.cost.budget import budget
    from mapcount.cost.operations import OPERATIONS, find_operations
    from mapcount.cost.price import price_all
    from mapcount.cost.readers import reader_prices
    from mapcount.report import cost_tables

    if args.operation and args.by not in {None, "operation"}:
        raise UsageError(f"--operation chooses operations, and --by {args.by} asks for another table")
    wanted = (args.by,) if args.by else ("operation",) if args.operation else _BY
    chosen = find_operations(args.operation) if args.operation else OPERATIONS
    memory_bytes = args.memory << 30 if args.memory else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    prices = list(price_all(schemes, chosen, args.sizes)) if "operation" in wanted else []
    if "operation" in wanted and not prices:
        raise UsageError("only a folio of 2M has a PMD to split: add 2M to --sizes")
    readers = list(reader_prices(schemes, args.sizes)) if "reader" in wanted else []
    budgets = budget(schemes, memory_bytes) if "budget" in wanted else []
    if args.html is not None:
        from mapcount.report.html.cost_page import cost_page

        write_html(args, cost_page(prices, chosen, readers, budgets))
    if not is_text_wanted(args):
        return EXIT_OK
    if args.format != "table":
        return _write_data(args, {"operation": prices, "reader": readers, "budget": budgets})
    view, parts = view_of(args), list[RenderableType]()
    if prices:
        parts += [*cost_tables.operations(prices, chosen, view), *cost_tables.legend(schemes)]
    parts += cost_tables.readers(readers, view) if readers else ()
    parts += cost_tables.struct_page_budget(budgets, memory_bytes, view) if budgets else ()
    print_parts(args, parts)
    return EXIT_OK


def _workload(args: argparse.Namespace, schemes: Sequence[BoundScheme]) -> int:
    from mapcount.cli.report import print_parts
    from mapcount.cost.workload import price_workload
    from mapcount.report import cost_tables

    log = _log(args.workload)
    say(args, f"mapcount: counting {args.workload} in {len(schemes)} ways, twice: by page and batched")
    prices = list(price_workload(log, schemes))
    if not prices:
        raise UsageError(f"{args.workload} maps nothing: there is nothing to price")
    if args.format != "table":
        return _write_data(args, {"workload": prices})
    print_parts(args, cost_tables.workload(prices, f"{args.workload}, decided by {log.meta.decided_by}", view_of(args)))
    return EXIT_OK


def _log(name: str) -> Log:
    """Return a log: a saved one, a scenario's on the model of this kernel, or the default history of a snapshot."""
    from mapcount.cli.scenario_source import is_scenario, run_scenario

    if is_scenario(name):
        return run_scenario(name).log
    from mapcount.errors import BadLogError, BadSnapshotError
    from mapcount.mapping.log import Log
    from mapcount.mapping.snapshot import Snapshot
    from mapcount.replay.histories import log_of

    try:
        return Log.load(name)
    except BadLogError as no_log:
        try:
            snapshot = Snapshot.load(name)
        except BadSnapshotError:
            raise no_log from None
        return log_of(snapshot)


def _write_data(args: argparse.Namespace, found: Mapping[str, Sequence[object]]) -> int:
    from mapcount.cli.output import write
    from mapcount.report import cost_rows, rows

    if args.format == "json":
        write(args, cost_rows.document(found))
    elif args.format == "ndjson":
        write(args, cost_rows.ndjson(found))
    else:
        form = rows.csv_text if args.format == "csv" else rows.parquet
        write(args, form(cost_rows.rows(next(part for part in found.values() if part))))
    return EXIT_OK
