"""Without root the host is no machine for scenarios: the error says what is missing and what to do, before anything changes."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from capture.unprivileged import as_nobody
from mapcount.errors import KernelFeatureError, NotAllowedError
from mapcount.kernels import host_backend
from mapcount.kernels.host_backend import HostBackend
from mapcount.kernels.host_settings import HostSettings
from mapcount.scenarios.scenario import Settings


def _message_of_begin():
    try:
        HostBackend().begin(Settings())
    except NotAllowedError as error:
        return str(error)
    return ""


def test_begin_names_the_privilege_and_the_cure():
    message = as_nobody(_message_of_begin)
    assert "PFNs" in message
    assert "root" in message


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a directory in which nobody else may write")
def test_the_lock_is_roots():
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)

        def message():
            try:
                HostSettings(Path(directory, "lock"))
            except NotAllowedError as error:
                return str(error)
            return ""

        assert "run it as root" in as_nobody(message)


def test_other_machines_are_refused(monkeypatch):
    class Uname:
        machine = "aarch64"
        release = "6.12.0"

    monkeypatch.setattr(host_backend.os, "uname", Uname)
    with pytest.raises(KernelFeatureError, match="x86-64 hosts alone, and this is aarch64"):
        HostBackend().begin(Settings())
