"""The cgroup freezer: holds all processes of a cgroup still without a signal, in v2 and in v1.

It is used for a cgroup whose members, children included, are all to be stopped: freezing takes whole subtrees. Nobody
outside sees it (no SIGCHLD, no stopped state), and processes that others stopped or trace stay so after the thaw.
Sources: Documentation/admin-guide/cgroup-v2.rst ("cgroup.freeze", "cgroup.events") and
Documentation/admin-guide/cgroup-v1/freezer-subsystem.rst.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mapcount.capture.cgroups import parse_mounts
from mapcount.capture.freeze_watchdog import write_control
from mapcount.capture.settings import read_text
from mapcount.record import record

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from mapcount.capture.cgroups import Mount

_CONTROL = {2: "cgroup.freeze", 1: "freezer.state"}
_THREADS = {2: "cgroup.threads", 1: "tasks"}
_FREEZE = {2: b"1", 1: b"FROZEN"}
_THAW = {2: b"0", 1: b"THAWED"}


@record(frozen=True)
class Freezer:
    """A cgroup that can be frozen."""

    version: int
    directory: str

    @property
    def control(self) -> str:
        """The file that freezes and thaws; the root cgroup has none."""
        return os.path.join(self.directory, _CONTROL[self.version])

    @property
    def intent(self) -> bytes:
        """What the watchdog must know to thaw it."""
        return b"write %s %s" % (_THAW[self.version], os.fsencode(self.control))

    def is_thawed(self) -> bool:
        """Whether nobody has frozen it, or one above it, nor is about to."""
        if self.version == 1:
            return _line(self.control) == "THAWED"
        return _line(self.control) == "0" and not self.is_frozen()

    def is_frozen(self) -> bool:
        """Whether all of its tasks are still; the kernel sets this a moment after the order."""
        if self.version == 1:
            return _line(self.control) == "FROZEN"
        return "frozen 1" in (read_text(os.path.join(self.directory, "cgroup.events")) or "").splitlines()

    def freeze(self) -> None:
        """Order the freeze; it is complete once `is_frozen()`. Raises OSError."""
        write_control(self.control, _FREEZE[self.version])

    def thaw(self) -> None:
        """Undo the freeze. Raises OSError (the cgroup may be gone)."""
        write_control(self.control, _THAW[self.version])

    def members(self) -> frozenset[int] | None:
        """
        Return the pids in it and its children; None if they cannot be known or do not live in it with all threads.

        A process of another pid namespace shows as 0, and a threaded v2 cgroup refuses cgroup.procs (EOPNOTSUPP).
        """
        pids, tids = set[int](), set[int]()
        for directory, _, _ in os.walk(self.directory):
            listed = read_text(os.path.join(directory, "cgroup.procs"))
            threads = read_text(os.path.join(directory, _THREADS[self.version]))
            if listed is None or threads is None:
                return None
            pids.update(map(int, listed.split()))
            tids.update(map(int, threads.split()))
        if 0 in pids or any(not _tids(pid) <= tids for pid in pids):
            return None
        return frozenset(pids)


def parse_cgroups(text: str) -> dict[str, str]:
    """Return the path by controller of a /proc/PID/cgroup text; the unified hierarchy's under the empty name."""
    paths = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        paths.update(dict.fromkeys(controllers.split(","), path))
    return paths


def freezer_mounts(*, proc: str = "/proc") -> list[Mount]:
    """Return the mounted hierarchies that can freeze, v2 first."""
    mounts = parse_mounts(read_text(os.path.join(proc, "self/mountinfo")) or "")
    return sorted((m for m in mounts if m.version == 2 or "freezer" in m.controllers), key=lambda m: -m.version)


def freezers_of(paths: Mapping[str, str], mounts: list[Mount]) -> list[Freezer]:
    """Return the freezers that a process with these cgroup paths sits in, v2 first; none for root cgroups."""
    found = []
    for mount in mounts:
        path = paths.get("" if mount.version == 2 else "freezer")
        directory = mount.directory(path) if path is not None else None
        if directory is not None and os.path.isfile(os.path.join(directory, _CONTROL[mount.version])):
            found.append(Freezer(mount.version, directory))
    return found


def covering(freezers: Collection[Freezer], pids: Collection[int]) -> dict[Freezer, frozenset[int]]:
    """
    Return those freezers, with their members, that hold none but `pids` and that we may write to.

    Each pid is in one of them at most: v2 goes before v1, a cgroup before its children.
    """
    chosen: dict[Freezer, frozenset[int]] = {}
    covered: set[int] = set()
    for freezer in sorted(freezers, key=lambda f: (-f.version, f.directory.count("/"), f.directory)):
        members = freezer.members()
        if not members or not members <= set(pids) or members & covered or not os.access(freezer.control, os.W_OK):
            continue
        chosen[freezer] = members
        covered |= members
    return chosen


def _line(path: str) -> str:
    return (read_text(path) or "").strip()


def _tids(pid: int) -> set[int]:
    try:
        return {int(tid) for tid in os.listdir(f"/proc/{pid}/task")}
    except OSError:
        return set()
