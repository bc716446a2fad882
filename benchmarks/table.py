"""The figures as text: Markdown tables that read as well in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from goals import MB, Goal, floor_ratio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scenes import Scene

TITLES = {
    "process": "One process, {gib:g} GiB mapped, its three children not captured",
    "family": "The same process and its three children together",
    "machine": "The whole machine, {gib:g} GiB mapped in four processes",
}
LATENCIES = ("fault", "mmap", "munmap")


def markdown(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table with padded cells: the first column left-aligned, the others right."""
    widths = [max(len(row[i]) for row in (headers, *rows)) for i in range(len(headers))]

    def line(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        padded = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
        return f"| {' | '.join(padded)} |"

    rule = "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])])
    return "\n".join([line(headers), f"|{rule}|", *(line(row) for row in rows)])


def scene_text(scene: Scene) -> str:
    """Return the tables of a scene: tools, then reads."""
    title = TITLES[scene.name].format(gib=scene.gib)
    lines = [f"### {title}", "", f"{scene.mapped_pages:,} pages of the load are mapped by what is captured.", ""]
    lines += [_tools(scene), "", _reads(scene)]
    lines += [f"\nNote: {note}." for note in scene.notes]
    lines += [f"\n**Wrong answer**: {wrong}." for wrong in scene.wrong]
    return "\n".join(lines)


def _tools(scene: Scene) -> str:
    floor = scene.tool("floor")
    floor_s = floor.cpu_s if floor else float("nan")
    rows = [
        _work_row("capture + survey", scene.work_cpu_s, scene, f"{floor_ratio(scene):.2f}"),
        _work_row("- capture", scene.capture_cpu_s, scene, f"{scene.capture_cpu_s / floor_s:.2f}"),
        _work_row("- survey", scene.survey_cpu_s, scene, f"{scene.survey_cpu_s / floor_s:.2f}"),
    ]
    for tool in scene.tools:
        if tool.failed:
            rows.append([tool.name, "failed", "", "", "", "", ""])
            continue
        rows.append(
            [
                tool.name if tool.name != "mapcount" else "mapcount, all in",
                f"{tool.cpu_s:.3f}",
                f"{tool.cpu_min_s:.3f}-{tool.cpu_max_s:.3f}",
                f"{tool.wall_s:.3f}",
                f"{tool.peak_rss_bytes / MB:.0f}",
                f"{tool.cpu_s / scene.mapped_pages * 1e9:.0f}",
                f"{tool.cpu_s / floor_s:.2f}",
            ]
        )
    headers = ["tool", "CPU s", "least-most", "wall s", "peak MB", "ns a page", "x floor"]
    failures = [f"\n{tool.name} failed: `{tool.failed}`" for tool in scene.tools if tool.failed]
    return "\n".join([markdown(headers, rows), *failures])


def _work_row(name: str, cpu_s: float, scene: Scene, ratio: str) -> list[str]:
    return [name, f"{cpu_s:.3f}", "", "", "", f"{cpu_s / scene.mapped_pages * 1e9:.0f}", ratio]


def _reads(scene: Scene) -> str:
    total = {key: sum(count[key] for count in scene.reads.values()) for key in ("calls", "bytes", "ns")}
    rows = [
        [
            what,
            f"{count['calls']:,}",
            f"{count['bytes']:,}",
            f"{1000 * count['calls'] / scene.mapped_pages:.2f}",
            f"{count['bytes'] / scene.mapped_pages:.2f}",
            f"{count['ns'] / 1e6:.1f}",
        ]
        for what, count in [*scene.reads.items(), ("total", total)]
    ]
    return markdown(["read by mapcount", "calls", "bytes", "per 1000 pages", "bytes a page", "floor ms"], rows)


def goals_text(goals: Sequence[Goal]) -> str:
    """Return the table of goals."""
    return markdown(["goal", "found", "verdict"], [[goal.wanted, goal.found, goal.verdict] for goal in goals])


def victim_text(phases: dict[str, Any]) -> str:
    """Return what the victim felt, in microseconds."""
    rows = []
    for phase, latencies in phases.items():
        for what in LATENCIES:
            figures = latencies[what]
            times = [f"{figures[key] / 1000:.1f}" for key in ("p50_ns", "p99_ns", "p999_ns", "max_ns")]
            captures = str(latencies.get("captures", "")) if what == LATENCIES[0] else ""
            rows.append([phase if what == LATENCIES[0] else "", what, f"{figures['count']:,}", *times, captures])
    headers = ["phase", "call", "count", "p50 us", "p99 us", "p99.9 us", "max us", "captures"]
    return markdown(headers, rows)
