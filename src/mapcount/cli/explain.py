"""`mapcount explain`: the thread's questions, each answered with evidence that is found anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.cli.common import add_common, add_format, add_output, view_of, warn
from mapcount.errors import EXIT_OK, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from rich.console import RenderableType

    from mapcount.explain.given import Taken
    from mapcount.explain.question import Question
    from mapcount.report.table import View

NAME = "explain"
HELP = "list the questions of the thread, or answer one with evidence that is found now"
FORMATS = ("table", "text72", "json")
_MAIL_COLUMNS = 72


def prepare(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("question", metavar="QUESTION", nargs="?", help="the name of one (default: list them)")
    parser.add_argument(
        "snapshot",
        metavar="SNAPSHOT",
        nargs="?",
        help="what questions about a machine look at: a .mapsnap, or a scenario (default: this machine, now)",
    )
    parser.add_argument("--search", metavar="WORDS", help="list the questions that have these words in them")
    parser.add_argument("--sudo", action="store_true", help="run the capture, if one is needed, as root with sudo")
    add_output(parser, "write the answer to FILE")
    add_format(parser, FORMATS)
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """List or search, or find the evidence of an answer; print."""
    from mapcount.cli.output import check_file, write
    from mapcount.explain.answer import answer
    from mapcount.explain.given import Given
    from mapcount.report import explanation, explanation_record

    check_file(args)
    if args.question is None or args.search is not None:
        return _list(args)
    found = answer(_question(args), Given(lambda: _take(args)))
    if args.format == "json":
        write(args, explanation_record.document(found))
    else:
        _print(args, explanation.explanation(found, _view(args)))
    return EXIT_OK


def _question(args: argparse.Namespace) -> Question:
    """Return the question that was named. Raises UsageError if there is none, or a machine is given that it cannot look at."""
    from mapcount.explain.catalogue import QUESTIONS, find

    question = find(args.question)
    if args.snapshot and not question.of_a_machine:
        others = ", ".join(one.id for one in QUESTIONS if one.of_a_machine)
        raise UsageError(
            f"{question.id} is not about a machine and cannot look at {args.snapshot}: leave that out, or ask what looks at "
            f"one: {others}"
        )
    return question


def _list(args: argparse.Namespace) -> int:
    from mapcount.cli.output import write
    from mapcount.report import explanation, explanation_record

    questions = _questions(args)
    if args.format == "json":
        write(args, explanation_record.list_document(questions))
    else:
        _print(args, explanation.listing(questions))
    return EXIT_OK


def _questions(args: argparse.Namespace) -> list[Question]:
    from mapcount.explain.catalogue import QUESTIONS, search

    if args.search is None:
        return list(QUESTIONS)
    if args.question is not None:
        raise UsageError("--search finds questions, and QUESTION names one; give one of them")
    if found := search(args.search):
        return found
    raise UsageError(f"No question has all of these words: {args.search!r}. `mapcount explain` lists all")


def _take(args: argparse.Namespace) -> Taken:
    """Return the machine that was named, or this one; where its folios are hidden, the example that ships."""
    from mapcount.cli.report import load
    from mapcount.cli.scenario_source import is_scenario
    from mapcount.errors import BadSnapshotError, NotAllowedError
    from mapcount.explain.given import Taken

    if args.snapshot:
        snapshot = load(args.snapshot)
        if snapshot.meta.tier == "no-pfn":
            raise BadSnapshotError(
                f"{args.snapshot} holds no folios: the kernel hid page frame numbers from who took it. Take one as root"
            )
        whose = "a scenario, on the model of" if is_scenario(args.snapshot) else "a snapshot of"
        return Taken(snapshot, f"{args.snapshot}, {whose} {snapshot.meta.kernel_release}")
    from mapcount.cli.capture import require_linux
    from mapcount.cli.live import capture_machine, load_example

    require_linux()
    args.pid, args.cgroup, args.check_all = [], None, False
    snapshot, hidden = capture_machine(args)
    if snapshot.meta.tier != "no-pfn":
        return Taken(snapshot, f"This machine, now ({snapshot.meta.kernel_release})")
    warn(hidden)
    example = load_example()
    if example is None:
        raise NotAllowedError(
            "this question looks at folios: run it as root (--sudo), or name a .mapsnap that has them"
        )
    return Taken(example, f"An EXAMPLE, not this machine: the snapshot that ships ({example.meta.kernel_release})")


def _view(args: argparse.Namespace) -> View:
    from dataclasses import replace

    view = view_of(args)
    return replace(view, width=_MAIL_COLUMNS) if args.format == "text72" else view


def _print(args: argparse.Namespace, parts: Iterable[RenderableType]) -> None:
    from mapcount.cli.output import write_text
    from mapcount.cli.report import print_parts
    from mapcount.report.terminal import render

    if args.format == "text72":
        write_text(args, render(parts, width=_MAIL_COLUMNS, colour=False))
    else:
        print_parts(args, parts)
