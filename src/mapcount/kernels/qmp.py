"""QEMU's control channel: one JSON object a line. Source: docs/interop/qmp-spec of QEMU."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mapcount.errors import GuestError

if TYPE_CHECKING:
    import socket

TIME_LIMIT_S = 30.0


class Qmp:
    """A conversation over a socket, which stays the caller's."""

    def __init__(self, line: socket.socket) -> None:
        """Greet. Raises GuestError if nobody answers in time."""
        line.settimeout(TIME_LIMIT_S)
        self._line = line
        self._received = b""
        self._read()
        self.ask("qmp_capabilities")

    def ask(self, command: str, **arguments: Any) -> Any:
        """Return what a command returns; events in between are passed over. Raises GuestError if it fails."""
        request = {"execute": command} | ({"arguments": arguments} if arguments else {})
        try:
            self._line.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise GuestError(f"QEMU does not take {command} ({error})") from error
        while True:
            answer = self._read()
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise GuestError(f"QEMU refused {command}: {answer['error'].get('desc', answer['error'])}")

    def _read(self) -> dict[str, Any]:
        while b"\n" not in self._received:
            try:
                data = self._line.recv(1 << 16)
            except OSError as error:
                raise GuestError(f"QEMU did not answer within {TIME_LIMIT_S:g} s ({error})") from error
            if not data:
                raise GuestError("QEMU has ended")
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer
