"""QEMU's control channel, spoken to by a thread that plays QEMU."""

from __future__ import annotations

import json
import os
import socket
import threading
from contextlib import contextmanager

import pytest

from mapcount.errors import GuestError
from mapcount.kernels import qmp as module
from mapcount.kernels.qmp import Qmp

GREETING = {"QMP": {"version": {}, "capabilities": []}}


@contextmanager
def qemu(answers):
    """Yield a line to a pretended QEMU, which sends `answers`, a list for each request, and what it was asked."""
    ours, theirs = socket.socketpair()
    asked = []

    def speak():
        with theirs:
            theirs.sendall(json.dumps(GREETING).encode() + b"\r\n")
            for lines in ([{"return": {}}], *answers):
                data, descriptors, _, _ = socket.recv_fds(theirs, 1 << 16, 4)
                if not data:
                    return
                asked.append((json.loads(data), descriptors))
                for line in lines:
                    theirs.sendall(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\r\n")

    thread = threading.Thread(target=speak)
    thread.start()
    try:
        with ours:
            yield ours, asked
    finally:
        thread.join(11)
        assert not thread.is_alive()
        for _, descriptors in asked:
            for one in descriptors:
                os.close(one)


def test_events_are_passed_over_and_the_answer_comes_back():
    event = {"event": "STOP", "timestamp": {}}
    with qemu([[event, event, {"return": {"status": "running"}}], [{"return": 7}]]) as (line, asked):
        qmp = Qmp(line)
        assert qmp.ask("query-status") == {"status": "running"}
        assert qmp.ask("do", thing=13) == 7
    assert [request for request, _ in asked] == [
        {"execute": "qmp_capabilities"},
        {"execute": "query-status"},
        {"execute": "do", "arguments": {"thing": 13}},
    ]


def test_several_lines_at_once_and_one_in_pieces():
    two = b'{"event": "A"}\r\n{"return"'
    with qemu([[two, b': "b"}\r\n']]) as (line, _):
        assert Qmp(line).ask("x") == "b"


def test_a_descriptor_arrives(tmp_path):
    (tmp_path / "f").write_bytes(b"seen")
    with qemu([[{"return": {}}]]) as (line, asked):
        with (tmp_path / "f").open("rb") as file:
            Qmp(line).give("it", file.fileno())
        request, (descriptor,) = asked[-1]
        assert request == {"execute": "getfd", "arguments": {"fdname": "it"}}
        assert os.pread(descriptor, 9, 0) == b"seen"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ([{"error": {"class": "GenericError", "desc": "not like this"}}], "refused cont: not like this"),
        ([b"nonsense\n"], "answered cont with b'nonsense'"),
        ([], "has ended before it answered cont"),
    ],
)
def test_what_goes_wrong_is_said_with_the_console(answer, said):
    with qemu([answer]) as (line, _), pytest.raises(GuestError, match=said) as caught:
        Qmp(line, context=lambda: "The console: oops").ask("cont")
    assert str(caught.value).endswith("The console: oops")


def test_silence_has_an_end(monkeypatch):
    monkeypatch.setattr(module, "TIME_LIMIT_S", 0.05)
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(GuestError, match=r"did not answer its greeting within 0\.05 s"):
        Qmp(ours)


def test_a_line_that_is_closed_is_said():
    with qemu([]) as (line, _):
        qmp = Qmp(line)
        line.shutdown(socket.SHUT_RDWR)
        with pytest.raises(GuestError, match="does not take cont"):
            qmp.ask("cont")
