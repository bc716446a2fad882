"""`mapcount check`: what readers without a lock can see, by going through every interleaving of small models."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mapcount.cli.common import add_common, add_output, add_top, positive, say, view_of
from mapcount.cli.html import add_html, is_text_wanted, write_html
from mapcount.errors import EXIT_FINDING, EXIT_OK

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from rich.console import RenderableType

    from mapcount.check.cells import Cell
    from mapcount.check.verdicts import Verdict, Violation
    from mapcount.report.table import View

NAME = "check"
HELP = "go through every interleaving of readers and writers: what can a reader see, and was it ever true"
FORMATS = ("table", "json", "text72", "promela")
_MAIL_COLUMNS = 72
_SILENCE_S = 2.0


def prepare(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "scheme", metavar="SCHEME", nargs="*", help="a way of counting, a file with a design, a model, a known race"
    )
    parser.add_argument(
        "--reader", metavar="R", action="append", default=[], help="a caller or a reader of the scheme; repeatable"
    )
    parser.add_argument(
        "--property",
        metavar="P",
        action="append",
        default=[],
        help="ask for this alone; repeatable (--list names them)",
    )
    parser.add_argument(
        "--pages", metavar="N", type=positive, help="pages of the folio, a power of two (default: 2 and 4)"
    )
    parser.add_argument("--writers", metavar="W", help="what the writers do (--list names them)")
    parser.add_argument(
        "--without-lock",
        metavar="L",
        action="append",
        default=[],
        help="nobody holds locks of this kind; or entries, freeze, reference (--list); repeatable",
    )
    parser.add_argument(
        "--with-lock",
        metavar="L",
        action="append",
        default=[],
        help="the reader holds this kind, or a reference, too; repeatable",
    )
    parser.add_argument(
        "--truth",
        metavar="T",
        default="interval",
        help="what `true at a moment` means: interval, strict or pte (default: interval)",
    )
    parser.add_argument(
        "--memory", metavar="M", default="sc", help="the memory model: sc, tso (x86) or weak (not LKMM) (default: sc)"
    )
    parser.add_argument("--show", action="store_true", help="every violation in full, not only a line of it")
    parser.add_argument("--fewest-switches", action="store_true", help="show those that change the CPU least often")
    parser.add_argument("--replay", metavar="ID", help="one interleaving, by the text that a violation was told with")
    parser.add_argument("--reach", metavar="COND", help="the shortest way to a word's value, like '_mapcount>=1'")
    parser.add_argument(
        "--cross-check", action="store_true", help="let SPIN (spin and gcc) go through the same models, and compare"
    )
    parser.add_argument(
        "--list", action="store_true", help="the names: callers, properties, writers, locks, known races"
    )
    parser.add_argument(
        "--max-states", metavar="N", type=positive, default=1_000_000, help="of one model (default: 1000000)"
    )
    parser.add_argument("--format", choices=FORMATS, default="table", help="output format (default: table)")
    parser.add_argument("--json", dest="format", action="store_const", const="json", help="short for --format json")
    parser.add_argument("-w", "--wide", action="store_true", help="use the width of the terminal, not 80 columns")
    parser.add_argument("--no-pager", action="store_true", help="do not pipe long output through $PAGER")
    add_output(parser, "write the result to FILE")
    add_html(parser)
    add_top(parser)
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Explore, print, and return EXIT_FINDING where something that was asked for is violated."""
    from mapcount.cli.check_models import models
    from mapcount.cli.output import check_file
    from mapcount.report.race_names import names

    check_file(args)
    if args.list:
        _print(args, names())
        return EXIT_OK
    cells = models(args)
    if args.replay:
        return _replay(args)
    if args.reach:
        return _reach(args, cells)
    if args.cross_check:
        return _cross_check(args, cells)
    if args.format == "promela":
        return _promela(args, cells)
    return _show(args, [_judge(args, cell) for cell in cells])


def _judge(args: argparse.Namespace, cell: Cell) -> Verdict:
    from dataclasses import replace

    from mapcount.check.verdicts import judge

    verdict = judge(cell, properties=args.property or None, max_states=args.max_states, progress=_progress(args, cell))
    if args.verbose:
        say(args, f"{cell}: {verdict.cannot or verdict.status}, {verdict.states:,} states")
    if args.fewest_switches:
        verdict = replace(verdict, violations=tuple(_with_fewest_switches(verdict, one) for one in verdict.violations))
    return verdict


def _progress(args: argparse.Namespace, cell: Cell) -> Callable[[int, int], None]:
    """Return what says on stderr, every few seconds, how far a search is and how fast."""
    begin = said = time.monotonic()

    def tell(states: int, steps: int) -> None:
        nonlocal said
        now = time.monotonic()
        if now - said >= _SILENCE_S:
            say(args, f"{cell}: {states:,} states, {steps:,} steps, {states / (now - begin):,.0f} states/s")
            said = now

    return tell


def _with_fewest_switches(verdict: Verdict, broken: Violation) -> Violation:
    """Return a violation with another way to it; one at rest keeps its own."""
    from mapcount.check.cells import model_of
    from mapcount.check.fewest_switches import fewest_switches
    from mapcount.check.properties import READER_PROPERTIES
    from mapcount.check.verdicts import retold

    if broken.property not in READER_PROPERTIES:
        return broken
    model = model_of(verdict.cell)
    return retold(model, broken.property, fewest_switches(model, READER_PROPERTIES[broken.property]))


def _show(args: argparse.Namespace, verdicts: Sequence[Verdict]) -> int:
    """Print verdicts: the matrix, or in full what was asked for by one model or with --show."""
    from mapcount.cli.output import write
    from mapcount.report import races, races_record

    if args.html is not None:
        from mapcount.report.html.check_page import check_page

        write_html(args, check_page(verdicts))
    if args.format == "json":
        write(args, races_record.document(verdicts))
    elif not is_text_wanted(args):
        pass
    elif args.show or args.fewest_switches or len(verdicts) == 1:
        _print(args, _in_full(args, verdicts))
    else:
        _print(args, races.parts(verdicts, _view(args)))
    return EXIT_FINDING if any(verdict.violations for verdict in verdicts) else EXIT_OK


def _in_full(args: argparse.Namespace, verdicts: Sequence[Verdict]) -> Iterator[RenderableType]:
    from mapcount.report.races import one_model, violations

    for verdict in verdicts:
        yield from one_model(verdict, _view(args))
        yield from violations(verdict, _view(args))


def _replay(args: argparse.Namespace) -> int:
    """Run one interleaving on the scheme's plain Python and on what was lowered from it, and show it."""
    from mapcount.check.replay import parse_replay, run_both
    from mapcount.report.interleaving import replayed

    cell, schedule = parse_replay(args.replay)
    _print(args, replayed(cell, run_both(cell, schedule), _view(args)))
    return EXIT_OK


def _reach(args: argparse.Namespace, cells: Sequence[Cell]) -> int:
    from mapcount.check.cells import model_of
    from mapcount.check.explore import explore
    from mapcount.check.layout import Layout
    from mapcount.check.reach import parse_reach
    from mapcount.check.trace import trace
    from mapcount.report.interleaving import interleaving
    from mapcount.report.layout import sentence

    shown: list[RenderableType] = []
    for cell in cells:
        model = model_of(cell)
        wanted = parse_reach(args.reach, Layout(model).names)
        found = explore(model, until={args.reach: wanted}, max_states=args.max_states)
        way = found.seen.get(args.reach)
        met = f"after {len(way)} steps" if way is not None else f"never; {found.extent}"
        shown.append(sentence(f"\n{cell}: {wanted} {met}"))
        if way is not None:
            shown += interleaving(model, trace(model, way), _view(args))
    _print(args, shown)
    return EXIT_OK


def _cross_check(args: argparse.Namespace, cells: Sequence[Cell]) -> int:
    """Print a line for each model, ours and SPIN's; EXIT_FINDING if any differs."""
    from mapcount.check.cells import model_of
    from mapcount.check.explore import explore
    from mapcount.check.scaling import narrowed
    from mapcount.check.spin import cross_check
    from mapcount.errors import UsageError
    from mapcount.report.spin_table import Compared, spin_table

    found: list[Compared] = []
    for cell in cells:
        begin = time.monotonic()
        try:
            explored = explore(narrowed(model_of(cell)), max_states=args.max_states, symmetry=False)
            ours_s = time.monotonic() - begin
            found.append(Compared(str(cell), explored.states, ours_s, cross_check(explored)))
        except UsageError as error:
            say(args, f"{cell}: {error}")
            continue
        say(args, f"{cell}: {'equal' if found[-1].agreement.agrees else 'DIFFERENT'}")
    _print(args, spin_table(found, _view(args)))
    return EXIT_OK if all(one.agreement.agrees for one in found) else EXIT_FINDING


def _promela(args: argparse.Namespace, cells: Sequence[Cell]) -> int:
    from mapcount.check.cells import model_of
    from mapcount.check.promela import promela
    from mapcount.check.scaling import narrowed
    from mapcount.cli.output import write
    from mapcount.errors import UsageError

    if len(cells) != 1:
        raise UsageError(f"--format promela writes one model, and {len(cells)} are named; give one as --list tells")
    write(args, promela(narrowed(model_of(cells[0]))).encode())
    return EXIT_OK


def _view(args: argparse.Namespace) -> View:
    from dataclasses import replace

    view = view_of(args)
    return replace(view, width=_MAIL_COLUMNS) if args.format == "text72" else view


def _print(args: argparse.Namespace, parts: Iterable[RenderableType]) -> None:
    """Print for people: as every command does, or 72 columns without colour to paste into a mail."""
    from mapcount.cli.output import write_text
    from mapcount.cli.report import print_parts
    from mapcount.report.terminal import render

    if args.format == "text72":
        write_text(args, render(parts, width=_MAIL_COLUMNS, colour=False))
    else:
        print_parts(args, parts)
