"""`mapcount conform`: the model against real kernels, or one kernel against another, after every step of many scenarios."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.cli.common import add_common, add_format, add_output, add_top, natural, positive, say, seconds, view_of
from mapcount.errors import EXIT_FINDING, EXIT_OK, KernelImageError, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from mapcount.kernels.access_table import Row
    from mapcount.report.conform_record import PairRecord
    from mapcount.scenarios.observation import Backend
    from mapcount.scenarios.scenario import Scenario

NAME = "conform"
HELP = "hold the model against real kernels, or one kernel against another, step by step"
FORMATS = ("table", "json")
_MODEL = "model"
_SHRINK_S = 60.0


def prepare(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--kernel",
        metavar="MACHINE",
        action="append",
        default=[],
        help="a kernel image by series, name or path, or host (as root); repeatable (default: every cached image)",
    )
    parser.add_argument(
        "--against",
        metavar="MACHINE",
        default=_MODEL,
        help="what it is held against: another kernel (default: the model)",
    )
    parser.add_argument(
        "--scenario",
        metavar="NAME",
        action="append",
        default=[],
        help="a file, or a name of `mapcount run --list`; repeatable (default: all of that list, if no walks)",
    )
    parser.add_argument("--walks", metavar="N", type=natural, default=0, help="N random walks of every kind")
    parser.add_argument("--steps", metavar="M", type=positive, default=120, help="of each walk (default: 120)")
    parser.add_argument("--seed", metavar="S", type=natural, default=1, help="of the first walk (default: 1)")
    parser.add_argument("--no-proc", action="store_true", help="leave out what /proc says: faster")
    parser.add_argument(
        "--shrink",
        metavar="SECONDS",
        type=seconds,
        default=_SHRINK_S,
        help="look so long for a shorter scenario, for each field that differs (default: 60)",
    )
    parser.add_argument(
        "--accesses",
        action="store_true",
        help="instead of scenarios: the accesses to a folio's words inside each operation, against the way of counting",
    )
    parser.add_argument(
        "--workload",
        metavar="NAME",
        action="append",
        default=[],
        help="with --accesses: how many pages calls of rmap cover while a program runs: prefork, allocator, compiler or all",
    )
    add_output(parser, "write the result to FILE")
    add_top(parser)
    add_format(parser, FORMATS)
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Compare, print, and return EXIT_FINDING if anything differs that is not allowed."""
    from mapcount.cli.output import check_file, write
    from mapcount.cli.report import print_parts
    from mapcount.report import conform, conform_record

    check_file(args)
    if args.against != _MODEL and len(args.kernel) != 1:
        raise UsageError("--against compares two machines: name the other one with --kernel, once")
    if args.workload and not args.accesses:
        raise UsageError("--workload counts accesses while a program runs; add --accesses")
    if args.accesses:
        return _accesses(args)
    scenarios = _scenarios(args)
    found = [_pair(args, name, scenarios) for name in args.kernel or _cached()]
    if args.format == "json":
        write(args, conform_record.document(found))
    else:
        print_parts(args, conform.parts(found, view_of(args)))
    return EXIT_FINDING if any(one.differences for one in found) else EXIT_OK


def _accesses(args: argparse.Namespace) -> int:
    """Record what kernels do inside each operation, compare it with their schemes, print."""
    from mapcount.cli.output import write
    from mapcount.cli.report import print_parts
    from mapcount.kernels.access_table import compare_recording
    from mapcount.kernels.images import find_image
    from mapcount.kernels.plugin_guest import PluginGuest
    from mapcount.kernels.record_accesses import record
    from mapcount.report.access_table import access_table, document

    if args.against != _MODEL or args.scenario or args.walks:
        raise UsageError("--accesses has operations of its own: leave out --against, --scenario and --walks")
    if args.workload:
        from mapcount.cli.conform_workloads import run_workloads

        return run_workloads(args, args.kernel or _cached())
    rows: list[Row] = []
    for name in args.kernel or _cached():
        image = find_image(name)
        say(args, f"recording the accesses of {image.release}")
        with PluginGuest(image) as guest:
            rows += compare_recording(record(guest, image.name, image.sha256))
    if args.format == "json":
        write(args, document(rows))
    else:
        print_parts(args, access_table(rows, view_of(args)))
    return EXIT_FINDING if any(not row.comparison.agrees for row in rows) else EXIT_OK


def _cached() -> list[str]:
    from mapcount.kernels.images import cached_directories, read_image_record

    names = [read_image_record(directory).name for directory in cached_directories()]
    if not names:
        raise KernelImageError("no kernel image is cached; get some: mapcount kernels fetch 6.1 6.12")
    return list(dict.fromkeys(names))


def _scenarios(args: argparse.Namespace) -> list[Scenario]:
    from mapcount.cli.scenario_file import read_scenario
    from mapcount.scenarios.library import load_all
    from mapcount.scenarios.walks import PROFILES, walk_scenario

    seeds = range(args.seed, args.seed + args.walks)
    walks = [walk_scenario(profile, seed, args.steps) for profile in PROFILES for seed in seeds]
    named = [read_scenario(name) for name in args.scenario]
    return [*named, *walks] or load_all()


def _pair(args: argparse.Namespace, name: str, scenarios: list[Scenario]) -> PairRecord:
    """Compare one kernel with the model of it, or with the other machine, which is the right one."""
    from mapcount.kernels.backends import open_backend

    with open_backend(name, keeps_state=True) as kernel:
        if args.against == _MODEL:
            return _model_and_kernel(args, scenarios, kernel)
        with open_backend(args.against, keeps_state=True) as other:
            return _two_kernels(args, scenarios, kernel, other)


def _model_and_kernel(args: argparse.Namespace, scenarios: list[Scenario], kernel: Backend) -> PairRecord:
    from mapcount.agreement.allowed import allowance_for
    from mapcount.agreement.conform import conform
    from mapcount.agreement.coverage import Coverage
    from mapcount.agreement.pair import Pair
    from mapcount.machine.backend import ModelBackend
    from mapcount.report.conform_record import pair_record

    model = ModelBackend(kernel.release, page_mapcount=kernel.page_mapcount)
    coverage = Coverage.of(model.scheme)
    pair = Pair(model, kernel, not args.no_proc, lambda one: allowance_for(one, kernel.release), coverage.watch)
    with coverage.branches.tracing():
        found = conform(scenarios, pair, shrink_limit_s=args.shrink, progress=_progress(args, model, kernel))
    return pair_record(found, coverage)


def _two_kernels(args: argparse.Namespace, scenarios: list[Scenario], left: Backend, right: Backend) -> PairRecord:
    """Go on after a difference: all that a patch changed is wanted, step by step."""
    from mapcount.agreement.conform import conform
    from mapcount.agreement.pair import Pair
    from mapcount.report.conform_record import pair_record

    pair = Pair(left, right, not args.no_proc)
    progress = _progress(args, left, right)
    return pair_record(conform(scenarios, pair, shrink_limit_s=0, keep_going=True, progress=progress))


def _progress(args: argparse.Namespace, left: Backend, right: Backend) -> Callable[[str], None]:
    say(args, f"{left.name} and {right.name}")
    return lambda words: say(args, f"  {words}") if args.verbose else None
