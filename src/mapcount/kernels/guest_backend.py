"""A real kernel in a guest as a machine for scenarios: words out of its memory, /proc through its agent."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from mapcount.errors import GuestError, KernelFeatureError
from mapcount.kernels.driver import Driver
from mapcount.kernels.guest import Guest, lack_of_memory
from mapcount.kernels.guest_files import GuestFiles
from mapcount.kernels.guest_ksm import GuestKsm
from mapcount.kernels.guest_memory import GuestMemory, ask_symbols
from mapcount.kernels.guest_observe import GuestObserver
from mapcount.kernels.guest_probe import shows_page_mapcount
from mapcount.kernels.guest_proc import read_counts, read_vmas
from mapcount.kernels.guest_settings import KnownFiles, apply_settings, check_nodes, quiet
from mapcount.kernels.guest_snapshot import GuestFacts, take_snapshot
from mapcount.kernels.guest_swap import GuestSwap
from mapcount.kernels.hardware import ORDINARY, Hardware, hardware_for
from mapcount.kernels.layout import layout_of
from mapcount.scenarios.observation import Observation
from mapcount.scenarios.scenario import Settings
from mapcount.scenarios.steps import Advice, Madvise

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType

    from mapcount.kernels.guest_state import GuestState
    from mapcount.kernels.images import Image
    from mapcount.mapping.snapshot import Snapshot
    from mapcount.scenarios.steps import Step

_DROP_SLAB = "2"


@dataclass(frozen=True)
class _Machine:
    """A guest, and what is needed to speak of it."""

    guest: Guest
    memory: GuestMemory
    files: GuestFiles
    settings: KnownFiles
    swap: GuestSwap
    ksm: GuestKsm


@dataclass(frozen=True)
class _Scene:
    """What a scenario needs of it."""

    driver: Driver
    observer: GuestObserver


class GuestBackend:
    """
    Scenarios on an image: booted at the first `begin`, and used for all that follow until `close`. A context manager.

    A scenario that asks for other hardware (NUMA nodes) than the guest has gets another guest. Needs neither root nor KVM.
    Raises what Guest and layout_of raise. A guest that broke (GuestError from `do` or `observe`) is ended, and the next `begin`
    has another.
    """

    def __init__(self, image: Image, *, qemu_arguments: Sequence[str] = (), keeps_state: bool = False) -> None:
        """With `keeps_state` hardware is booted once: later guests (after one that broke, too) are copies as it was then."""
        self._image = image
        self._arguments = tuple(qemu_arguments)
        self._keeps_state = keeps_state
        self._states: dict[Hardware, GuestState] = {}
        self._hardware = ORDINARY
        """Of the guest that runs, or that is booted next."""
        self._symbols: Mapping[str, int] | None = None
        self._held = ExitStack()
        self._machine: _Machine | None = None
        self._scene: _Scene | None = None
        self._page_mapcount = image.page_mapcount

    @property
    def name(self) -> str:
        """The release, and whether it counts per page if that is not the default."""
        return self.release + ("" if self.page_mapcount else " without page mapcounts")

    @property
    def release(self) -> str:
        """The kernel release, as `uname -r` has it."""
        return self._image.release

    @property
    def page_mapcount(self) -> bool:
        """Whether it keeps counts per page: the image's config says it, else the guest, which is booted for that, shows it."""
        if self._page_mapcount is None:
            self._page_mapcount = self._shows_page_mapcount()
        return self._page_mapcount

    @property
    def guest(self) -> Guest:
        """The guest, booted now if it was not. Raises MissingToolError, GuestError, KernelImageError."""
        return self._booted().guest

    def begin(self, settings: Settings) -> None:
        """Start anew with one process, under these settings. Raises KernelFeatureError for what this kernel lacks."""
        self.end()
        self._equip(hardware_for(settings))
        machine, page_mapcount = self._booted(), self.page_mapcount
        with self._ending_what_broke():
            apply_settings(machine.settings, settings)
            check_nodes(machine.settings, settings)
            machine.swap.switch(on=settings.swap)
            driver = Driver(machine.guest.channel, lambda: _reclaim(machine.files))
            self._scene = _Scene(driver, GuestObserver(machine.memory, page_mapcount=page_mapcount))
            driver.begin()

    def do(self, step: Step) -> int:
        """Carry out a step; return its result (steps.py). Raises GuestError if the guest or a process died of it."""
        assert self._scene is not None
        with self._ending_what_broke():
            result = self._scene.driver.do(step)
            if isinstance(step, Madvise) and step.advice is Advice.MERGEABLE and result == 0:
                self._booted().ksm.scan()
            if result >= 0:
                self._scene.observer.moved(step)
            return result

    def observe(self, result: int, *, proc: bool = False) -> Observation:
        """Return what is to be seen now; `proc` reads smaps, pagemap and kpagecount in the guest, which takes longer."""
        assert self._scene is not None
        files, pids = self._booted().files, self._scene.driver.pids
        with self._ending_what_broke():
            files.drain_lru_batches()
            mappings, folios, names = self._scene.observer.look(pids)
            seen = Observation(result, mappings, folios)
            if not proc:
                return seen
            by_head = {head: (name, folios[name]) for head, name in names.items()}
            return replace(seen, proc=read_vmas(files, pids), kpagecount=read_counts(files, by_head))

    def snapshot(self, note: str, *, command_line: str = "", keep_pfns: bool = False) -> Snapshot:
        """Return who maps what now, in the whole guest, with all words of all folios; `note` says what was done there."""
        machine, pids = self._booted(), self._scene.driver.pids if self._scene is not None else {}
        names = {pid: name for name, pid in pids.items()}
        facts = GuestFacts(self.release, self.page_mapcount, names, note, command_line)
        with self._ending_what_broke():
            return take_snapshot(machine.memory, machine.files, facts, keep_pfns=keep_pfns)

    def end(self) -> None:
        """End all processes of the scenario; the guest stays."""
        if self._scene is not None:
            scene, self._scene = self._scene, None
            with self._ending_what_broke():
                scene.driver.end()

    def close(self) -> None:
        """End the guest."""
        self._drop()
        for state in self._states.values():
            state.close()
        self._states.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _equip(self, hardware: Hardware) -> None:
        """Let the next guest have this hardware. Raises KernelFeatureError if that takes more memory than there is."""
        if hardware == self._hardware:
            return
        self._drop()
        self._hardware = ORDINARY
        if hardware != ORDINARY and (lack := lack_of_memory(hardware)):
            raise KernelFeatureError(lack)
        self._hardware = hardware

    def _booted(self) -> _Machine:
        if self._machine is not None:
            return self._machine
        layout, state = layout_of(self._image), self._states.get(self._hardware)
        with ExitStack() as stack:
            guest = stack.enter_context(
                Guest(self._image, hardware=self._hardware, qemu_arguments=self._arguments, state=state)
            )
            memory = GuestMemory(guest.memory, layout, self._symbols_of(guest))
            files = GuestFiles(guest.channel, memory)
            if state is None:
                quiet(files, guest.channel)
                if self._keeps_state:
                    self._states[self._hardware] = guest.take_state()
            self._held = stack.pop_all()
        swap = GuestSwap(self._image, files, guest.channel)
        self._machine = _Machine(guest, memory, files, KnownFiles(files), swap, GuestKsm(files))
        return self._machine

    def _symbols_of(self, guest: Guest) -> Mapping[str, int]:
        """Return the addresses of symbols; as they do not move, only the first guest is asked."""
        if self._symbols is None:
            self._symbols = ask_symbols(guest.channel)
        return self._symbols

    def _drop(self) -> None:
        self._scene = self._machine = None
        self._held.close()

    @contextmanager
    def _ending_what_broke(self) -> Iterator[None]:
        try:
            yield
        except GuestError:
            self._drop()
            raise

    def _shows_page_mapcount(self) -> bool:
        machine = self._booted()
        apply_settings(machine.settings, Settings())
        return shows_page_mapcount(machine.memory, machine.guest.channel)


def _reclaim(files: GuestFiles) -> int:
    files.write("/proc/sys/vm/drop_caches", _DROP_SLAB)
    return 0
