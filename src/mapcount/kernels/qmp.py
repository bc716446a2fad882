"""QEMU's control channel: one JSON object a line. Source: docs/interop/qmp-spec of QEMU."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

from mapcount.errors import GuestError

if TYPE_CHECKING:
    from collections.abc import Callable

TIME_LIMIT_S = 30.0


class Qmp:
    """A conversation over a socket, which stays the caller's."""

    def __init__(self, line: socket.socket, *, context: Callable[[], str] = lambda: "") -> None:
        """
        Greet. Raises GuestError if nobody answers in time.

        `context` is asked, when something went wrong, for what else there is to tell: the end of a guest's console.
        """
        line.settimeout(TIME_LIMIT_S)
        self._line = line
        self._context = context
        self._received = b""
        self._read("its greeting")
        self.ask("qmp_capabilities")

    def ask(self, command: str, **arguments: Any) -> Any:
        """Return what a command returns; events in between are passed over. Raises GuestError if it fails."""
        return self._ask(command, arguments, [])

    def give(self, name: str, descriptor: int) -> None:
        """Let QEMU have a descriptor, under a name: `fd:NAME` in what is asked later. Raises GuestError."""
        self._ask("getfd", {"fdname": name}, [descriptor])

    def _ask(self, command: str, arguments: dict[str, Any], descriptors: list[int]) -> Any:
        request = {"execute": command} | ({"arguments": arguments} if arguments else {})
        data = json.dumps(request).encode() + b"\n"
        try:
            if descriptors:  # a short line: it is taken whole
                socket.send_fds(self._line, [data], descriptors)
            else:
                self._line.sendall(data)
        except OSError as error:
            raise self._error(f"QEMU does not take {command} ({error})") from error
        while True:
            answer = self._read(command)
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise self._error(f"QEMU refused {command}: {answer['error'].get('desc', answer['error'])}")

    def _read(self, command: str) -> dict[str, Any]:
        while b"\n" not in self._received:
            try:
                data = self._line.recv(1 << 16)
            except OSError as error:
                raise self._error(f"QEMU did not answer {command} within {TIME_LIMIT_S:g} s ({error})") from error
            if not data:
                raise self._error(f"QEMU has ended before it answered {command}")
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError as error:
            raise self._error(f"QEMU answered {command} with {line[:100]!r}") from error
        return answer

    def _error(self, message: str) -> GuestError:
        return GuestError(".\n".join(part for part in (message, self._context()) if part))
