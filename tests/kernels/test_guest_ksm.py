"""ksmd of a guest runs until it has come round often enough, and is stopped whatever happens."""

from __future__ import annotations

import pytest

from mapcount.errors import GuestError
from mapcount.kernels import guest_ksm
from mapcount.kernels.guest_ksm import GuestKsm

KSM = "/sys/kernel/mm/ksm"


class Files:
    """Files of a guest whose ksmd comes round once between two looks, if it runs and is not stuck."""

    def __init__(self, *, stuck=False, without=()):
        self.stuck, self.without, self.scans = stuck, without, 23
        self.written = {}

    def exists(self, path):
        return path.removeprefix(f"{KSM}/") not in self.without

    def write(self, path, text):
        assert self.exists(path)
        self.written[path.removeprefix(f"{KSM}/")] = text

    def read(self, path):
        assert path == f"{KSM}/full_scans"
        if self.written.get("run") == "1" and not self.stuck:
            self.scans += 1
        return f"{self.scans}\n".encode()


def test_it_scans_until_nothing_more_can_come_of_it():
    files = Files(without=("smart_scan",))
    GuestKsm(files).scan()
    assert files.scans >= 23 + 3, "unchanged twice, then merged"
    assert files.written["run"] == "0"
    assert files.written["use_zero_pages"] == "0"
    assert "smart_scan" not in files.written


def test_one_that_does_not_come_round_is_an_error_and_stopped(monkeypatch):
    monkeypatch.setattr(guest_ksm, "_PATIENCE_S", 0.05)
    files = Files(stuck=True)
    with pytest.raises(GuestError, match="did not come round"):
        GuestKsm(files).scan()
    assert files.written["run"] == "0"
