"""Guests for scenarios: one is booted when it is needed, another if a scenario asks for other hardware, none without memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from mapcount.errors import KernelFeatureError
from mapcount.kernels import guest_backend as module
from mapcount.kernels.guest_backend import GuestBackend
from mapcount.kernels.hardware import ORDINARY, hardware_for
from mapcount.kernels.images import Image
from mapcount.scenarios.scenario import Settings

IMAGE = Image("own", "6.12", "6.12.0-own", Path("/nowhere/vmlinuz"), "0" * 64, page_mapcount=True)


class BootedError(Exception):
    """A guest would have been booted."""


@pytest.fixture
def backend(monkeypatch):
    booted = []

    def boot(self):
        booted.append(self._hardware)
        raise BootedError

    monkeypatch.setattr(module, "lack_of_memory", lambda _hardware: "")
    monkeypatch.setattr(GuestBackend, "_booted", boot)
    with GuestBackend(IMAGE) as one:
        one.booted = booted
        yield one


def begin(backend, **settings):
    with pytest.raises(BootedError):
        backend.begin(Settings(**settings))


def test_hardware_is_what_the_scenario_at_hand_asks_for(backend):
    begin(backend)
    begin(backend, nodes=2)
    begin(backend, nodes=2, swap=True)
    begin(backend, gigantic_pages=1)
    begin(backend, swap=True)
    two, gigantic = hardware_for(Settings(nodes=2)), hardware_for(Settings(gigantic_pages=1))
    assert backend.booted == [ORDINARY, two, two, gigantic, ORDINARY]


def test_without_memory_for_more_that_scenario_alone_is_refused(backend, monkeypatch):
    monkeypatch.setattr(module, "lack_of_memory", lambda hardware: f"{hardware.memory_mib} MiB are too much")
    for _ in range(2):
        with pytest.raises(KernelFeatureError, match="2304 MiB are too much"):
            backend.begin(Settings(gigantic_pages=1))
    assert backend.booted == []
    begin(backend)
    assert backend.booted == [ORDINARY], "whether that can be booted is the guest's own question"
