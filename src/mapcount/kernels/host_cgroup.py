"""A memory cgroup of the scenario's own: it keeps its folios out of the swap, and it alone is reclaimed from.

Sources: Documentation/admin-guide/cgroup-v2.rst; Documentation/admin-guide/cgroup-v1/memory.rst.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from mapcount.capture.cgroups import memory_mount
from mapcount.capture.settings import read_text
from mapcount.errors import KernelFeatureError

if TYPE_CHECKING:
    from mapcount.kernels.host_settings import HostSettings

_RECLAIM_BYTES = b"1G"


class HostCgroup:
    """The cgroup of one run, or none where this machine has no memory controller to make one of."""

    def __init__(self, held: HostSettings, *, proc: str = "/proc") -> None:
        """Make it; `held` removes it when everything is put back, after the processes in it have ended."""
        self._directory = ""
        mount = memory_mount(proc=proc)
        if mount is None:
            return
        directory = os.path.join(mount.point, f"mapcount-host-{os.getpid()}")
        held.remove_later(directory)
        with contextlib.suppress(OSError):  # a read-only mount
            os.mkdir(directory)
            self._directory = directory

    @property
    def inode(self) -> int:
        """What kpagecgroup shows of its folios; 0 if there is none."""
        return os.stat(self._directory).st_ino if self._directory else 0

    def take(self, pid: int) -> None:
        """Move a process into it; its children are born there. Raises KernelFeatureError if it may not be moved."""
        if not self._directory:
            return
        try:
            _write(f"{self._directory}/cgroup.procs", str(pid).encode())
        except OSError as error:
            raise KernelFeatureError(f"A process cannot be moved to {self._directory} ({error.strerror})") from error

    def forbid_swap(self, *, proc: str = "/proc") -> None:
        """Keep its memory out of the swap. Raises KernelFeatureError if there is a swap and this cannot be done."""
        devices = (read_text(f"{proc}/swaps") or "").splitlines()[1:]
        if not devices:
            return
        try:
            _write(f"{self._directory}/memory.swap.max", b"0")
        except OSError as error:
            raise KernelFeatureError(
                f"This host swaps ({devices[0].split()[0]}), which the scenario must not, and memory.swap.max of an own "
                "cgroup (v2) cannot be used; run it after `swapoff -a`"
            ) from error

    def reclaim(self) -> int:
        """
        Reclaim from this cgroup alone, which runs the deferred split shrinker over its folios; returns 0.

        It would also swap out, and free what MADV_FREE was told of. Raises KernelFeatureError where it cannot be done.
        """
        # 5.19 brought memory.reclaim (v2); EAGAIN: not as much as was asked for was there.
        for name, value in (("memory.reclaim", _RECLAIM_BYTES), ("memory.force_empty", b"0")):
            path = f"{self._directory}/{name}"
            if self._directory and os.path.exists(path):
                with contextlib.suppress(BlockingIOError):
                    _write(path, value)
                return 0
        raise KernelFeatureError(
            "The deferred split shrinker cannot be run on this host: memory.reclaim (cgroup v2, Linux 5.19) and "
            "memory.force_empty (v1) of an own cgroup are missing, and to write 2 to /proc/sys/vm/drop_caches would take "
            "caches from every process of the host; run this scenario on a guest"
        )


def _write(path: str, value: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, value)
    finally:
        os.close(descriptor)
