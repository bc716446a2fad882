"""`mapcount run`: a scenario, step by step, on the model or on a real kernel; or as a reproducer in C."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.cli.common import add_common, add_format, add_output, natural, view_of
from mapcount.cli.html import add_html, is_text_wanted, write_html
from mapcount.errors import EXIT_OK, MapcountError, UsageError

if TYPE_CHECKING:
    import argparse

    from mapcount.report.scenario_record import ScenarioRun
    from mapcount.scenarios.observation import Backend, Observation
    from mapcount.scenarios.scenario import Scenario
    from mapcount.scenarios.steps import Step

NAME = "run"
HELP = "run a scenario step by step on the model or a real kernel, or write it as a C reproducer"
FORMATS = ("table", "text72", "json")


def prepare(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "scenario", metavar="SCENARIO", nargs="?", help="a file, - for standard input, or a name of --list"
    )
    parser.add_argument("--list", action="store_true", help="list the scenarios that ship with mapcount")
    parser.add_argument(
        "--on",
        metavar="MACHINE",
        default="model",
        help="model (the default); host: this kernel, as root; or a kernel image by series, name or path",
    )
    parser.add_argument(
        "--era", metavar="RELEASE", default="", help="the model of this kernel (default: the running one)"
    )
    parser.add_argument(
        "--no-page-mapcount", action="store_true", help="the model of a kernel with CONFIG_NO_PAGE_MAPCOUNT"
    )
    parser.add_argument(
        "--scheme", metavar="ID", default="", help="the model counts in this way (default: as its kernel)"
    )
    parser.add_argument("--seed", metavar="N", type=natural, help="of the random walks in it, instead of their own")
    parser.add_argument("--emit-c", action="store_true", help="write it as a C program with TAP output; run nothing")
    add_output(parser, "write the result, or the program, to FILE")
    add_html(parser)
    add_format(parser, FORMATS)
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """List, emit, or run and print. What was seen before an error is printed first."""
    from mapcount.cli.output import check_file, write

    check_file(args)
    if args.html is not None and (args.list or args.emit_c):
        raise UsageError("--html shows a run, and --list and --emit-c run nothing; give one of them")
    if args.list:
        _list(args)
        return EXIT_OK
    scenario = _scenario(args)
    if args.emit_c:
        from mapcount.scenarios.emit_c import emit_c

        write(args, emit_c(scenario).encode())
        return EXIT_OK
    shown, error = _run(args, scenario)
    if shown is not None:
        _print(args, shown)
    if error is not None:
        raise error
    return EXIT_OK


def _list(args: argparse.Namespace) -> None:
    from mapcount.cli.output import write, write_text
    from mapcount.report import scenario_list
    from mapcount.scenarios.library import load_all

    if args.scenario is not None:
        raise UsageError("--list lists all scenarios; leave SCENARIO out")
    if args.format == "json":
        write(args, scenario_list.document(load_all()))
    else:
        write_text(args, "\n".join(scenario_list.lines(load_all(), width=_width(args))) + "\n")


def _scenario(args: argparse.Namespace) -> Scenario:
    from mapcount.cli.scenario_file import read_scenario

    if args.scenario is None:
        raise UsageError("Which scenario? Name a file, or one of `mapcount run --list`")
    return read_scenario(args.scenario, seed=args.seed)


def _run(args: argparse.Namespace, scenario: Scenario) -> tuple[ScenarioRun | None, MapcountError | None]:
    """Return what was seen, none if nothing was, and the error that ended it early."""
    from mapcount.kernels.backends import open_backend
    from mapcount.report.scenario_record import ScenarioRun
    from mapcount.scenarios.run import run as run_scenario

    page_mapcount = False if args.no_page_mapcount else None
    done: list[tuple[Step, Observation]] = []
    with open_backend(args.on, release=args.era, page_mapcount=page_mapcount, scheme_id=args.scheme) as backend:
        error: MapcountError | None = None
        try:
            # Not extend(): what was yielded before an error is kept, and a run that is not ended early closes itself.
            for seen in run_scenario(scenario, backend):
                done.append(seen)  # noqa: PERF402
        except MapcountError as caught:
            error = caught
        command = _command(args, backend)
        shown = ScenarioRun(scenario, backend.name, backend.release, backend.page_mapcount, done, command)
    return (shown if done else None), error


def _command(args: argparse.Namespace, backend: Backend) -> str:
    import shlex

    words = ["mapcount", "run", args.scenario, "--on", args.on]
    if args.on == "model":
        words += ["--era", backend.release]
    words += ["--no-page-mapcount"] * args.no_page_mapcount
    words += ["--scheme", args.scheme] if args.scheme else []
    words += ["--seed", str(args.seed)] if args.seed is not None else []
    return shlex.join(words)


def _print(args: argparse.Namespace, shown: ScenarioRun) -> None:
    from mapcount.cli.output import write, write_text
    from mapcount.report import scenario_run

    if args.html is not None:
        from mapcount.report.html.run_page import run_page

        write_html(args, run_page(shown))
    if not is_text_wanted(args):
        return
    if args.format == "json":
        write(args, scenario_run.document(shown))
        return
    width = scenario_run.MAIL_COLUMNS if args.format == "text72" else _width(args)
    write_text(args, "\n".join(scenario_run.lines(shown, width=width)) + "\n")


def _width(args: argparse.Namespace) -> int:
    from mapcount.report.scenario_run import LEAST_COLUMNS

    return max(LEAST_COLUMNS, view_of(args).width)
