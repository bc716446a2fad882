"""A real kernel in a guest as a machine for scenarios: words out of its memory, /proc through its agent."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from mapcount.kernels.driver import Driver
from mapcount.kernels.guest import Guest
from mapcount.kernels.guest_files import GuestFiles
from mapcount.kernels.guest_memory import GuestMemory, ask_symbols
from mapcount.kernels.guest_observe import GuestObserver
from mapcount.kernels.guest_proc import read_counts, read_vmas
from mapcount.kernels.guest_settings import apply_settings, quiet
from mapcount.kernels.guest_swap import GuestSwap
from mapcount.kernels.layout import layout_of
from mapcount.scenarios.observation import Observation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from mapcount.kernels.images import Image
    from mapcount.scenarios.scenario import Settings
    from mapcount.scenarios.steps import Step

_DROP_SLAB = "2"


class GuestBackend:
    """
    Scenarios on an image: booted at the first `begin`, and used for all that follow until `close`. A context manager.

    Needs neither root nor KVM. Raises what Guest and layout_of raise.
    """

    def __init__(self, image: Image, *, qemu_arguments: Sequence[str] = ()) -> None:
        self._image = image
        self._arguments = tuple(qemu_arguments)
        self._held = ExitStack()
        self._guest: Guest | None = None
        self._pids: dict[str, int] = {}

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
        """Whether it keeps counts per page; the default is assumed where the image does not say."""
        return self._image.page_mapcount is not False

    @property
    def guest(self) -> Guest:
        """The guest, booted now if it was not. Raises MissingToolError, GuestError, KernelImageError."""
        if self._guest is None:
            self._boot()
        assert self._guest is not None
        return self._guest

    def begin(self, settings: Settings) -> None:
        """Start anew with one process, under these settings. Raises KernelFeatureError for what this kernel lacks."""
        guest = self.guest
        self.end()
        apply_settings(self._files, settings)
        self._swap.switch(on=settings.swap)
        self._observer = GuestObserver(self._memory, page_mapcount=self.page_mapcount)
        self._driver = Driver(guest.channel, self._reclaim)
        self._driver.begin()

    def do(self, step: Step) -> int:
        """Carry out a step; return its result (steps.py). Raises GuestError if the guest or a process died of it."""
        assert self._driver is not None
        result = self._driver.do(step)
        if result >= 0:
            self._observer.moved(step)
        return result

    def observe(self, result: int, *, proc: bool = False) -> Observation:
        """Return what is to be seen now; `proc` reads smaps, pagemap and kpagecount in the guest, which takes longer."""
        assert self._driver is not None
        self._files.drain_lru_batches()
        mappings, folios, names = self._observer.look(self._driver.pids)
        seen = Observation(result, mappings, folios)
        if not proc:
            return seen
        by_head = {head: (name, folios[name]) for head, name in names.items()}
        return replace(
            seen, proc=read_vmas(self._files, self._driver.pids), kpagecount=read_counts(self._files, by_head)
        )

    def end(self) -> None:
        """End all processes of the scenario; the guest stays."""
        if self._driver is not None:
            driver, self._driver = self._driver, None
            driver.end()

    def close(self) -> None:
        """End the guest."""
        self._driver = self._guest = None
        self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    _driver: Driver | None = None

    def _boot(self) -> None:
        layout = layout_of(self._image)
        with ExitStack() as stack:
            guest = stack.enter_context(Guest(self._image, qemu_arguments=self._arguments))
            self._memory = GuestMemory(guest.memory, layout, ask_symbols(guest.channel))
            self._files = GuestFiles(guest.channel)
            self._swap = GuestSwap(self._image, self._files, guest.channel)
            quiet(self._files, guest.channel)
            self._held = stack.pop_all()
        self._guest = guest

    def _reclaim(self) -> int:
        self._files.write("/proc/sys/vm/drop_caches", _DROP_SLAB)
        return 0
