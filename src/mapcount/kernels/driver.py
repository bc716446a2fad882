"""Steps of a scenario as system calls: named processes are slots of an agent, files are descriptors in each of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mapcount.errors import GuestError, ScenarioError
from mapcount.mapping.schema import Kind
from mapcount.scenarios.scenario import FIRST_PROCESS
from mapcount.scenarios.steps import (
    Access,
    Advice,
    Exit,
    Fallocate,
    Fork,
    Madvise,
    Memfd,
    Migrate,
    Mmap,
    Mprotect,
    Mremap,
    Munmap,
    Protection,
    Reclaim,
    Span,
    Step,
    area_address,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mapcount.kernels.agent import Channel

PAGE_BYTES = 4096
MAX_PROCESSES = 63
"""SLOTS of agent.c, less the server's."""
_EFAULT = -14
# Numbers of x86-64: arch/x86/entry/syscalls/syscall_64.tbl.
_MMAP, _MPROTECT, _MUNMAP, _MREMAP, _MADVISE, _FTRUNCATE, _FALLOCATE, _MEMFD_CREATE = 9, 10, 11, 25, 28, 77, 285, 319
# include/uapi/linux/mman.h, include/uapi/asm-generic/mman-common.h, include/uapi/linux/falloc.h
_MAP_SHARED, _MAP_PRIVATE, _MAP_ANONYMOUS, _MAP_HUGETLB, _MAP_FIXED_NOREPLACE = 1, 2, 0x20, 0x40000, 0x100000
_MAP_HUGE_2MB, _MAP_HUGE_1GB = 21 << 26, 30 << 26
_MREMAP_MAYMOVE, _MREMAP_FIXED = 1, 2
_FALLOC_KEEP_SIZE, _FALLOC_PUNCH_HOLE = 1, 2
_PROTECTIONS = {Protection.NONE: 0, Protection.READ: 1, Protection.WRITE: 3}
_ADVICE = {
    Advice.DONTNEED: 4,
    Advice.FREE: 8,
    Advice.MERGEABLE: 12,
    Advice.HUGEPAGE: 14,
    Advice.NOHUGEPAGE: 15,
    Advice.PAGEOUT: 21,
    Advice.COLLAPSE: 25,
}


@dataclass
class _Process:
    slot: int
    pid: int
    files: dict[str, int] = field(default_factory=dict)
    """Descriptors by the file's name."""


class Driver:
    """Carries out steps through an agent. `begin`, then `do`, then `end`; may begin again."""

    def __init__(self, channel: Channel, reclaim: Callable[[], int]) -> None:
        """`reclaim` is what a Reclaim does on this machine."""
        self._channel = channel
        self._reclaim = reclaim
        self._processes: dict[str, _Process] = {}

    @property
    def pids(self) -> Mapping[str, int]:
        """The pid of each process by its name, as the agent sees it, in the order in which they were born."""
        return {name: process.pid for name, process in self._processes.items()}

    def slot(self, process: str) -> int:
        """Return the agent's slot of a process. Raises ScenarioError if there is none of that name."""
        return self._process(process).slot

    def begin(self) -> None:
        """Make the first process, which maps nothing of ours. Raises GuestError."""
        self._spawn(0, FIRST_PROCESS, {})

    def end(self) -> None:
        """End all processes, the youngest first. Raises GuestError."""
        for name in reversed(list(self._processes)):
            self._exit(name)

    def do(self, step: Step) -> int:
        """
        Carry out a step and return its result as steps.py says; addresses and descriptors become 0.

        Raises ScenarioError for a process or a file that is not there, GuestError if the agent fails.
        """
        if isinstance(step, Reclaim):
            return self._reclaim()
        process, result = self._process(step.process), 0
        match step:
            case Mmap():
                result = self._mmap(process, step)
            case Memfd():
                result = self._memfd(process, step)
            case Fallocate():
                result = self._fallocate(process, step)
            case Access():
                result = self._access(process, step)
            case Munmap():
                result = self._call(process, _MUNMAP, step.span)
            case Madvise():
                result = self._call(process, _MADVISE, step.span, _ADVICE[step.advice])
            case Mprotect():
                result = self._call(process, _MPROTECT, step.span, _PROTECTIONS[step.protection])
            case Mremap():
                result = self._mremap(process, step)
            case Migrate():
                result = self._channel.migrate(process.slot, step.span.address, step.span.nr_pages, step.node)
            case Fork():
                self._spawn(process.slot, step.child, process.files)
            case Exit():
                self._exit(step.process)
            case _:
                raise AssertionError(f"{step} is nothing that a machine does")
        return result

    def _process(self, name: str) -> _Process:
        if name not in self._processes:
            raise ScenarioError(f"There is no process {name} (any more); there are: {' '.join(self._processes)}")
        return self._processes[name]

    def _call(self, process: _Process, number: int, span: Span, *arguments: int) -> int:
        return self._channel.call(process.slot, number, span.address, span.nr_pages * PAGE_BYTES, *arguments)

    def _access(self, process: _Process, step: Access) -> int:
        span = step.span
        done = self._channel.touch(process.slot, span.address, PAGE_BYTES, span.nr_pages, write=step.write)
        return done if done >= 0 else _EFAULT

    def _mmap(self, process: _Process, step: Mmap) -> int:
        flags = _MAP_FIXED_NOREPLACE | (_MAP_SHARED if step.shared else _MAP_PRIVATE)
        descriptor = _file(process, step) if step.file else -1
        if not step.file:
            flags |= _MAP_ANONYMOUS
        if step.kind is Kind.HUGETLB:
            flags |= _MAP_HUGETLB | (_MAP_HUGE_1GB if step.gigantic else _MAP_HUGE_2MB)
        protection, offset = _PROTECTIONS[Protection.WRITE], step.file_page * PAGE_BYTES
        result = self._call(process, _MMAP, step.span, protection, flags, descriptor, offset)
        if result < 0:
            return result
        # A kernel before 4.17 does not know MAP_FIXED_NOREPLACE and takes the address for a hint.
        assert result == step.span.address
        if step.advice is not None:
            return self._call(process, _MADVISE, step.span, _ADVICE[step.advice])
        return 0

    def _memfd(self, process: _Process, step: Memfd) -> int:
        descriptor = self._channel.call(process.slot, _MEMFD_CREATE, step.file, 0)
        if descriptor < 0:
            return descriptor
        process.files[step.file] = descriptor
        return self._channel.call(process.slot, _FTRUNCATE, descriptor, step.nr_pages * PAGE_BYTES)

    def _fallocate(self, process: _Process, step: Fallocate) -> int:
        mode = _FALLOC_PUNCH_HOLE | _FALLOC_KEEP_SIZE if step.punch else 0
        at, nr_bytes = step.first * PAGE_BYTES, (step.end - step.first) * PAGE_BYTES
        return self._channel.call(process.slot, _FALLOCATE, _file(process, step), mode, at, nr_bytes)

    def _mremap(self, process: _Process, step: Mremap) -> int:
        to, nr_bytes = area_address(step.to_area, step.to_page), step.span.nr_pages * PAGE_BYTES
        result = self._call(process, _MREMAP, step.span, nr_bytes, _MREMAP_MAYMOVE | _MREMAP_FIXED, to)
        return 0 if result == to else result

    def _spawn(self, slot: int, name: str, files: Mapping[str, int]) -> None:
        if name in self._processes:
            raise ScenarioError(f"There is a process {name} already")
        taken = {process.slot for process in self._processes.values()}
        free = next((number for number in range(1, MAX_PROCESSES + 1) if number not in taken), None)
        if free is None:
            raise ScenarioError(f"{name} would be one process more than {MAX_PROCESSES} at a time")
        pid = self._channel.fork(slot, free)
        if pid < 0:
            raise GuestError(f"The process {name} could not be made: fork returned {pid}")
        self._processes[name] = _Process(free, pid, dict(files))

    def _exit(self, name: str) -> None:
        self._channel.exit(self._process(name).slot)
        del self._processes[name]


def _file(process: _Process, step: Mmap | Fallocate) -> int:
    if step.file not in process.files:
        raise ScenarioError(
            f"Process {step.process} has no file {step.file}: a memfd is seen by its maker and by children made later"
        )
    return process.files[step.file]
