"""Settings of the running kernel: which ones a scenario asks for, and a hold on them that puts back whatever it changed.

Sources: Documentation/admin-guide/mm/transhuge.rst, hugetlbpage.rst and ksm.rst.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from mapcount.errors import KernelFeatureError, NotAllowedError, UsageError
from mapcount.kernels import host_watchdog
from mapcount.kernels.host_watchdog import REMOVE, WRITE, note, put_back, read_setting, write_setting

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from mapcount.scenarios.scenario import Settings

LOCK_FILE = Path("/run/mapcount-host.lock")
"""Only root writes there: what a journal says is written to the kernel's settings."""
WAIT_S = 120.0
PMD_ORDER = 9
_ASLEEP_MS = str((1 << 32) - 1)
_START_S = 10.0
_SIZE = re.compile(r"/hugepages-(\d+)kB$")


class HostSettings:
    """
    A hold on this kernel's settings: one run at a time. A context manager that puts everything back on leaving.

    If the process dies instead, a watchdog puts it back (host_watchdog.py).
    """

    def __init__(self, lock_file: Path = LOCK_FILE, *, wait_s: float = WAIT_S) -> None:
        """
        Wait for the lock, put back what a dead run left, and start the watchdog.

        Raises NotAllowedError without the right to make the lock file, UsageError if another run holds it for too long.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            self._journal = os.open(lock_file, flags, 0o600)
        except OSError as error:
            raise NotAllowedError(
                f"{lock_file} cannot be opened ({error.strerror}): a run on the host changes settings, as root alone may; "
                "run it as root"
            ) from error
        self._watchdog: subprocess.Popen[bytes] | None = None
        try:
            if os.fstat(self._journal).st_uid != os.geteuid():
                raise NotAllowedError(f"{lock_file} belongs to another user: what it says may be made up; remove it")
            self._await_lock(lock_file, wait_s)
            put_back(self._journal)
            self._watchdog = _start_watchdog(self._journal)
        except BaseException:
            os.close(self._journal)
            raise

    def set(self, path: str, value: str) -> None:
        """Write a setting; what was there is put back later. Raises KernelFeatureError if the kernel refuses it."""
        try:
            self.keep(path)
            write_setting(path, value)
        except OSError as error:
            raise KernelFeatureError(
                f"{path} cannot be set to {value!r} ({error.strerror}), which this run needs"
            ) from error

    def keep(self, path: str) -> None:
        """Put this setting back later, whoever changes it. Raises OSError if it is not there."""
        note(self._journal, WRITE, path, read_setting(path))

    def remove_later(self, cgroup: str) -> None:
        """Remove a cgroup, which is about to be made, when everything is put back."""
        note(self._journal, REMOVE, cgroup, "")

    def close(self) -> None:
        """Put everything back and let the lock go. Raises KernelFeatureError that names what could not be put back."""
        try:
            problems = put_back(self._journal)
            # Not before, nor if Ctrl-C came in between: as long as there is something to put back there is somebody to do it.
            if self._watchdog is not None:
                self._watchdog.kill()
                self._watchdog.wait()
        finally:
            os.close(self._journal)
        if problems:
            raise KernelFeatureError("Settings of this host: " + "; ".join(problems))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _await_lock(self, lock_file: Path, wait_s: float) -> None:
        deadline = time.monotonic() + wait_s
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(self._journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            if time.monotonic() > deadline:
                raise UsageError(
                    f"Another mapcount has run scenarios on this host for {wait_s:g} s ({lock_file} is locked): "
                    "wait until it has ended"
                )
            time.sleep(0.05)


def _start_watchdog(journal: int) -> subprocess.Popen[bytes]:
    refusal = "The watchdog that would put settings back did not start: nothing was changed"
    try:
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", host_watchdog.__file__, str(os.getpid())],
            stdin=journal,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        raise NotAllowedError(f"{refusal} ({error.strerror})") from error
    assert child.stdout is not None
    with child.stdout as ready:
        os.set_blocking(ready.fileno(), False)
        deadline = time.monotonic() + _START_S
        while ready.read(1) != b"!":
            if child.poll() is not None or time.monotonic() > deadline:
                child.kill()
                child.wait()
                raise NotAllowedError(refusal)
            time.sleep(0.001)
    return child


def apply_settings(held: HostSettings, settings: Settings, *, sys: str = "/sys", proc: str = "/proc") -> None:
    """
    Switch on what a scenario asks for and everything else off.

    The hugetlb pool only grows: what others hold of it they keep. Raises KernelFeatureError for what this kernel lacks.
    """
    # What is written to `enabled` may raise it, and nothing lowers it again (set_recommended_min_free_kbytes()).
    with contextlib.suppress(FileNotFoundError):
        held.keep(f"{proc}/sys/vm/min_free_kbytes")
    for path, value in thp_values(settings, sys=sys) + quiet_values(sys=sys, proc=proc):
        held.set(path, value)
    if settings.hugetlb_pages:
        _fill_pool(held, settings.hugetlb_pages, sys=sys)


def thp_values(settings: Settings, *, sys: str = "/sys") -> list[tuple[str, str]]:
    """
    Return the THP settings (paths and values, in the order in which they are to be written) that a scenario asks for.

    Raises KernelFeatureError if this kernel has not a size or a kind of memory that is asked for.
    """
    top = f"{sys}/kernel/mm/transparent_hugepage"
    if not os.path.exists(f"{top}/enabled"):
        raise KernelFeatureError(f"{top}/enabled is missing: this kernel was built without transparent huge pages")
    khugepaged = f"{top}/khugepaged"
    values = [
        # First of all: it runs as soon as anything is switched on.
        (f"{khugepaged}/pages_to_scan", "1"),
        (f"{khugepaged}/defrag", "0"),
        (f"{khugepaged}/scan_sleep_millisecs", _ASLEEP_MS),
        (f"{khugepaged}/alloc_sleep_millisecs", _ASLEEP_MS),
        (f"{khugepaged}/max_ptes_none", str(settings.max_ptes_none)),
        # Memory may be fragmented: a fault takes its time and gets the folio that the scenario is about.
        (f"{top}/defrag", "always"),
        (f"{top}/use_zero_page", str(int(settings.huge_zero_page))),
    ]
    small_shmem = {order: word for order, word in settings.shmem.items() if order != PMD_ORDER}
    values += _by_size(top, "enabled", settings.anon, since="6.8")
    values += _by_size(top, "shmem_enabled", small_shmem, since="6.11")
    values.append((f"{top}/enabled", settings.thp))
    word = settings.shmem.get(PMD_ORDER, "never")
    if os.path.exists(f"{top}/shmem_enabled"):
        values.append((f"{top}/shmem_enabled", word))
    elif word != "never":
        raise KernelFeatureError(f"{top}/shmem_enabled is missing: this kernel has no huge pages in shmem")
    return values


def _by_size(top: str, name: str, wanted: Mapping[int, str], *, since: str) -> list[tuple[str, str]]:
    files = {}
    for directory in glob.glob(f"{top}/hugepages-*kB"):
        found = _SIZE.search(directory)
        if found and os.path.exists(f"{directory}/{name}"):
            files[(int(found[1]) // 4).bit_length() - 1] = f"{directory}/{name}"
    for order in wanted:
        if order not in files:
            raise KernelFeatureError(
                f"{top}/hugepages-{4 << order}kB/{name} is missing: this kernel has no folios of order {order} there "
                f"(Linux {since} brought them)"
            )
    # Of PMD size the setting above them decides.
    return [
        (path, "inherit" if order == PMD_ORDER else wanted.get(order, "never")) for order, path in sorted(files.items())
    ]


def quiet_values(*, sys: str = "/sys", proc: str = "/proc") -> list[tuple[str, str]]:
    """Return the settings that keep the kernel from changing mappings by itself, as far as this kernel has them."""
    values = [
        (f"{sys}/kernel/mm/ksm/run", "0"),
        (f"{proc}/sys/kernel/numa_balancing", "0"),
        (f"{proc}/sys/vm/compaction_proactiveness", "0"),
    ]
    return [(path, value) for path, value in values if os.path.exists(path)]


def _fill_pool(held: HostSettings, nr_pages: int, *, sys: str) -> None:
    pool = f"{sys}/kernel/mm/hugepages/hugepages-2048kB"
    try:
        there, free, reserved = (int(read_setting(f"{pool}/{name}hugepages")) for name in ("nr_", "free_", "resv_"))
    except FileNotFoundError as error:
        raise KernelFeatureError(f"{pool} is missing: this kernel was built without hugetlb pages of 2 MiB") from error
    held.set(f"{pool}/nr_overcommit_hugepages", "0")
    held.set(f"{pool}/nr_hugepages", str(max(there, there - (free - reserved) + nr_pages)))
    got = int(read_setting(f"{pool}/free_hugepages")) - reserved
    if got < nr_pages:
        raise KernelFeatureError(
            f"The hugetlb pool ({pool}) has {got} free pages where {nr_pages} are needed: there is not enough contiguous memory"
        )
