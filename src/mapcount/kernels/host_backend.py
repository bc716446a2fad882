"""The kernel that runs here as a machine for scenarios: processes through the agent, everything seen through /proc."""

from __future__ import annotations

import functools
import os
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from mapcount.capture import privileges
from mapcount.capture.probe import probe_counts
from mapcount.errors import GuestError, KernelFeatureError, NotAllowedError
from mapcount.kernels.agent import NativeAgent
from mapcount.kernels.driver import Driver
from mapcount.kernels.folio_names import FolioNames
from mapcount.kernels.host_cgroup import HostCgroup
from mapcount.kernels.host_nodes import check_nodes, run_on_first
from mapcount.kernels.host_observe import observe
from mapcount.kernels.host_settings import HostSettings, apply_settings
from mapcount.scenarios.steps import Advice, Madvise

if TYPE_CHECKING:
    from mapcount.scenarios.observation import Observation
    from mapcount.scenarios.scenario import Settings
    from mapcount.scenarios.steps import Step

_NEEDED = ("pagemap", "pfns", "kpageflags", "kpagecount")
_MMAP, _MADVISE = 9, 28
_PRIVATE_ANONYMOUS, _HUGEPAGE = 0x22, 14
_BAIT_BYTES = 4 << 20


class HostBackend:
    """
    Scenarios on the running kernel. Needs root. Between `begin` and `end` settings of the whole host are changed.

    They are put back by `end`; if this process dies before it, however it dies, by a watchdog.
    """

    def __init__(self) -> None:
        self._names = FolioNames()
        self._held = ExitStack()
        self._driver: Driver | None = None
        self._cgroup: HostCgroup | None = None
        self._reclaim_does_more = False
        """It would swap out, or free what MADV_FREE was told of."""

    @property
    def name(self) -> str:
        """`host, 6.12.107`."""
        return f"host, {self.release}"

    @property
    def release(self) -> str:
        """The kernel release, as `uname -r` has it."""
        return os.uname().release

    @functools.cached_property
    def page_mapcount(self) -> bool:
        """Whether kpagecount is exact; if that cannot be found out (it takes root), the default is assumed: it is."""
        return probe_counts()[0] != "average"

    def begin(self, settings: Settings) -> None:
        """
        Start anew with one process that maps nothing of ours, under these settings.

        Raises NotAllowedError without root, KernelFeatureError for what this kernel or machine lacks, MissingToolError without
        a compiler, UsageError if another run does not end.
        """
        _check()
        check_nodes(settings.nodes)
        if settings.gigantic_pages:
            raise KernelFeatureError(
                "Hugetlb pages of 1 GiB are set aside when a machine boots, and this host is not asked to: run it on a guest"
            )
        self.end()
        self._names, self._reclaim_does_more = FolioNames(), settings.swap
        with ExitStack() as stack:
            held = stack.enter_context(HostSettings())
            self._cgroup = HostCgroup(held)
            if settings.swap:
                _check_swap()
            else:
                self._cgroup.forbid_swap()
            apply_settings(held, settings)
            agent = stack.enter_context(NativeAgent())
            _first_to_die(agent.pid)
            self._cgroup.take(agent.pid)
            if settings.nodes > 1:
                run_on_first(agent.pid)
            _bait(agent)
            self._driver = Driver(agent.channel, self._reclaim)
            self._driver.begin()
            self._held = stack.pop_all()

    def do(self, step: Step) -> int:
        """Carry out a step; return its result (steps.py). Raises GuestError if a process of the scenario died of it."""
        assert self._driver is not None
        self._reclaim_does_more |= isinstance(step, Madvise) and step.advice is Advice.FREE
        result = self._driver.do(step)
        if result >= 0:
            self._names.moved(step)
        return result

    def observe(self, result: int, *, proc: bool = False) -> Observation:
        """Return what is to be seen now; `proc` adds smaps and bit 56."""
        assert self._driver is not None
        assert self._cgroup is not None
        return observe(self._driver.pids, self._names, result, proc=proc, cgroup_inode=self._cgroup.inode)

    def end(self) -> None:
        """End all processes and put all settings back. Raises KernelFeatureError for one that could not be put back."""
        self._driver = self._cgroup = None
        self._held.close()

    def _reclaim(self) -> int:
        assert self._cgroup is not None
        if self._reclaim_does_more:
            raise KernelFeatureError(
                "With a swap, or after MADV_FREE, reclaim on the host would do more than run the deferred split shrinker: it "
                "would swap out or free pages; run this scenario on a guest"
            )
        return self._cgroup.reclaim()


def _check() -> None:
    if os.uname().machine != "x86_64":
        raise KernelFeatureError(
            f"Scenarios run on x86-64 hosts alone, and this is {os.uname().machine}: pages of 4 KiB and the numbers of "
            "system calls are taken from there; a guest runs anywhere"
        )
    lacks = privileges.look().lacks()
    for need in _NEEDED:
        if need in lacks:
            raise NotAllowedError(f"The host cannot be looked at: {lacks[need]}")


def _check_swap() -> None:
    with open("/proc/swaps", encoding="utf-8") as file:
        if len(file.readlines()) < 2:
            raise KernelFeatureError("The scenario needs a swap device, and this host has none; run it on a guest")


def _first_to_die(pid: int) -> None:
    with suppress(OSError), open(f"/proc/{pid}/oom_score_adj", "w", encoding="ascii") as file:
        file.write("1000")


def _bait(agent: NativeAgent) -> None:
    """
    Put the agent on khugepaged's list, which is empty mostly: khugepaged is woken, asleep or not, by the first to come.

    Nothing is mapped in what it is shown. Source: __khugepaged_enter(), mm/khugepaged.c.
    """
    address = agent.channel.call(0, _MMAP, 0, _BAIT_BYTES, 3, _PRIVATE_ANONYMOUS, -1, 0)
    if address < 0:
        raise GuestError(f"The agent could not map {_BAIT_BYTES} bytes ({address})")
    agent.channel.call(0, _MADVISE, address, _BAIT_BYTES, _HUGEPAGE)
