"""Cgroups: the path behind an inode that kpagecgroup gives, the cgroup of a process, the processes of a cgroup."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from mapcount.capture.settings import read_text
from mapcount.errors import UsageError
from mapcount.record import record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_CGROUPS = 1 << 16
"""A walk stops after so many; cgroups are cheap to make and a broken host can hold millions."""
_OCTAL = re.compile(r"\\([0-7]{3})")


@record(frozen=True)
class Mount:
    """A mounted cgroup hierarchy."""

    point: str
    """Directory it is mounted at."""
    root: str
    """Path of the cgroup that is mounted there, `/` unless it is a bind mount or a container's."""
    controllers: frozenset[str]
    """v1 controllers of the hierarchy; empty for v2."""
    version: int

    def directory(self, cgroup: str) -> str | None:
        """Return the directory of a cgroup path; None if the path lies outside of what is mounted here."""
        inside = os.path.relpath(cgroup, self.root)
        return None if inside.startswith("..") else os.path.normpath(os.path.join(self.point, inside))

    def cgroup(self, directory: str) -> str:
        """Return the cgroup path of a directory below `point`."""
        return os.path.normpath(os.path.join(self.root, os.path.relpath(directory, self.point)))


@record(frozen=True)
class CgroupNames:
    """Paths of the memory controller's cgroups by inode."""

    paths: Mapping[int, str]
    complete: bool
    """Every cgroup was seen: an inode that is not in `paths` belongs to a removed one."""

    def name(self, inode: int) -> str:
        """
        Return the cgroup's path; empty for 0 (charged to none).

        `removed:INODE` if it is gone: pages stay charged to a removed cgroup until they are freed. `inode:INODE` if the
        walk did not see all cgroups, so that nothing can be said.
        """
        if inode == 0:
            return ""
        return self.paths.get(inode) or f"{'removed' if self.complete else 'inode'}:{inode}"


def parse_mounts(mountinfo: str) -> list[Mount]:
    """Return the cgroup mounts of a /proc/PID/mountinfo text, in its order."""
    mounts = []
    for line in mountinfo.splitlines():
        fields, _, tail = (part.split(" ") for part in line.partition(" - "))
        if len(fields) < 5 or not tail or tail[0] not in {"cgroup", "cgroup2"}:
            continue
        root, point = (_OCTAL.sub(lambda code: chr(int(code[1], 8)), text) for text in fields[3:5])
        version = 2 if tail[0] == "cgroup2" else 1
        controllers = frozenset() if version == 2 else frozenset(tail[-1].split(","))
        mounts.append(Mount(point, root, controllers, version))
    return mounts


def memory_mount(*, proc: str = "/proc") -> Mount | None:
    """
    Return the mount of the hierarchy that memory is charged in: v1 `memory` if mounted, else v2; else None.

    kpagecgroup's inodes belong to this hierarchy; inodes of two hierarchies may be equal.
    """
    mounts = parse_mounts(read_text(os.path.join(proc, "self/mountinfo")) or "")
    fitting = [m for m in mounts if "memory" in m.controllers] or [m for m in mounts if m.version == 2]
    return min(fitting, key=lambda mount: len(mount.root), default=None)


def read_cgroup_names(mount: Mount | None, *, limit: int = MAX_CGROUPS) -> CgroupNames:
    """
    Walk the mounted hierarchy and return the path of each inode, after at most `limit` cgroups.

    `complete` is false where the limit was reached, or only a part of the hierarchy is mounted. A cgroup that is
    removed meanwhile is left out. No privilege is needed.
    """
    if mount is None:
        return CgroupNames({}, complete=False)
    paths: dict[int, str] = {}
    for directory, inode in _walk(mount.point):
        if len(paths) >= limit:
            return CgroupNames(paths, complete=False)
        paths[inode] = mount.cgroup(directory)
    return CgroupNames(paths, complete=mount.root == "/")


def parse_task_cgroup(text: str) -> str:
    """Return the path in a /proc/PID/cgroup text: memory controller first, then the unified hierarchy; else empty."""
    unified = ""
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if "memory" in controllers.split(","):
            return path
        if number == "0" and not controllers:
            unified = path
    return unified


def task_cgroup(pid: int, *, proc: str = "/proc") -> str:
    """Return the cgroup of a process, memory controller first, then unified; empty if it cannot be read."""
    return parse_task_cgroup(read_text(os.path.join(proc, str(pid), "cgroup")) or "")


def cgroup_directory(path: str, *, proc: str = "/proc") -> str:
    """
    Return the directory of a cgroup that a user named.

    `path` is that directory itself (/sys/fs/cgroup/...), or the cgroup's path with or without a leading slash, which is
    looked for in the memory controller's hierarchy, then in the others. Raises UsageError if it is none.
    """
    mounts = parse_mounts(read_text(os.path.join(proc, "self/mountinfo")) or "")
    first = memory_mount(proc=proc)
    ordered = sorted(mounts, key=lambda mount: mount != first)
    named = (mount.directory("/" + path.strip("/")) for mount in ordered)
    for directory in (path, *filter(None, named)):
        if os.path.isabs(directory) and os.path.isfile(os.path.join(directory, "cgroup.procs")):
            return os.path.normpath(directory)
    where = ", ".join(mount.point for mount in ordered) or "none is mounted here"
    raise UsageError(
        f"{path} is no cgroup; give a directory below a cgroup mount ({where}) or a path as in the last column of "
        "/proc/PID/cgroup"
    )


def cgroup_pids(path: str, *, proc: str = "/proc") -> list[int]:
    """
    Return the pids of a cgroup and of all its children, ascending. Raises UsageError if `path` names no cgroup.

    Processes of another pid namespace are left out: the kernel shows them as 0.
    """
    pids: set[int] = set()
    for directory, _ in _walk(cgroup_directory(path, proc=proc)):
        # In a threaded v2 cgroup cgroup.procs cannot be read; its processes are listed by the domain above it.
        text = read_text(os.path.join(directory, "cgroup.procs")) or ""
        pids.update(int(word) for word in text.split())
    return sorted(pids - {0})


def _walk(top: str) -> Iterator[tuple[str, int]]:
    # Directories below `top`, itself first, each with its inode. Never follows links, never raises.
    pending = [top]
    while pending:
        directory = pending.pop()
        try:
            inode = os.stat(directory).st_ino
            with os.scandir(directory) as entries:
                children = sorted(entry.path for entry in entries if entry.is_dir(follow_symlinks=False))
        except OSError:
            continue
        yield directory, inode
        pending.extend(reversed(children))
