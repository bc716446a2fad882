"""A kernel in QEMU, without KVM and without privilege: one CPU, an agent as /init, and all its memory readable from here.

The guest's memory, its initramfs and its console are anonymous files (memfd) that QEMU inherits: nothing lies in /dev/shm or
anywhere else, so nothing can be left behind. QEMU dies with the thread that started it. While the agent waits for a command
the guest is idle, and what is read is one consistent state.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import shutil
import signal
import socket
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

import numpy as np

from mapcount.errors import GuestError, MissingToolError
from mapcount.kernels.agent import Channel, build_agent
from mapcount.kernels.guest_state import copy_sparse, resume, take_state
from mapcount.kernels.hardware import ORDINARY, Hardware, srat
from mapcount.kernels.initramfs import build_initramfs
from mapcount.kernels.qmp import Qmp
from mapcount.kernels.vmlinux import read_pvh_kernel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    import numpy.typing as npt

    from mapcount.kernels.guest_state import GuestState
    from mapcount.kernels.images import Image

QEMU = "qemu-system-x86_64"
RAM_NAME = "mapcount-guest-ram"
"""The name of the memfd that is the guest's memory: a plugin finds it so."""
BOOT_S = 90.0
_EXIT_S = 5.0
_CONSOLE_BYTES = 3000
_PR_SET_PDEATHSIG = 1
_PRCTL = ctypes.CDLL(None).prctl
"""Looked up here, for after a fork nothing may be loaded."""
KERNEL_WORDS = (
    "console=ttyS0 nokaslr no5lvl mitigations=off transparent_hugepage=madvise quiet loglevel=4 panic=-1 "
    "tsc=reliable no_timer_check random.trust_cpu=on noreplace-smp brd.rd_size=131072 "
    "pci=off cryptomgr.notests initcall_blacklist=load_system_certificate_list,jent_mod_init,trace_eval_init"
)
"""The command line. Without address randomisation the kernel's page table lies where its symbol says; noreplace-smp keeps
LOCK prefixes on one CPU; the size of a RAM disk that is built in is that of guest_swap.py. The last line leaves out what takes
a third of a boot and nobody here uses: buses, tests of ciphers, keys (brd.ko is loaded as unsigned), names for tracing."""


class Guest:
    """A running guest; a context manager that ends it."""

    def __init__(
        self,
        image: Image,
        *,
        hardware: Hardware = ORDINARY,
        files: Mapping[str, bytes | None] | None = None,
        qemu_arguments: Sequence[str] = (),
        state: GuestState | None = None,
    ) -> None:
        """
        Boot an image; or, with a `state` of another guest of it, which had the same hardware, go on from there.

        `files` are in its root besides our own, by path; None is a directory. `qemu_arguments` are added, a plugin for
        instance. Raises MissingToolError without QEMU or gcc, GuestError if it does not come up in time (with the end of its
        console) or there is not enough memory.
        """
        self.image = image
        qemu, agent = _find_qemu(), build_agent()
        if lack := lack_of_memory(hardware):
            raise GuestError(lack)
        with ExitStack() as stack:
            self._ram = _file(stack, RAM_NAME)
            os.ftruncate(self._ram, hardware.memory_mib << 20)
            self._console = _file(stack, "mapcount-guest-console")
            self._errors = _file(stack, "mapcount-guest-errors")
            control, theirs = socket.socketpair()
            stack.enter_context(control)
            with theirs, ExitStack() as until_started:
                initrd = _file(until_started, "mapcount-guest-initrd")
                os.write(initrd, _initramfs(image, agent.read_bytes(), files or {}))
                unpacked = read_pvh_kernel(image.path)
                kernel = _file(until_started, "mapcount-guest-kernel")
                os.write(kernel, unpacked or b"")
                table = _file(until_started, "mapcount-guest-srat")
                os.write(table, srat(hardware))
                more = [*_nodes(hardware, table), *qemu_arguments, *(() if state is None else ("-incoming", "defer"))]
                to_start = str(image.path) if unpacked is None else f"/proc/self/fd/{kernel}"
                command = _command(qemu, to_start, hardware, self._ram, initrd, self._console, theirs, more)
                self._start(command, (self._ram, kernel, initrd, table, self._console, theirs.fileno()))
            stack.callback(self._end)
            self._meet(control, state)
            memory = mmap.mmap(self._ram, hardware.memory_mib << 20, prot=mmap.PROT_READ)
            self.memory: npt.NDArray[np.uint8] = np.frombuffer(memory, np.uint8)
            """All of it, by physical address."""
            self._held = stack.pop_all()

    def _start(self, command: Sequence[str], descriptors: Sequence[int]) -> None:
        parent = os.getpid()
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            pass_fds=descriptors,
            start_new_session=True,  # Ctrl-C is for us
            preexec_fn=lambda: _die_with(parent),  # noqa: PLW1509 - the child makes two system calls
        )

    def _meet(self, control: socket.socket, state: GuestState | None) -> None:
        """Wait until the agent waits for us."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        answers, commands = self.process.stdout.fileno(), self.process.stdin.fileno()
        self.channel = Channel(answers, commands, context=self._what_it_said)
        if state is None:
            self.channel.await_ready(BOOT_S)
        self.qmp = Qmp(control, context=self._what_it_said)
        if state is not None:
            copy_sparse(state.ram, self._ram)
            resume(self.qmp, state)

    def take_state(self) -> GuestState:
        """Return its state as it is now, between two commands of its agent; it goes on. Raises GuestError."""
        return take_state(self.qmp, self._ram)

    @property
    def console(self) -> str:
        """What the kernel has said."""
        length = os.fstat(self._console).st_size
        return os.pread(self._console, length, 0).decode(errors="replace")

    def close(self) -> None:
        """End it; its memory is gone with the last array that shows it."""
        self.memory = np.empty(0, np.uint8)
        self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _end(self) -> None:
        self.process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_EXIT_S)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _what_it_said(self) -> str:
        errors = os.pread(self._errors, _CONSOLE_BYTES, 0).decode(errors="replace").strip()
        console = self.console.strip()[-_CONSOLE_BYTES:]
        return "\n".join(
            part
            for part in (
                f"The guest is {self.image.release}.",
                f"QEMU said: {errors}" if errors else "",
                f"The end of its console:\n{console}" if console else "Its console is empty.",
            )
            if part
        )


def _find_qemu() -> str:
    qemu = shutil.which(QEMU)
    if qemu is None:
        raise MissingToolError(f"Guests need {QEMU}: apt-get install qemu-system-x86")
    return qemu


def _file(stack: ExitStack, name: str) -> int:
    descriptor = os.memfd_create(name)
    stack.callback(os.close, descriptor)
    return descriptor


def _initramfs(image: Image, agent: bytes, more: Mapping[str, bytes | None]) -> bytes:
    files: dict[str, bytes | None] = {"proc": None, "sys": None, "dev": None, "init": agent}
    if image.modules is not None:
        files |= {name: (image.modules / name).read_bytes() for name in image.load_order}
    return build_initramfs({**files, **more})


def _nodes(hardware: Hardware, table: int) -> list[str]:
    """Return the arguments that tell of NUMA nodes; none for a single one, as most guests have it."""
    return ["-acpitable", f"file=/proc/self/fd/{table}"] if hardware.second_node_mib else []


def _command(
    qemu: str,
    kernel: str,
    hardware: Hardware,
    ram: int,
    initrd: int,
    console: int,
    control: socket.socket,
    more: Sequence[str],
) -> list[str]:
    words = f"{KERNEL_WORDS} {hardware.kernel_words}".rstrip()
    return [
        qemu,
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-machine", "pc,memory-backend=ram,usb=off,vmport=off,hpet=off"),
        *("-accel", "tcg,thread=single", "-cpu", hardware.processor, "-smp", "1", "-m", str(hardware.memory_mib)),
        *("-object", f"memory-backend-file,id=ram,size={hardware.memory_mib}M,mem-path=/proc/self/fd/{ram},share=on"),
        *("-kernel", kernel, "-initrd", f"/proc/self/fd/{initrd}", "-append", words),
        *("-serial", f"file:/proc/self/fd/{console}"),
        *("-chardev", "stdio,id=agent,signal=off", "-serial", "chardev:agent"),
        *("-chardev", f"socket,id=control,fd={control.fileno()}", "-mon", "chardev=control,mode=control"),
        *more,
    ]


def _die_with(parent: int) -> None:
    _PRCTL(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before we asked to be told
        os._exit(1)


def lack_of_memory(hardware: Hardware) -> str:
    """Return, for people, that there is not enough memory for a guest; nothing if there is."""
    with open("/proc/meminfo", encoding="ascii") as file:
        free_kib = next((int(line.split()[1]) for line in file if line.startswith("MemAvailable:")), None)
    if free_kib is None or free_kib >> 10 >= hardware.memory_mib:
        return ""
    return f"A guest takes up to {hardware.memory_mib} MiB of memory, and {free_kib >> 10} MiB are available: free some first"
