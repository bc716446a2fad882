"""The agent's program, built from agent.c when it is needed, and what speaks to it: one command, one answer, a time limit.

agent.c says what the commands are.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from mapcount.errors import GuestError
from mapcount.kernels.c_build import build

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

SOURCE = Path(__file__).with_name("agent.c")
FLAGS = ("-static", "-Os", "-Wall")
TIME_LIMIT_S = 60.0
"""For one command: a walk over millions of pages under TCG takes seconds, and a hang has to end some time."""
_EXIT_S = 5.0
_TOLD_BYTES = 2000


def build_agent() -> Path:
    """
    Return the path of the agent's program; compile it unless the cache has it.

    Raises MissingToolError if there is no gcc or it cannot link statically, or if the cache cannot be written.
    """
    return build(SOURCE, FLAGS, "agent", what="the agent of guests and of the host", packages="gcc libc6-dev")


class Channel:
    """A line to an agent, over two descriptors, which stay the caller's. Not thread-safe."""

    def __init__(self, read_fd: int, write_fd: int, *, context: Callable[[], str] = lambda: "") -> None:
        """`context` is asked, when something went wrong, for what else there is to tell: the end of a guest's console."""
        self._read_fd = read_fd
        self._write_fd = write_fd
        self._context = context
        self._received = b""

    def await_ready(self, time_limit_s: float) -> None:
        """Wait until the agent speaks. Raises GuestError if it does not within the time limit, or says anything else."""
        if (line := self._line("its start", time_limit_s)) != "READY":
            raise self._error(f"The agent did not begin with READY but with {line!r}")

    def ask(self, slot: int, command: str, *, time_limit_s: float = TIME_LIMIT_S) -> str:
        """Return the answer to a command of agent.c without its "= ". Raises GuestError if there is none, or a refusal."""
        told = f"{slot} {command}"
        self._send(told)
        line = self._line(f"`{told}`", time_limit_s)
        if not line.startswith("="):
            raise self._error(f"The agent answered `{told}` with {line!r}")
        return line[1:].strip()

    def call(self, slot: int, number: int, *arguments: int | str) -> int:
        """Return the result of a system call, -errno if it failed. A text (without blanks) is passed by its address."""
        words = [f"@{word}" if isinstance(word, str) else hex(word) for word in arguments]
        return int(self.ask(slot, " ".join(["S", str(number), *words])))

    def touch(self, slot: int, address: int, stride: int, count: int, *, write: bool) -> int:
        """Access a byte at `count` places, ascending. Returns `count`; -14 after SIGSEGV and -7 after SIGBUS."""
        return int(self.ask(slot, f"T {address:#x} {stride} {count} {'w' if write else 'r'}"))

    def migrate(self, slot: int, address: int, nr_pages: int, node: int) -> int:
        """Move pages of a process to a NUMA node; return how many lie there afterwards, or -errno."""
        return int(self.ask(slot, f"M {address:#x} {nr_pages} {node}"))

    def peek(self, slot: int, address: int, nr_bytes: int) -> bytes:
        """Return what is in the memory of a process. Raises GuestError if it cannot be read."""
        answer = self.ask(slot, f"R {address:#x} {nr_bytes}")
        if answer.startswith("-"):
            raise self._error(f"{nr_bytes} bytes at {address:#x} in slot {slot} cannot be read ({answer})")
        return bytes.fromhex(answer)

    def poke(self, slot: int, address: int, data: bytes) -> None:
        """Change the memory of a process. Raises GuestError if it cannot be written. A serial line takes 2000 bytes."""
        if (answer := self.ask(slot, f"W {address:#x} {data.hex()}")) != str(len(data)):
            raise self._error(f"{len(data)} bytes at {address:#x} in slot {slot} cannot be written ({answer})")

    def load(self, slot: int, path: str, address: int, nr_bytes: int, offset: int = 0) -> int:
        """Read a file into the memory of a process; return how many bytes there were, `nr_bytes` at most, or -errno."""
        return int(self.ask(slot, f"L {address:#x} {nr_bytes} {offset} {path}"))

    def put(self, slot: int, path: str, text: str) -> int:
        """Write a text without blanks into a file that is there; return how many bytes it took, or -errno."""
        return int(self.ask(slot, f"P {path} {text}"))

    def fork(self, slot: int, new: int) -> int:
        """Fork the process of a slot into a free one; return the child's pid, as the agent sees it, or -errno."""
        return int(self.ask(slot, f"F {new}"))

    def execute(self, program: Sequence[str], *, time_limit_s: float) -> int:
        """Run a program, by its path and arguments without blanks, to its end; return its wait status, 0 if all went well."""
        return int(self.ask(0, " ".join(["E", *program]), time_limit_s=time_limit_s))

    def exit(self, slot: int) -> None:
        """End the process of a slot; it has been reaped when this returns."""
        self.ask(slot, "X")

    def kernel_symbols(self, names: Sequence[str]) -> list[int]:
        """Return the addresses of kernel symbols (at most 64), 0 for one that does not exist or is hidden."""
        return [int(word, 16) for word in self.ask(0, " ".join(["K", *names])).split()]

    def _send(self, line: str) -> None:
        data = line.encode() + b"\n"
        while data:
            try:
                data = data[os.write(self._write_fd, data) :]
            except OSError as error:
                raise self._error(f"The agent is gone ({error.strerror}); `{line}` was not sent") from error

    def _line(self, what: str, time_limit_s: float) -> str:
        deadline = time.monotonic() + time_limit_s
        poller = select.poll()
        poller.register(self._read_fd, select.POLLIN)
        while b"\n" not in self._received:
            if not poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise self._error(f"The agent did not answer within {time_limit_s:g} s after {what}")
            try:
                data = os.read(self._read_fd, 1 << 16)
            except OSError:
                data = b""
            if not data:
                raise self._error(f"The agent ended after {what}")
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        return line.decode(errors="replace").rstrip("\r")

    def _error(self, message: str) -> GuestError:
        said = self._received[-_TOLD_BYTES:].decode(errors="replace")
        parts = [message, f"It said: {said!r}" if said else "", self._context()]
        return GuestError(".\n".join(part for part in parts if part))


class NativeAgent:
    """
    The agent on this kernel, with a channel to it; a context manager that ends it and all its processes on leaving.

    It also ends with the thread that started it, however that ended (PR_SET_PDEATHSIG).
    """

    def __init__(self) -> None:
        """Start it. Raises MissingToolError if it cannot be built, GuestError if it does not start."""
        program = build_agent()
        self._socket, theirs = socket.socketpair()
        with theirs:
            # A session of its own: Ctrl-C is for us, who then put things in order.
            self._process = subprocess.Popen(
                [str(program)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
            )
        self.pid = self._process.pid
        self.channel = Channel(self._socket.fileno(), self._socket.fileno())
        try:
            self.channel.await_ready(_EXIT_S)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End it; what its processes had is free when this returns."""
        self._socket.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_EXIT_S)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
