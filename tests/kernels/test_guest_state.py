"""States of guests: memory is copied with its holes, and what QEMU refuses is said."""

from __future__ import annotations

import os
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapcount.errors import GuestError
from mapcount.kernels import guest_state as module
from mapcount.kernels.guest_state import GuestState, copy_sparse, resume, take_state

pieces = st.lists(st.tuples(st.integers(0, 210), st.binary(min_size=1, max_size=9000)), max_size=7)


def memfd(stack, size=0):
    descriptor = os.memfd_create("mapcount-test")
    stack.callback(os.close, descriptor)
    os.ftruncate(descriptor, size)
    return descriptor


@given(pieces, st.integers(0, 3))
def test_a_copy_has_the_same_bytes_and_no_more_pages(wanted, odd):
    size = (256 << 12) + odd
    with ExitStack() as stack:
        source, target = memfd(stack, size), memfd(stack)
        for page, data in wanted:
            os.pwrite(source, data, page << 12)
        copy_sparse(source, target)
        assert os.pread(target, size + 1, 0) == os.pread(source, size + 1, 0)
        assert os.fstat(target).st_blocks <= os.fstat(source).st_blocks


class Refusing:
    """A QEMU that cannot move its devices."""

    def __init__(self, status):
        self.status = status
        self.given = None

    def give(self, name, descriptor):
        self.given = os.dup(descriptor)

    def ask(self, command, **arguments):
        if command.startswith("query"):
            return {"status": self.status}
        if command == "migrate":
            os.close(self.given)
        return {}


def test_a_state_that_cannot_be_written_is_said():
    with ExitStack() as stack, pytest.raises(GuestError, match="could not write the state of its devices: failed"):
        take_state(Refusing("failed"), memfd(stack, 4096))


def test_a_state_that_is_not_taken_up_is_said():
    with ExitStack() as stack:
        qemu = Refusing("internal-error")
        with pytest.raises(GuestError, match="does not take up the state of its devices: internal-error"):
            resume(qemu, GuestState(memfd(stack, 4096), b"devices"))
        os.close(qemu.given)


def test_waiting_has_an_end(monkeypatch):
    monkeypatch.setattr(module, "_TIME_LIMIT_S", 0.05)
    with ExitStack() as stack, pytest.raises(GuestError, match=r"query-migrate says 'active', 0\.05 s after"):
        take_state(Refusing("active"), memfd(stack, 4096))


def test_nothing_is_left_open_of_a_state():
    descriptor = os.memfd_create("mapcount-test")
    os.ftruncate(descriptor, 5 << 20)
    with GuestState(descriptor, b"") as state:
        assert state.memory_mib == 5
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
