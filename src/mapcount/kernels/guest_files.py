"""Files of a guest, through its agent: settings are written, /proc is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.errors import GuestError, KernelFeatureError

if TYPE_CHECKING:
    from mapcount.kernels.agent import Channel
    from mapcount.kernels.guest_memory import GuestMemory

# Numbers of x86-64: arch/x86/entry/syscalls/syscall_64.tbl.
_OPEN, _CLOSE, _MMAP, _PWRITE, _ACCESS, _MADVISE = 2, 3, 9, 18, 21, 28
_PRIVATE_ANONYMOUS = 0x22
_DONTFORK, _COLD = 10, 20
"""MADV_DONTFORK, MADV_COLD: include/uapi/asm-generic/mman-common.h."""
_ENOENT = -2
_PEEK_BYTES = 7 << 12
"""Whose hexadecimal digits fit the agent's answer (64 KiB)."""
BUFFER_BYTES = 128 << 12
"""A read at a time: whole pages."""
_SERVER_PID = 1


class GuestFiles:
    """Reads and writes files in a guest as its /init. Raises GuestError where that fails."""

    def __init__(self, channel: Channel, memory: GuestMemory | None = None) -> None:
        """With its `memory`, what is read is taken out of there; else the agent tells it, which takes far longer."""
        self._channel = channel
        self._memory = memory
        self._buffer = channel.call(0, _MMAP, 0, BUFFER_BYTES, 3, _PRIVATE_ANONYMOUS, -1, 0)
        if self._buffer < 0:
            raise GuestError(f"The guest has no memory left for a buffer ({self._buffer})")
        # A page that a child shares would be another one after the next read.
        channel.call(0, _MADVISE, self._buffer, BUFFER_BYTES, _DONTFORK)
        channel.touch(0, self._buffer, 4096, BUFFER_BYTES // 4096, write=True)

    def exists(self, path: str) -> bool:
        """Tell whether there is such a file."""
        return self._channel.call(0, _ACCESS, path, 0) == 0

    def write(self, path: str, text: str) -> None:
        """Write a text without blanks. Raises KernelFeatureError if there is no such file."""
        written = self._channel.put(0, path, text)
        if written == _ENOENT:
            raise KernelFeatureError(f"{path} is missing: the guest's kernel lacks what is to be set there")
        if written != len(text):
            raise GuestError(f"{path} in the guest does not take {text!r} ({written})")

    def read(self, path: str, offset: int = 0, nr_bytes: int | None = None) -> bytes:
        """Return a file from `offset` on: to its end, or `nr_bytes` of it."""
        parts = []
        while nr_bytes is None or nr_bytes > 0:
            wanted = BUFFER_BYTES if nr_bytes is None else min(BUFFER_BYTES, nr_bytes)
            got = self._channel.load(0, path, self._buffer, wanted, offset)
            if got < 0:
                raise GuestError(f"{path} in the guest cannot be read ({got})")
            parts.append(self._loaded(got))
            if got < wanted:
                break
            offset, nr_bytes = offset + got, None if nr_bytes is None else nr_bytes - got
        return b"".join(parts)

    def _loaded(self, nr_bytes: int) -> bytes:
        """Return the beginning of the buffer."""
        if self._memory is not None:
            table = self._memory.page_table_of(self._memory.mm_of(_SERVER_PID))
            return self._memory.read_user(table, self._buffer, nr_bytes)
        places = range(0, nr_bytes, _PEEK_BYTES)
        return b"".join(self._channel.peek(0, self._buffer + at, min(_PEEK_BYTES, nr_bytes - at)) for at in places)

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
