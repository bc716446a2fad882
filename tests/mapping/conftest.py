"""Saving hundreds of random snapshots: without waiting for the disk, whose loss of power no test here is about."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def no_waiting_for_disk():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda descriptor: None)
        yield
