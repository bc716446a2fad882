"""What this kernel lets us see, thing by thing: its state, what follows for a report, and the cure."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from mapcount.capture.cgroups import memory_mount, read_cgroup_names
from mapcount.capture.privileges import Privileges, look
from mapcount.capture.probe import probe_counts
from mapcount.capture.settings import SETTINGS_DIR, KernelFacts, read_kernel_facts, read_settings, read_text
from mapcount.record import record
from mapcount.units import format_bytes, format_count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mapcount.capture.cgroups import Mount

TESTED = ("x86_64", 4096)
"""Machine and page size in bytes."""
NEEDED_FOR_FOLIOS = frozenset({"pfns", "kpageflags"})
"""Names of findings without which folios cannot be captured."""


@record(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    ok: bool
    """False: something cannot be seen, or was not tested. Things that merely are one way or the other are ok."""
    state: str
    consequence: str
    """What follows from the state; may be empty if it is ok."""
    cure: str
    """What to do about it; empty if it is ok, or nothing can be done."""


def examine(*, proc: str = "/proc", sys: str = "/sys") -> list[Finding]:
    """
    Look at everything that decides what a capture can tell, and return what was found, in a fixed order.

    Needs no privilege (what lacks is a finding), changes nothing, raises nothing. The probe of kpagecount maps and
    frees 4 MiB.
    """
    privileges = look(proc=proc, sys=sys)
    settings = read_settings(sys=sys)
    return [
        *kernel_findings(read_kernel_facts(proc=proc, sys=sys)),
        *privilege_findings(privileges),
        *file_findings(privileges, *probe_counts(proc=proc)),
        *thp_findings(settings, has_stats=_has_mthp_stats(sys)),
        cgroup_finding(memory_mount(proc=proc)),
        swap_finding(read_text(os.path.join(proc, "swaps")) or ""),
        sudo_finding(privileges, shutil.which("sudo")),
    ]


def kernel_findings(facts: KernelFacts) -> list[Finding]:
    """Return what the kernel and the architecture mean for the results."""
    tested = (facts.machine, facts.page_size) == TESTED
    pmd = format_bytes(facts.page_size << facts.pmd_order)
    return [
        Finding("kernel", True, f"Linux {facts.kernel_release}", "", ""),
        Finding(
            "architecture",
            tested,
            f"{facts.machine}, {format_bytes(facts.page_size)} pages, a PMD maps {pmd}",
            "" if tested else "only x86-64 with 4 KiB is tested: check results against the self-checks of a report",
            "",
        ),
    ]


def privilege_findings(privileges: Privileges) -> list[Finding]:
    """Return what this process may see of page frames and of other processes."""
    lacks = privileges.lacks()
    capable = privileges.cap_sys_admin and privileges.cap_sys_ptrace
    hints = ", ".join(privileges.container_hints)
    return [
        Finding(
            "privileges",
            capable,
            privileges.state(),
            "" if capable else "processes of other users, or page frames, are hidden",
            "" if capable else privileges.cure(),
        ),
        _lack_or(
            "process list",
            lacks.get("other_namespaces"),
            "all processes of this machine",
            "mappings that processes outside of this pid namespace hold are not found",
        ),
        Finding("container", True, f"perhaps: {hints}" if hints else "no sign of one", "", ""),
        Finding("lockdown", True, privileges.lockdown or "unknown", "", ""),
        _lack_or(
            "pfns",
            lacks.get("pagemap") or lacks.get("pfns"),
            "shown in /proc/PID/pagemap",
            "folios cannot be told apart; what remains is, per VMA: present, mapped by a PMD, mapped once",
        ),
    ]


def file_findings(privileges: Privileges, counts_are: str, how: str) -> list[Finding]:
    """Return which interfaces work; `counts_are` and `how` are what the probe of kpagecount said."""
    lacks = privileges.lacks()
    return [
        _lack_or(
            "kpageflags",
            lacks.get("kpageflags"),
            "readable",
            "folios cannot be captured: neither their sizes nor what they hold is known",
        ),
        _counts(lacks.get("kpagecount"), counts_are, how),
        _lack_or(
            "kpagecgroup",
            lacks.get("kpagecgroup"),
            "readable",
            "which cgroup a folio is charged to is not known; the cgroup of a process is",
        ),
        _lack_or(
            "pagemap_scan",
            lacks.get("pagemap_scan"),
            "works",
            "sparse areas take longer to read; what a PMD maps is found by smaps where it is unambiguous",
        ),
        _lack_or(
            "kcmp",
            lacks.get("kcmp"),
            "works",
            "processes that share an address space (CLONE_VM) count as if each had its own",
        ),
        _lack_or(
            "smaps_rollup",
            lacks.get("smaps_rollup"),
            "readable",
            "Rss and Pss of processes are not checked against the kernel's own",
        ),
    ]


def thp_findings(settings: Mapping[str, str], *, has_stats: bool) -> list[Finding]:
    """Return the THP and mTHP settings (as `read_settings` gives them) and what follows."""
    return [_thp_enabled(settings), _mthp_enabled(settings), _mthp_stats(has_stats=has_stats), _underused(settings)]


def cgroup_finding(mount: Mount | None) -> Finding:
    """Return where memory cgroups are, and how many."""
    if mount is None:
        return Finding(
            "memory cgroups",
            False,
            "no cgroup file system is mounted",
            "charged folios are shown by the number of their cgroup, not by its path",
            "mount -t cgroup2 none /sys/fs/cgroup",
        )
    names = read_cgroup_names(mount)
    state = f"v{mount.version} at {mount.point}, {format_count(len(names.paths))} cgroups"
    if names.complete:
        return Finding("memory cgroups", True, state, "", "")
    return Finding(
        "memory cgroups",
        False,
        f"{state}, not all of them visible",
        "folios charged to a cgroup outside are shown by its number, not by its path",
        "run it on the host, outside of the container's cgroup namespace",
    )


def swap_finding(swaps: str) -> Finding:
    """Return whether there is swap, from the text of /proc/swaps (sizes in KiB)."""
    sizes = [int(line.split()[2]) for line in swaps.splitlines()[1:] if len(line.split()) > 2]
    if not sizes:
        return Finding("swap", True, "none", "", "")
    state = f"{format_bytes(sum(sizes) * 1024)} in {len(sizes)} area{'s' if len(sizes) > 1 else ''}"
    return Finding("swap", True, state, "swapped pages are no mappings; a folio in the swap cache is not waste", "")


def sudo_finding(privileges: Privileges, path: str | None) -> Finding:
    """Return whether root can be asked for; `path` is that of sudo, None without."""
    if privileges.uid == 0:
        return Finding("sudo", True, "not needed: this is root", "", "")
    if path:
        return Finding("sudo", True, path, "", "")
    return Finding("sudo", False, "not installed", "root cannot be asked for by this program", "run it as root, by su")


def _lack_or(name: str, lack: str | None, works: str, consequence: str) -> Finding:
    # A lack reads "what is missing; ...; the cure" (privileges.py).
    if lack is None:
        return Finding(name, True, works, "", "")
    return Finding(name, False, lack.partition("; ")[0], consequence, lack.rpartition("; ")[2])


def _counts(lack: str | None, counts_are: str, how: str) -> Finding:
    if lack is not None:
        consequence = "mappings found cannot be checked against the kernel's counts, nor unseen ones be noticed"
        return _lack_or("kpagecount", lack, "", consequence)
    if counts_are == "exact":
        return Finding("kpagecount", True, f"exact per page ({how})", "", "")
    if counts_are == "average":
        return Finding(
            "kpagecount",
            False,
            f"an average over the folio ({how}): CONFIG_NO_PAGE_MAPCOUNT",
            "unseen mappings of large folios cannot be found; Pss, Uss and bit 56 are the kernel's estimates too",
            "capture all processes: mappings found in page tables stay exact",
        )
    return Finding(
        "kpagecount",
        False,
        f"readable, but not known to be exact: {how}",
        "counts of large folios are recorded and not relied on",
        "run it as root where a large folio can be had (THP not disabled by prctl, some free memory)",
    )


def _thp_enabled(settings: Mapping[str, str]) -> Finding:
    enabled = settings.get("enabled")
    if enabled is None:
        return Finding(
            "thp", True, "this kernel has no transparent huge pages", "large folios come from files alone", ""
        )
    consequence = (
        "no new 2 MiB anon folios, except where a size's own setting says otherwise" if enabled == "never" else ""
    )
    return Finding(
        "thp", True, f"enabled: {enabled}, shmem: {settings.get('shmem_enabled', 'unknown')}", consequence, ""
    )


def _mthp_enabled(settings: Mapping[str, str]) -> Finding:
    sizes = {
        int(key.removeprefix("hugepages-").removesuffix("kB/enabled")): value
        for key, value in settings.items()
        if key.startswith("hugepages-") and key.endswith("kB/enabled")
    }
    if not sizes:
        return Finding("mthp sizes", True, "this kernel has no setting per size (Linux 6.8 brought it)", "", "")
    chosen = [f"{size}kB {value}" for size, value in sorted(sizes.items()) if value != "never"]
    return Finding("mthp sizes", True, ", ".join(chosen) or f"never, for all {len(sizes)} sizes", "", "")


def _mthp_stats(*, has_stats: bool) -> Finding:
    if has_stats:
        return Finding("mthp stats", True, "nr_anon and nr_anon_partially_mapped are there", "", "")
    return Finding(
        "mthp stats",
        False,
        "nr_anon and nr_anon_partially_mapped are missing (Linux 6.12 brought them)",
        "numbers of folios found are not checked against the kernel's own",
        "use a newer kernel",
    )


def _underused(settings: Mapping[str, str]) -> Finding:
    shrink, limit = settings.get("shrink_underused"), settings.get("khugepaged/max_ptes_none", "")
    pmd_bytes = settings.get("hpage_pmd_size", "")
    if shrink is None:
        return Finding("underused splitting", True, "this kernel has none (Linux 6.12 brought it)", "", "")
    off = ""
    if shrink == "0":
        off = "shrink_underused is 0"
    elif limit.isdigit() and pmd_bytes.isdigit() and int(limit) == int(pmd_bytes) // os.sysconf("SC_PAGE_SIZE") - 1:
        # mm/huge_memory.c, thp_underused(): a limit of HPAGE_PMD_NR - 1 switches it off.
        off = f"khugepaged/max_ptes_none is {limit}"
    state = f"off: {off}" if off else f"on: folios with more than {limit} zero-filled pages are split"
    consequence = "2 MiB folios that are mostly zero-filled stay whole; /proc does not show which" if off else ""
    return Finding("underused splitting", True, state, consequence, "")


def _has_mthp_stats(sys: str) -> bool:
    top = os.path.join(sys, SETTINGS_DIR)
    try:
        sizes = [name for name in os.listdir(top) if name.startswith("hugepages-")]
    except OSError:
        return False
    return any(os.path.exists(os.path.join(top, size, "stats/nr_anon_partially_mapped")) for size in sizes)
