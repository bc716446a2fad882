"""`mapcount kernels`: kernel images to boot: list, fetch, verify, and add one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mapcount.cli.common import FORMATS, add_common, add_format, add_output, say, view_of
from mapcount.errors import EXIT_BAD_INPUT, EXIT_OK, KernelImageError, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from mapcount.kernels.apt import Apt, Index
    from mapcount.kernels.images import Image

NAME = "kernels"
HELP = "kernel images to boot: list, fetch, verify, add one's own"

_ACTIONS = ("list", "fetch", "verify", "add")
_TAKEN_BY = {"all": ("fetch",), "update": ("list",), "name": ("add",), "config": ("add",)}
"""Options that some actions alone know."""


def prepare(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "action",
        metavar="ACTION",
        nargs="?",
        choices=_ACTIONS,
        default="list",
        help=f"{', '.join(_ACTIONS)} (default: list)",
    )
    parser.add_argument(
        "names",
        metavar="WHAT",
        nargs="*",
        help="fetch: series such as 6.12; verify: series, names or releases (default: all); add: path of a bzImage",
    )
    parser.add_argument("--all", action="store_true", help="fetch: the newest image of every series that Debian has")
    parser.add_argument("--update", action="store_true", help="list: ask Debian first what it has")
    parser.add_argument("--name", metavar="NAME", help="add: the name that finds the image again")
    parser.add_argument("--config", metavar="FILE", help="add: its .config (default: config-X beside vmlinuz-X)")
    add_output(parser, "write it to FILE")
    add_format(parser, FORMATS[:2])
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Do what the action says; an image that cannot be had is told after the others were fetched."""
    from mapcount.cli.output import check_file

    _check(args)
    check_file(args)
    return {"list": _list, "fetch": _fetch, "verify": _verify, "add": _add}[args.action](args)


def _check(args: argparse.Namespace) -> None:
    """Refuse arguments that the action does not know. Raises UsageError."""
    from mapcount.kernels.images import SERIES

    for option, actions in _TAKEN_BY.items():
        if getattr(args, option) and args.action not in actions:
            raise UsageError(f"--{option} belongs to mapcount kernels {actions[0]}, not to {args.action}")
    if args.action == "list" and args.names:
        raise UsageError(
            f"mapcount kernels list takes no names, and {args.names[0]!r} is one; to get it: kernels fetch"
        )
    if args.action == "fetch" and bool(args.names) == args.all:
        raise UsageError("name the series to fetch, such as 6.12, or give --all; one of the two")
    if args.action == "fetch" and (strangers := [name for name in args.names if not SERIES.fullmatch(name)]):
        raise UsageError(f"{strangers[0]!r} is no series; name two numbers of a kernel release, such as 6.12")
    if args.action == "add" and (len(args.names) != 1 or not args.name):
        raise UsageError("mapcount kernels add takes the path of one bzImage, and --name NAME")


def _list(args: argparse.Namespace) -> int:
    from mapcount.kernels.fetch import current_index
    from mapcount.kernels.image_store import locked

    apt = _apt()
    if args.update:
        with locked(lambda words: say(args, words)):
            current_index(apt, lambda words: say(args, words), oldest_s=0)
    _print_images(args, apt.index())
    return EXIT_OK


def _fetch(args: argparse.Namespace) -> int:
    from mapcount.kernels.fetch import fetch

    apt = _apt()
    found = fetch(apt, [] if args.all else list(dict.fromkeys(args.names)), lambda words: say(args, words))
    _print_images(args, apt.index(), only=[one for one in found if not isinstance(one, KernelImageError)])
    if missing := [str(one) for one in found if isinstance(one, KernelImageError)]:
        raise KernelImageError("\n".join(missing))
    return EXIT_OK


def _verify(args: argparse.Namespace) -> int:
    from mapcount.cli.output import write
    from mapcount.cli.report import print_parts
    from mapcount.kernels.image_store import verify
    from mapcount.report import kernel_images

    found = verify(args.names)
    if args.format == "json":
        write(args, kernel_images.verdicts_document(found))
    else:
        print_parts(args, kernel_images.verdicts(found))
    return EXIT_BAD_INPUT if any(verdict.problems for verdict in found) else EXIT_OK


def _add(args: argparse.Namespace) -> int:
    from mapcount.kernels.image_store import add

    config = Path(args.config) if args.config else None
    image = add(Path(args.names[0]), args.name, config, force=args.force, say=lambda words: say(args, words))
    if image.page_mapcount is None:
        say(
            args, "no config was found: whether it counts the mappings of each page is not known; name it with --config"
        )
    _print_images(args, _apt().index(), only=[image])
    return EXIT_OK


def _apt() -> Apt:
    from mapcount.kernels.apt import Apt
    from mapcount.kernels.images import cache_directory

    return Apt(cache_directory() / "apt")


def _print_images(args: argparse.Namespace, index: Index | None, only: Iterable[Image] | None = None) -> None:
    """Print all images, or `only` these, which are cached."""
    from dataclasses import replace

    from mapcount.cli.output import write
    from mapcount.cli.report import print_parts
    from mapcount.kernels.listing import list_images
    from mapcount.report import kernel_images

    found = list_images(index)
    if only is not None:
        paths = {str(image.path) for image in only}
        found = replace(found, images=tuple(row for row in found.images if row.path in paths))
    if args.format == "json":
        write(args, kernel_images.document(found))
    elif only is None:
        print_parts(args, kernel_images.listing(found, view_of(args)))
    elif found.images:
        print_parts(args, kernel_images.images(found.images, view_of(args)))
