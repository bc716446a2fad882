"""The goals, and whether figures meet them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scenes import Scene

MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Goal:
    """One goal: what was wanted, what was found, and `met`, `missed` or `not measured`."""

    wanted: str
    found: str
    verdict: str


def judge(scenes: Sequence[Scene]) -> list[Goal]:
    """Hold scenes against the goals."""
    one = {scene.gib: scene for scene in scenes if scene.name == "process"}
    return [
        _right([scene for scene in scenes if scene.name != "machine"]),
        _near_floor("capture + survey, without start-up, at most 1.3 times the C floor", list(one.values()), 1.3),
        _against_thpmaps("all in, no more CPU than thpmaps at 4 GiB", one.get(4)),
        _against_thpmaps("all in, less CPU than thpmaps at 8 GiB", one.get(8)),
        _linear(one),
        _memory(one.get(8)),
        _near_floor(
            "16 GiB in several processes, the whole machine at most 1.5 times the floor",
            [scene for scene in scenes if scene.name == "machine" and scene.gib == 16],
            1.5,
        ),
    ]


def _goal(wanted: str, found: str, *, met: bool) -> Goal:
    return Goal(wanted, found, "met" if met else "missed")


def _not_measured(wanted: str) -> Goal:
    return Goal(wanted, "", "not measured")


def _right(scenes: list[Scene]) -> Goal:
    wanted = "folios, partially mapped folios and wasted pages equal to the load's own arithmetic"
    wrong = [f"{scene.name} {scene.gib:g} GiB: {text}" for scene in scenes for text in scene.wrong]
    return _goal(wanted, "; ".join(wrong) or "equal in every run", met=not wrong) if scenes else _not_measured(wanted)


def floor_ratio(scene: Scene) -> float:
    """Return capture and survey over the floor, in CPU seconds."""
    floor = scene.tool("floor")
    return scene.work_cpu_s / floor.cpu_s if floor else float("inf")


def _near_floor(wanted: str, scenes: list[Scene], limit: float) -> Goal:
    if not scenes:
        return _not_measured(wanted)
    found = ", ".join(f"{scene.gib:g} GiB: {floor_ratio(scene):.2f}" for scene in scenes)
    return _goal(wanted, found, met=all(floor_ratio(scene) <= limit for scene in scenes))


def _against_thpmaps(wanted: str, scene: Scene | None) -> Goal:
    ours, theirs = (scene.tool(name) if scene else None for name in ("mapcount", "thpmaps --rollup"))
    if ours is None or theirs is None:
        return _not_measured(wanted)
    found = f"{ours.cpu_s:.2f} s against {theirs.cpu_s:.2f} s"
    start_up, floor = (scene.tool(name) if scene else None for name in ("start-up", "floor"))
    if start_up and floor:
        found += f"; {start_up.cpu_s:.2f} s of ours is start-up, {floor.cpu_s:.2f} s the floor"
    return _goal(wanted, found, met=ours.cpu_s <= theirs.cpu_s)


def _linear(one: dict[float, Scene]) -> Goal:
    wanted = "cost per mapped page within 15 % from 1 to 8 GiB"
    if not {1, 8} <= one.keys():
        return _not_measured(wanted)
    ours = {gib: scene.work_cpu_s / scene.mapped_pages * 1e9 for gib, scene in one.items()}
    floors = {gib: floor.cpu_s / one[gib].mapped_pages * 1e9 for gib in one if (floor := one[gib].tool("floor"))}
    found = ", ".join(f"{gib:g} GiB: {cost:.0f} ns" for gib, cost in ours.items())
    found += f"; spread {100 * _spread(ours):.0f} %, of the floor alone {100 * _spread(floors):.0f} %"
    return _goal(wanted, found, met=_spread(ours) <= 0.15)


def _spread(costs: dict[float, float]) -> float:
    return max(costs.values()) / min(costs.values()) - 1 if costs else 0.0


def _memory(scene: Scene | None) -> Goal:
    wanted = "peak memory under 150 MB at 8 GiB"
    ours = scene.tool("mapcount") if scene else None
    if ours is None:
        return _not_measured(wanted)
    return _goal(wanted, f"{ours.peak_rss_bytes / MB:.0f} MB", met=ours.peak_rss_bytes < 150 * MB)
