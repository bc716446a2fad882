"""KSM in a guest: ksmd runs when a scenario says so, until it has merged all there is, and stands still otherwise."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mapcount.errors import GuestError

if TYPE_CHECKING:
    from mapcount.kernels.guest_files import GuestFiles

_KSM = "/sys/kernel/mm/ksm"
_SCANS = 5
"""A page is merged in the second scan that finds it unchanged; what was split or shared by fork takes one or two more."""
_PATIENCE_S = 60.0
_SETTINGS = {
    "sleep_millisecs": "0",
    "pages_to_scan": "100000",
    "use_zero_pages": "0",
    "smart_scan": "0",
    "max_page_sharing": "1000000",
}
"""No rests, no zero page, no page left out for a while (6.7 and later), and one KSM page for all that is the same."""


class GuestKsm:
    """ksmd of one guest. Documentation/admin-guide/mm/ksm.rst."""

    def __init__(self, files: GuestFiles) -> None:
        self._files = files
        self._is_set = False

    def scan(self) -> None:
        """Let ksmd scan all mergeable memory until nothing more can come of it. Raises GuestError if it takes too long."""
        if not self._is_set:
            self._set()
        until, deadline = self._full_scans() + _SCANS, time.monotonic() + _PATIENCE_S
        self._files.write(f"{_KSM}/run", "1")
        try:
            while self._full_scans() < until:
                if time.monotonic() > deadline:
                    raise GuestError(f"ksmd in the guest did not come round {_SCANS} times in {_PATIENCE_S:.0f} s")
                time.sleep(0.01)
        finally:
            self._files.write(f"{_KSM}/run", "0")

    def _set(self) -> None:
        for name, value in _SETTINGS.items():
            if self._files.exists(f"{_KSM}/{name}"):
                self._files.write(f"{_KSM}/{name}", value)
        self._is_set = True

    def _full_scans(self) -> int:
        return int(self._files.read(f"{_KSM}/full_scans"))
