"""Files of a guest, through its agent: settings are written, /proc is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.errors import GuestError, KernelFeatureError

if TYPE_CHECKING:
    from mapcount.kernels.agent import Channel

# Numbers of x86-64: arch/x86/entry/syscalls/syscall_64.tbl.
_WRITE, _OPEN, _CLOSE, _MMAP, _PREAD, _PWRITE, _MADVISE = 1, 2, 3, 9, 17, 18, 28
_PRIVATE_ANONYMOUS = 0x22
_COLD = 20
"""MADV_COLD."""
_ENOENT = -2
BUFFER_BYTES = 7 << 12
"""A read at a time: whole pages, whose hexadecimal digits fit the agent's answer (64 KiB)."""


class GuestFiles:
    """Reads and writes files in a guest as its /init. Raises GuestError where that fails."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._buffer = channel.call(0, _MMAP, 0, BUFFER_BYTES, 3, _PRIVATE_ANONYMOUS, -1, 0)
        if self._buffer < 0:
            raise GuestError(f"The guest has no memory left for a buffer ({self._buffer})")
        channel.touch(0, self._buffer, 4096, BUFFER_BYTES // 4096, write=True)

    def exists(self, path: str) -> bool:
        """Tell whether a file can be opened."""
        descriptor = self._channel.call(0, _OPEN, path, 0)
        if descriptor >= 0:
            self._channel.call(0, _CLOSE, descriptor)
        return descriptor >= 0

    def write(self, path: str, text: str) -> None:
        """Write a text without blanks. Raises KernelFeatureError if there is no such file."""
        descriptor = self._channel.call(0, _OPEN, path, 1)
        if descriptor == _ENOENT:
            raise KernelFeatureError(f"{path} is missing: the guest's kernel lacks what is to be set there")
        if descriptor < 0:
            raise GuestError(f"{path} in the guest cannot be opened ({descriptor})")
        written = self._channel.call(0, _WRITE, descriptor, text, len(text))
        self._channel.call(0, _CLOSE, descriptor)
        if written != len(text):
            raise GuestError(f"{path} in the guest does not take {text!r} ({written})")

    def read(self, path: str, offset: int = 0, nr_bytes: int | None = None) -> bytes:
        """Return a file from `offset` on: to its end, or `nr_bytes` of it."""
        descriptor = self._channel.call(0, _OPEN, path, 0)
        if descriptor < 0:
            raise GuestError(f"{path} in the guest cannot be opened ({descriptor})")
        parts = []
        while nr_bytes is None or nr_bytes > 0:
            wanted = BUFFER_BYTES if nr_bytes is None else min(BUFFER_BYTES, nr_bytes)
            got = self._channel.call(0, _PREAD, descriptor, self._buffer, wanted, offset)
            if got < 0:
                raise GuestError(f"{path} in the guest cannot be read at {offset} ({got})")
            if not got:
                break
            parts.append(self._channel.peek(0, self._buffer, got))
            offset, nr_bytes = offset + got, None if nr_bytes is None else nr_bytes - got
        self._channel.call(0, _CLOSE, descriptor)
        return b"".join(parts)

    def write_bytes(self, path: str, offset: int, data: bytes) -> None:
        """Write bytes into a file that is there, at `offset`."""
        descriptor = self._channel.call(0, _OPEN, path, 1)
        if descriptor < 0:
            raise GuestError(f"{path} in the guest cannot be opened ({descriptor})")
        self._channel.poke(0, self._buffer, data)
        written = self._channel.call(0, _PWRITE, descriptor, self._buffer, len(data), offset)
        self._channel.call(0, _CLOSE, descriptor)
        if written != len(data):
            raise GuestError(f"{len(data)} bytes at {offset} of {path} in the guest cannot be written ({written})")

    def drain_lru_batches(self) -> None:
        """Empty this CPU's batches of pages on their way to LRU lists: they hold references (lru_add_drain())."""
        self._channel.call(0, _MADVISE, self._buffer, 4096, _COLD)
