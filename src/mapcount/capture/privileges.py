"""What this process may see of the machine, found by trying; for each thing it may not, one sentence with the cure."""

from __future__ import annotations

import ctypes
import mmap
import os
import re
from typing import TYPE_CHECKING

from mapcount.capture.pagemap import ENTRY_BYTES, PFN_MASK, PRESENT
from mapcount.capture.processes import kcmp_vm
from mapcount.capture.scan import scan_supported
from mapcount.capture.settings import chosen_word, read_text
from mapcount.record import record

if TYPE_CHECKING:
    from collections.abc import Callable

_CAP_SYS_PTRACE = 19
_CAP_SYS_ADMIN = 21
# Inode numbers of the namespaces that the kernel starts with. Source: include/linux/proc_ns.h.
_INITIAL_NAMESPACES = {"user": 0xEFFFFFFD, "pid": 0xEFFFFFFC}
_CONTAINER_FILES = (".dockerenv", "run/.containerenv", "run/systemd/container")
_CONTAINER_CGROUP = re.compile(r"docker|containerd|kubepods|libpod|lxc|crio")


@record(frozen=True)
class Privileges:
    """What works, tried on this process's own pages. An error is the kernel's text, empty if there was none."""

    uid: int
    """Effective."""
    cap_sys_admin: bool
    cap_sys_ptrace: bool
    initial_user_namespace: bool
    initial_pid_namespace: bool
    """Otherwise processes outside of it are not even listed."""
    pagemap_error: str
    pfns_visible: bool
    kpageflags_error: str
    kpagecount_error: str
    kpagecgroup_error: str
    kcmp_error: str
    pagemap_scan: bool
    smaps_rollup: bool
    container_hints: tuple[str, ...]
    """Signs of a container; none of them is proof."""
    lockdown: str
    """`none`, `integrity`, `confidentiality`, or empty if it cannot be read."""

    @property
    def sees_folios(self) -> bool:
        """Whether folios can be captured: PFNs and kpageflags. Else only the tier without PFNs is left."""
        return self.pfns_visible and not self.kpageflags_error

    def capabilities(self) -> dict[str, bool]:
        """Return what could be used, as the metadata of a snapshot holds it."""
        return {
            "pagemap_scan": self.pagemap_scan,
            "kpageflags": not self.kpageflags_error,
            "kpagecount": not self.kpagecount_error,
            "kpagecgroup": not self.kpagecgroup_error,
            "kcmp": not self.kcmp_error,
            "smaps_rollup": self.smaps_rollup,
        }

    def lacks(self) -> dict[str, str]:
        """
        Return one sentence for each thing that is missing: the file, what it takes, the present state and the cure.

        The keys are those of `capabilities()` and `pagemap`, `pfns`, `other_users`, `other_namespaces`.
        """
        return {
            name: sentence
            for name, missing, sentence in (
                ("pagemap", self.pagemap_error, self._pagemap_lack()),
                ("pfns", not self.pfns_visible, self._pfn_lack()),
                ("kpageflags", self.kpageflags_error, self._kpage_lack("kpageflags", self.kpageflags_error)),
                ("kpagecount", self.kpagecount_error, self._kpage_lack("kpagecount", self.kpagecount_error)),
                ("kpagecgroup", self.kpagecgroup_error, self._kpage_lack("kpagecgroup", self.kpagecgroup_error)),
                ("other_users", not self.cap_sys_ptrace, self._ptrace_lack()),
                ("other_namespaces", not self.initial_pid_namespace, _PID_NAMESPACE_LACK),
                ("kcmp", self.kcmp_error, f"kcmp(2) fails ({self.kcmp_error}); {_KCMP_CURE}"),
                ("pagemap_scan", not self.pagemap_scan, _SCAN_LACK),
                ("smaps_rollup", not self.smaps_rollup, _ROLLUP_LACK),
            )
            if missing
        }

    def state(self) -> str:
        """Describe the present state for a message: `running as uid 1000 without CAP_SYS_ADMIN`."""
        caps = (("CAP_SYS_ADMIN", self.cap_sys_admin), ("CAP_SYS_PTRACE", self.cap_sys_ptrace))
        missing = " and ".join(name for name, held in caps if not held)
        where = "" if self.initial_user_namespace else " in a user namespace of its own"
        return f"running as uid {self.uid}{where}" + (f" without {missing}" if missing else "")

    def cure(self) -> str:
        """Say what gives this process all that it lacks."""
        if not self.initial_user_namespace:
            return "run it as root outside of this user namespace (on the host)"
        if self.uid:
            return "run it as root"
        return "run it as root on the host, or in a container started with --privileged --pid=host"

    def _pagemap_lack(self) -> str:
        return (
            f"/proc/self/pagemap cannot be read ({self.pagemap_error}) although it takes no capability; "
            f"{self.state()}; use a kernel with CONFIG_PROC_PAGE_MONITOR=y"
        )

    def _pfn_lack(self) -> str:
        return (
            "/proc/PID/pagemap hides PFNs without CAP_SYS_ADMIN in the initial user namespace; "
            f"{self.state()}; {self.cure()}"
        )

    def _kpage_lack(self, name: str, error: str) -> str:
        if error == os.strerror(2):
            config = "CONFIG_MEMCG" if name == "kpagecgroup" else "CONFIG_PROC_PAGE_MONITOR"
            return f"/proc/{name} does not exist here; {self.state()}; use a kernel with {config}=y"
        return f"/proc/{name} cannot be read ({error}): it is open to root alone; {self.state()}; {self.cure()}"

    def _ptrace_lack(self) -> str:
        return (
            "/proc/PID/maps and pagemap of other users' processes cannot be read without CAP_SYS_PTRACE; "
            f"{self.state()}; {self.cure()}"
        )


_PID_NAMESPACE_LACK = (
    "/proc lists the processes of this pid namespace alone, so mappings of the others are not found; "
    "run it on the host, or in a container started with --pid=host"
)
_KCMP_CURE = (
    "processes that share an address space (CLONE_VM) cannot be recognised and count twice; "
    "use a kernel with CONFIG_KCMP=y, or lift the seccomp filter of this container"
)
_SCAN_LACK = (
    "PAGEMAP_SCAN on /proc/PID/pagemap is missing (Linux 6.7 brought it): sparse areas take longer to read, and what "
    "a PMD maps is found by smaps where it is unambiguous; use a newer kernel"
)
_ROLLUP_LACK = (
    "/proc/PID/smaps_rollup is missing (Linux 4.14 with CONFIG_PROC_PAGE_MONITOR brought it): Rss and Pss are not "
    "checked against the kernel's; use a newer kernel"
)


def look(*, proc: str = "/proc", sys: str = "/sys", root: str = "/") -> Privileges:
    """Try everything and return what works. Needs nothing, changes nothing, raises nothing."""
    admin, ptrace = parse_capabilities(read_text(os.path.join(proc, "self/status")) or "")
    pagemap_error, pfns_visible, scan = _try_pagemap(os.path.join(proc, "self/pagemap"))
    return Privileges(
        uid=os.geteuid(),
        cap_sys_admin=admin,
        cap_sys_ptrace=ptrace,
        initial_user_namespace=_in_initial_namespace(proc, "user"),
        initial_pid_namespace=_in_initial_namespace(proc, "pid"),
        pagemap_error=pagemap_error,
        pfns_visible=pfns_visible,
        kpageflags_error=_read_error(os.path.join(proc, "kpageflags")),
        kpagecount_error=_read_error(os.path.join(proc, "kpagecount")),
        kpagecgroup_error=_read_error(os.path.join(proc, "kpagecgroup")),
        kcmp_error=_error_of(lambda: kcmp_vm(os.getpid(), os.getpid())),
        pagemap_scan=scan,
        smaps_rollup=not _read_error(os.path.join(proc, "self/smaps_rollup")),
        container_hints=_container_hints(proc, root),
        lockdown=chosen_word(read_text(os.path.join(sys, "kernel/security/lockdown")) or ""),
    )


def parse_capabilities(status: str) -> tuple[bool, bool]:
    """Return whether a /proc/PID/status text has CAP_SYS_ADMIN and CAP_SYS_PTRACE in its effective set."""
    found = re.search(r"^CapEff:\s*([0-9a-fA-F]+)$", status, re.MULTILINE)
    effective = int(found[1], 16) if found else 0
    return bool(effective >> _CAP_SYS_ADMIN & 1), bool(effective >> _CAP_SYS_PTRACE & 1)


def shows_pfn(entry: int) -> bool:
    """
    Return whether a pagemap entry of a page that is surely present shows its PFN.

    Without CAP_SYS_ADMIN in the initial user namespace the kernel shows 0 instead. Page frame 0 is never a user's.
    Source: Documentation/admin-guide/mm/pagemap.rst.
    """
    return bool(entry & int(PRESENT)) and bool(entry & int(PFN_MASK))


def _try_pagemap(path: str) -> tuple[str, bool, bool]:
    # The error, whether PFNs are shown, and whether PAGEMAP_SCAN works.
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        return _text(error), False, False
    try:
        return "", shows_pfn(_entry_of_own_page(fd)), scan_supported(fd)
    except OSError as error:
        return _text(error), False, False
    finally:
        os.close(fd)


def _entry_of_own_page(pagemap_fd: int) -> int:
    with mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as page:
        page[0] = 1
        anchor = ctypes.c_char.from_buffer(page)
        number = ctypes.addressof(anchor) // mmap.PAGESIZE
        del anchor  # else the mapping cannot be closed
        return int.from_bytes(os.pread(pagemap_fd, ENTRY_BYTES, number * ENTRY_BYTES), "little")


def _read_error(path: str) -> str:
    def read() -> None:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.read(fd, ENTRY_BYTES)
        finally:
            os.close(fd)

    return _error_of(read)


def _error_of(action: Callable[[], object]) -> str:
    try:
        action()
    except OSError as error:
        return _text(error)
    return ""


def _text(error: OSError) -> str:
    return error.strerror or str(error)


def _in_initial_namespace(proc: str, name: str) -> bool:
    try:
        link = os.readlink(os.path.join(proc, "self/ns", name))
    except OSError:
        return True  # a kernel built without such namespaces
    return link == f"{name}:[{_INITIAL_NAMESPACES[name]}]"


def _container_hints(proc: str, root: str) -> tuple[str, ...]:
    hints = ["/" + name for name in _CONTAINER_FILES if os.path.exists(os.path.join(root, name))]
    if _CONTAINER_CGROUP.search(read_text(os.path.join(proc, "self/cgroup")) or ""):
        hints.append("name of its cgroup")
    hints += [f"own {name} namespace" for name in ("user", "pid") if not _in_initial_namespace(proc, name)]
    return tuple(hints)
