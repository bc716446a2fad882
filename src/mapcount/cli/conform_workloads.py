"""`mapcount conform --accesses --workload`: how many pages calls of rmap cover, for programs instead of operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.cli.common import say, view_of
from mapcount.errors import EXIT_OK, KernelFeatureError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from mapcount.kernels.images import Image
    from mapcount.kernels.usual_case import Measured
    from mapcount.kernels.workloads import Workload

ALL = "all"


def run_workloads(args: argparse.Namespace, names: Sequence[str]) -> int:
    """Run programs on kernels of these names, or, where none were asked for, on those of them that show calls; print."""
    from mapcount.cli.output import write
    from mapcount.cli.report import print_parts
    from mapcount.kernels.images import find_image
    from mapcount.kernels.usual_case import check_release
    from mapcount.kernels.workloads import SAYS, load
    from mapcount.report.usual_case import document, usual_case

    workloads = load(name for asked in args.workload for name in (SAYS if asked == ALL else [asked]))
    images = []
    for image in map(find_image, names):
        try:
            check_release(image.release)
            images.append(image)
        except KernelFeatureError as error:
            if args.kernel:
                raise
            say(args, f"left out: {error}")
    measured = [_measure(args, image, workloads) for image in images]
    if args.format == "json":
        write(args, document(measured))
    else:
        print_parts(args, usual_case(measured, view_of(args)))
    return EXIT_OK


def _measure(args: argparse.Namespace, image: Image, workloads: dict[str, Workload]) -> Measured:
    from mapcount.kernels.plugin_guest import PluginGuest
    from mapcount.kernels.usual_case import TIME_LIMIT_S, measure
    from mapcount.kernels.workloads import files_of

    with PluginGuest(image, files_of(workloads.values())) as guest:
        return measure(
            guest.release,
            lambda command, settings: guest.rmap_calls(command, settings, time_limit_s=TIME_LIMIT_S),
            workloads,
            lambda words: say(args, f"{image.release}: {words}"),
        )
