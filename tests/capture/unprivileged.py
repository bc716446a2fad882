"""Run a function as a user without privilege, in a child process: what it returns comes back."""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import traceback
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")
NOBODY = 65534
_PR_SET_DUMPABLE = 4
_PR_SET_PDEATHSIG = 1


def as_nobody(function: Callable[[], Result]) -> Result:
    """
    Return `function()`, called in a child without capabilities; in this process if that has none anyway.

    What the function imports must have been imported before: the interpreter may lie where nobody else can read.
    """
    if os.geteuid():
        return function()
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        _finish(writer, function)
    os.close(writer)
    with open(reader, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    worked, result = pickle.loads(answer)
    assert worked, result
    return result


def _finish(writer: int, function: Callable[[], object]) -> None:
    try:
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)  # setuid cleared it, and with it the right to read our own pagemap
        answer = pickle.dumps((True, function()))
    except BaseException:  # noqa: BLE001 - the child must never return into the test run
        answer = pickle.dumps((False, traceback.format_exc()))
    with open(writer, "wb") as pipe:
        pipe.write(answer)
    os._exit(0)
