"""A guest as it was at one moment: its memory and the state of its devices, from which copies of it are started.

Starting a copy takes a fraction of a boot. It is for what may wedge or crash a kernel. QEMU's migration writes the devices;
memory stays in its file, of which we keep a copy (capability x-ignore-shared, docs/devel/migration of QEMU).
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from mapcount.errors import GuestError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from mapcount.kernels.qmp import Qmp

_TIME_LIMIT_S = 60.0
_POLL_S = 0.005
_IGNORE_SHARED = [{"capability": "x-ignore-shared", "state": True}]
_LINE = "mapcount-state"


@dataclass(frozen=True)
class GuestState:
    """What a guest is started from. A context manager that frees the copy of its memory."""

    ram: int
    """A memfd, ours to close; its holes are pages that the guest never wrote."""
    devices: bytes

    @property
    def memory_mib(self) -> int:
        """How much memory the guest has."""
        return os.fstat(self.ram).st_size >> 20

    def close(self) -> None:
        """Free it."""
        os.close(self.ram)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def take_state(qmp: Qmp, ram: int) -> GuestState:
    """Return the state of a guest that is idle; it runs on. `ram` is the file of its memory. Raises GuestError."""
    qmp.ask("migrate-set-capabilities", capabilities=_IGNORE_SHARED)
    with _line_to(qmp) as ours:
        qmp.ask("migrate", uri=f"fd:{_LINE}")
        devices = b"".join(iter(lambda: ours.recv(1 << 16), b""))
    if (status := _wait_for(qmp, "query-migrate", {"completed", "failed", "cancelled"})) != "completed":
        raise GuestError(f"QEMU could not write the state of its devices: {status}")
    copy = os.memfd_create("mapcount-guest-state")
    try:
        copy_sparse(ram, copy)
        qmp.ask("cont")
    except BaseException:
        os.close(copy)
        raise
    return GuestState(copy, devices)


def resume(qmp: Qmp, state: GuestState) -> None:
    """Let a QEMU that waits for a state (`-incoming defer`), with a copy of its memory, go on from it. Raises GuestError."""
    qmp.ask("migrate-set-capabilities", capabilities=_IGNORE_SHARED)
    with _line_to(qmp) as ours:
        qmp.ask("migrate-incoming", uri=f"fd:{_LINE}")
        ours.sendall(state.devices)
        ours.shutdown(socket.SHUT_WR)
        status = _wait_for(qmp, "query-status", {"running", "paused", "shutdown", "internal-error"})
    if status == "paused":
        qmp.ask("cont")
    elif status != "running":
        raise GuestError(f"QEMU does not take up the state of its devices: {status}")


def copy_sparse(source: int, target: int) -> None:
    """Make `target` like the file `source`, holes included. Both are descriptors."""
    size = os.fstat(source).st_size
    os.ftruncate(target, size)
    for start, end in _data(source, size):
        at = os.lseek(target, start, os.SEEK_SET)
        while at < end:
            at += os.sendfile(target, source, at, end - at)


def _data(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield what of a file is no hole, as [at, end)."""
    at = 0
    while at < size:
        try:
            at = os.lseek(descriptor, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # no data behind
                return
            raise
        end = os.lseek(descriptor, at, os.SEEK_HOLE)
        yield at, end
        at = end


@contextlib.contextmanager
def _line_to(qmp: Qmp) -> Iterator[socket.socket]:
    """Give QEMU one end of a line for a migration, under the name _LINE; yield the other."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            qmp.give(_LINE, theirs.fileno())
        ours.settimeout(_TIME_LIMIT_S)
        try:
            yield ours
        except OSError as error:
            raise GuestError(
                f"QEMU did not pass on the state of its devices in {_TIME_LIMIT_S:g} s ({error})"
            ) from error


def _wait_for(qmp: Qmp, question: str, ends: set[str]) -> str:
    deadline = time.monotonic() + _TIME_LIMIT_S
    while time.monotonic() < deadline:
        status = str(qmp.ask(question).get("status"))
        if status in ends:
            return status
        time.sleep(_POLL_S)
    raise GuestError(f"QEMU's {question} says {status!r}, {_TIME_LIMIT_S:g} s after it was asked to move a state")
