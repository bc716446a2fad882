"""One capture from beginning to end: what may be seen, who is there, what they map, and what the kernel says of itself."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np

import mapcount
from mapcount.capture.assemble import assemble
from mapcount.capture.budget import Budget
from mapcount.capture.cgroups import cgroup_pids, memory_mount, read_cgroup_names, task_cgroup
from mapcount.capture.gather import Gathered, Progress, ProgressCallback, gather
from mapcount.capture.gathered import Evidence
from mapcount.capture.kpage import open_kpage_files
from mapcount.capture.nodes import read_nodes
from mapcount.capture.physical import PhysicalPages
from mapcount.capture.privileges import Privileges, look
from mapcount.capture.probe import probe_counts
from mapcount.capture.processes import AddressSpace, Process, address_spaces, list_processes, named_processes
from mapcount.capture.settings import read_kernel_facts, read_settings
from mapcount.capture.stats import observed_stats, read_rollup, read_stats
from mapcount.capture.walk import WalkPlan
from mapcount.errors import KernelFeatureError, UsageError
from mapcount.mapping.schema import Consistency
from mapcount.mapping.snapshot import Metadata, Snapshot, empty_tables
from mapcount.record import record

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mapcount.capture.stats import Stat

__all__ = ["Progress", "capture"]

ALLOCATOR_KEEPS_BYTES = 4 << 20
MAX_STAT_CGROUPS = 256
"""Cgroups whose memory.stat is read: those that have processes, so many at most."""


@record(frozen=True)
class _Request:
    pids: tuple[int, ...]
    cgroup: str | None
    keep_pfns: bool
    keep_small: bool
    use_scan: bool
    freeze: bool
    check_all: bool
    progress: ProgressCallback | None
    budget: Budget

    @property
    def everybody(self) -> bool:
        return not self.pids and self.cgroup is None


def capture(
    *,
    pids: Sequence[int] = (),
    cgroup: str | None = None,
    keep_pfns: bool = False,
    keep_small: bool = False,
    redact: bool = False,
    max_seconds: float | None = None,
    max_cpu_s: float | None = None,
    freeze: bool = False,
    check_all: bool = False,
    use_scan: bool = True,
    progress: ProgressCallback | None = None,
) -> Snapshot:
    """
    Take a snapshot of this machine: of all processes, of `pids`, or of a cgroup and its children.

    Reads only. Folios need CAP_SYS_ADMIN in the initial user namespace (PFNs), root for /proc/kpage* and PTRACE_MODE_READ
    on each process; without these the snapshot is of the tier without PFNs (`meta.tier`), of what this user may see.
    `max_seconds` (wall clock) and `max_cpu_s` (user and system) end it early, and so does Ctrl-C: `meta.partial` then says
    why and what was gathered is kept. `check_all` reads smaps_rollup of processes above 1 GiB too (it holds their mmap_lock,
    about 10 ms a GiB). `keep_small` makes a row of each order-0 folio too, and of who maps it. `freeze` stops the named
    processes meanwhile (see freeze.py for what they notice). `use_scan=False` does without PAGEMAP_SCAN as before Linux 6.7.
    `progress` is called after each address space.

    Raises UsageError, NoSuchProcessError and FreezeError for arguments that cannot be met; nothing for processes that
    exit or may not be read (`meta.exited`, `meta.unreadable`).
    """
    if not sys.platform.startswith("linux"):
        raise KernelFeatureError(
            f"a capture reads Linux's /proc; this is {sys.platform}. Reports of saved snapshots work here"
        )
    if pids and cgroup is not None:
        raise UsageError("give processes or a cgroup, not both")
    for name, limit in (("max_seconds", max_seconds), ("max_cpu_s", max_cpu_s)):
        if limit is not None and limit <= 0:
            raise UsageError(f"{name} must be above 0 seconds, not {limit:g}")
    if freeze and not pids and cgroup is None:
        raise UsageError("--freeze needs processes (--pid) or a cgroup (--cgroup): it never stops the whole machine")
    budget = Budget.start(max_seconds, max_cpu_s)
    request = _Request(tuple(pids), cgroup, keep_pfns, keep_small, use_scan, freeze, check_all, progress, budget)
    processes, kernel_threads = _processes(request)
    started_at = time.time()
    with contextlib.ExitStack() as stack:
        snapshot = _capture(request, processes, look(), stack, started_at, kernel_threads)
    if redact:
        from mapcount.mapping.redact import redact as hide

        snapshot = hide(snapshot)
    return snapshot


def _processes(request: _Request) -> tuple[list[Process], int]:
    if request.pids:
        return named_processes(request.pids), 0
    if request.cgroup is not None:
        wanted = set(cgroup_pids(request.cgroup))
        return [process for process in list_processes()[0] if process.pid in wanted], 0
    return list_processes()


def _capture(
    request: _Request,
    processes: list[Process],
    privileges: Privileges,
    stack: contextlib.ExitStack,
    started_at: float,
    kernel_threads: int,
) -> Snapshot:
    spaces, sure = address_spaces(processes)
    # Our own address space changes while we read others: it comes last.
    spaces.sort(key=lambda space: any(process.pid == os.getpid() for process in space.processes))
    meta: dict[str, Any] = {
        "mapcount_version": mapcount.__version__,
        "scope": "all" if request.everybody else "cgroup" if request.cgroup is not None else "pids",
        "scope_detail": request.cgroup or " ".join(str(pid) for pid in request.pids),
        "settings": read_settings(),
        "capabilities": privileges.capabilities(),
        "started_at": started_at,
        "capture_pid": os.getpid(),
        "cpus": os.cpu_count() or 0,
        "command_line": " ".join(sys.argv),
        "frozen": request.freeze,
        "processes_seen": len(processes),
        "kernel_threads": kernel_threads,
        "notes": [],
    }
    facts = read_kernel_facts()
    meta |= {name: getattr(facts, name) for name in facts.__dataclass_fields__}
    cgroups = {task_cgroup(space.leader.pid) for space in spaces} - {""}
    before = read_stats(cgroups=sorted(cgroups)[:MAX_STAT_CGROUPS])
    if not sure and privileges.sees_folios:
        meta["notes"].append("Processes that share an address space could not all be told apart (kcmp failed).")
    if privileges.sees_folios:
        parts, names = _with_pfns(request, spaces, privileges, stack, before, meta)
    else:
        parts, names = _without_pfns(request, spaces, privileges, before, meta), ("",)
    meta["elapsed_s"] = time.monotonic() - request.budget.started_s
    meta["cpu_s"] = time.process_time() - request.budget.started_cpu_s
    meta["peak_rss_bytes"] = peak_rss_bytes()
    return Snapshot(meta=Metadata(**meta), cgroups=names, **{**empty_tables(), **parts})


def _with_pfns(
    request: _Request,
    spaces: list[AddressSpace],
    privileges: Privileges,
    stack: contextlib.ExitStack,
    before: dict[Stat, int],
    meta: dict[str, Any],
) -> tuple[dict[str, Any], tuple[str, ...]]:
    # Freeing this lets glibc keep what later arrays free, instead of handing it back and faulting it in again, each time
    # (the dynamic M_MMAP_THRESHOLD, mallopt(3)); it is not touched and takes no memory.
    np.empty(ALLOCATOR_KEEPS_BYTES, np.uint8)
    meta["counts_are"], meta["counts_probe"] = probe_counts()
    files = open_kpage_files()
    stack.callback(files.close)
    physical = PhysicalPages(files)
    exact = meta["counts_are"] == "exact"
    plan = WalkPlan(
        physical=physical,
        use_scan=request.use_scan and privileges.pagemap_scan,
        whole_folios=not request.everybody,
        counts_exact=exact,
        check_all=request.check_all,
        swap_types=_swap_types(),
        check_budget=request.budget.check,
    )
    with _held_still(request, spaces, meta):
        gathered, mappings, differs = gather(spaces, plan, everybody=request.everybody, progress=request.progress)
    after = read_stats(cgroups=_stat_cgroups(before))
    names = read_cgroup_names(memory_mount())
    evidence = Evidence(physical, mappings, differs, exact, names.name, read_nodes())
    parts, cgroups = assemble(gathered.mms, evidence, keep_pfns=request.keep_pfns, keep_small=request.keep_small)
    stats = observed_stats(before | gathered.before, after | gathered.after)
    _tell(gathered, plan, meta)
    meta["races"]["pages_over"] = len(differs.over)
    meta["races"]["pages_under"] = differs.nr_under
    verdicts = parts["folios"].consistency  # type: ignore[attr-defined]
    verdicts = verdicts[parts["folios"].order > 0]  # type: ignore[attr-defined]
    meta["verdicts"] = {word.name.lower(): int((verdicts == word).sum()) for word in Consistency}
    return {**parts, "observed_stats": stats}, tuple(cgroups)


@contextlib.contextmanager
def _held_still(request: _Request, spaces: list[AddressSpace], meta: dict[str, Any]) -> Iterator[None]:
    """Stop the processes, if that was asked for, while their mappings are read and no longer."""
    if not request.freeze:
        yield
        return
    from mapcount.capture.freeze import frozen

    times = {process.pid: process.start_time for space in spaces for process in space.processes}
    with frozen(times, start_times=times) as stopped:
        yield
    meta["notes"] += stopped.notes()
    if stopped.expired:
        meta["partial"] = "the time limit of the freeze passed"


def _tell(gathered: Gathered, plan: WalkPlan, meta: dict[str, Any]) -> None:
    vanished = sum(mm.pages.vanished for mm in gathered.mms)
    meta["races"] = gathered.races | ({"pages_vanished": vanished} if vanished else {})
    meta["partial"] = gathered.partial or meta.get("partial", "")
    meta["exited"] = gathered.exited
    meta["unreadable"] = gathered.unreadable
    meta["reads"] = plan.physical.reads + sum(mm.pages.reads for mm in gathered.mms)
    meta["bytes_read"] = plan.physical.bytes_read + sum(mm.pages.bytes_read for mm in gathered.mms)
    if gathered.unchecked:
        meta["notes"].append(
            f"Rss and Pss of processes above 1 GiB ({gathered.unchecked}) were not checked: smaps_rollup would hold their "
            "mmap_lock for long; --check-all does it all the same."
        )
    if not plan.use_scan:
        meta["notes"].append("PAGEMAP_SCAN was not used: PMD mappings were inferred from smaps, where that can tell.")


def _without_pfns(
    request: _Request, spaces: list[AddressSpace], privileges: Privileges, before: dict[Stat, int], meta: dict[str, Any]
) -> dict[str, Any]:
    from mapcount.capture.tier import capture_without_pfns

    with _held_still(request, spaces, meta):
        result = capture_without_pfns(spaces, check_budget=request.budget.check, use_scan=request.use_scan)
    rollups: dict[Stat, int] = {}
    for mm_id, pid in enumerate(result.mms.pid.tolist()):
        rollups |= read_rollup(pid, f"mm {mm_id}")
    stats = observed_stats(before | rollups, read_stats(cgroups=_stat_cgroups(before)) | rollups)
    meta["partial"] = result.partial or meta.get("partial", "")
    meta |= {"tier": "no-pfn", "exited": result.exited, "unreadable": result.unreadable}
    meta |= {"reads": result.reads, "bytes_read": result.bytes_read}
    meta["notes"] += result.notes + list(privileges.lacks().values())
    return {"mms": result.mms, "vmas": result.vmas, "observed_vmas": result.observed_vmas, "observed_stats": stats}


def peak_rss_bytes() -> int:
    """Return VmHWM: getrusage's ru_maxrss would include the program that this one was started from (getrusage(2))."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return 0


def _stat_cgroups(before: dict[Stat, int]) -> list[str]:
    return sorted({stat.subject for stat in before if stat.source == "memcg"})


def _swap_types() -> int:
    try:
        with open("/proc/swaps", encoding="utf-8") as file:
            return max(0, len(file.readlines()) - 1)
    except OSError:
        return 0
