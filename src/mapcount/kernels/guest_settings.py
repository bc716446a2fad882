"""What is switched on in a guest while a scenario runs, and what keeps its kernel from changing mappings by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.errors import KernelFeatureError
from mapcount.machine.folios import PMD_ORDER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mapcount.kernels.agent import Channel
    from mapcount.kernels.guest_files import GuestFiles
    from mapcount.scenarios.scenario import Settings

_TOP = "/sys/kernel/mm/transparent_hugepage"
_NODES = "/sys/devices/system/node"
_GIGANTIC = "/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages"
_POOL = "/proc/sys/vm/nr_hugepages"
_ASLEEP_MS = str(2**32 - 1)
_MMAP, _MADVISE, _HUGEPAGE, _PRIVATE_ANONYMOUS = 9, 28, 14, 0x22
_BAIT_BYTES = 4 << 20


class KnownFiles:
    """
    Settings of a guest that nobody else changes: what is there is asked once, and what was written last is not written again.

    Raises what GuestFiles raises.
    """

    def __init__(self, files: GuestFiles) -> None:
        self._files = files
        self._exists: dict[str, bool] = {}
        self._written: dict[str, str] = {}

    def exists(self, path: str) -> bool:
        """Tell whether there is such a file."""
        if path not in self._exists:
            self._exists[path] = self._files.exists(path)
        return self._exists[path]

    def write(self, path: str, text: str) -> None:
        """Let a setting be so."""
        if self._written.get(path) != text:
            self._written.pop(path, None)
            self._files.write(path, text)
            self._written[path] = text

    def read(self, path: str) -> bytes:
        """Return what the kernel says of a setting now."""
        return self._files.read(path)


def quiet(files: GuestFiles, channel: Channel) -> None:
    """
    Put khugepaged to sleep for good. Once for a guest.

    It is woken, asleep or not, by the first mm that comes on its list: /init's own is put there now, and stays.
    __khugepaged_enter(), mm/khugepaged.c.
    """
    files.write(f"{_TOP}/enabled", "madvise")
    for name, value in (
        ("pages_to_scan", "1"),
        ("defrag", "0"),
        ("scan_sleep_millisecs", _ASLEEP_MS),
        ("alloc_sleep_millisecs", _ASLEEP_MS),
    ):
        files.write(f"{_TOP}/khugepaged/{name}", value)
    for path in ("/sys/kernel/mm/ksm/run", "/proc/sys/kernel/numa_balancing", "/proc/sys/vm/compaction_proactiveness"):
        if files.exists(path):
            files.write(path, "0")
    bait = channel.call(0, _MMAP, 0, _BAIT_BYTES, 3, _PRIVATE_ANONYMOUS, -1, 0)
    channel.call(0, _MADVISE, bait, _BAIT_BYTES, _HUGEPAGE)


def apply_settings(files: GuestFiles | KnownFiles, settings: Settings) -> None:
    """Switch on what a scenario asks for, and off what it does not. Raises KernelFeatureError for what is not there."""
    if settings.thp != "never" or files.exists(f"{_TOP}/enabled"):
        files.write(f"{_TOP}/enabled", settings.thp)
    files.write(f"{_TOP}/use_zero_page", str(int(settings.huge_zero_page)))
    files.write(f"{_TOP}/khugepaged/max_ptes_none", str(settings.max_ptes_none))
    _by_size(files, "enabled", settings.anon, "6.8")
    _by_size(files, "shmem_enabled", {o: word for o, word in settings.shmem.items() if o != PMD_ORDER}, "6.11")
    files.write(f"{_TOP}/shmem_enabled", settings.shmem.get(PMD_ORDER, "never"))
    if settings.hugetlb_pages or files.exists(_POOL):
        files.write(_POOL, str(settings.hugetlb_pages))
        if settings.hugetlb_pages and (got := int(files.read(_POOL))) < settings.hugetlb_pages:
            raise KernelFeatureError(f"The guest's hugetlb pool has {got} pages, {settings.hugetlb_pages} are needed")
    if settings.gigantic_pages:
        got = int(files.read(_GIGANTIC)) if files.exists(_GIGANTIC) else 0
        if got < settings.gigantic_pages:
            raise KernelFeatureError(
                f"The guest has {got} hugetlb pages of 1 GiB, {settings.gigantic_pages} are needed"
            )


def check_nodes(files: GuestFiles | KnownFiles, settings: Settings) -> None:
    """Raise KernelFeatureError if the guest's kernel does not know of the NUMA nodes that a scenario asks for."""
    if settings.nodes > 1 and not files.exists(f"{_NODES}/node{settings.nodes - 1}/meminfo"):
        raise KernelFeatureError(
            f"{_NODES}/node{settings.nodes - 1} is missing: the guest's kernel was built without NUMA (CONFIG_NUMA, "
            "CONFIG_ACPI_NUMA), so pages cannot be moved between nodes"
        )


def _by_size(files: GuestFiles | KnownFiles, name: str, wanted: Mapping[int, str], since: str) -> None:
    for order in range(1, PMD_ORDER + 1):
        path = f"{_TOP}/hugepages-{4 << order}kB/{name}"
        # Of PMD size the setting above them decides.
        word = "inherit" if order == PMD_ORDER else wanted.get(order, "never")
        if files.exists(path):
            files.write(path, word)
        elif order in wanted:
            raise KernelFeatureError(
                f"{path} is missing in the guest: no folios of order {order} there (Linux {since} brought them)"
            )
