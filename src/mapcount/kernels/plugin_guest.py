"""A guest under the plugin that logs accesses: steps as in GuestBackend, and for each step what its kernel did to folios.

The log is an anonymous file, as all of a guest's are: nothing can be left behind.
"""

from __future__ import annotations

import bisect
import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from mapcount.errors import KernelFeatureError
from mapcount.kernels.access_log import Decoder
from mapcount.kernels.access_operations import ReadSmaps
from mapcount.kernels.access_words import rest_of, words_of
from mapcount.kernels.driver import Driver
from mapcount.kernels.guest import RAM_NAME, Guest
from mapcount.kernels.guest_files import GuestFiles
from mapcount.kernels.guest_memory import GuestMemory, ask_symbols
from mapcount.kernels.guest_settings import apply_settings, quiet
from mapcount.kernels.guest_tables import read_entries
from mapcount.kernels.hardware import MEMORY_MIB
from mapcount.kernels.layout import layout_of
from mapcount.kernels.plugin import AccessWatch, build_plugin, is_write, plugin_options, records_of
from mapcount.kernels.rmap_calls import calls
from mapcount.scenarios.scenario import FIRST_PROCESS, Settings
from mapcount.scenarios.steps import Fork
from mapcount.schemes.words import STRUCT_PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import TracebackType

    from mapcount.kernels.access_log import Record
    from mapcount.kernels.guest_state import GuestState
    from mapcount.kernels.images import Image
    from mapcount.kernels.layout import Layout
    from mapcount.kernels.rmap_calls import RmapCall
    from mapcount.scenarios.steps import Step

_DAMON = "/sys/module/damon_stat/parameters/enabled"
"""A thread of the kernel that looks at folios now and then (6.17 and later, where it is on by default)."""
_NR_PAGES = MEMORY_MIB << 8


_NR_PAGES_WORDS = ("_nr_pages", "_folio_nr_pages")
"""How many pages a folio has, by its name today and before 6.15."""


class Functions:
    """The functions of a kernel by address."""

    def __init__(self, symbols: Iterable[tuple[int, str]]) -> None:
        """`symbols` are addresses and names of functions, in any order."""
        ordered = sorted(symbols)
        self._addresses = [address for address, _ in ordered]
        self._names = [name for _, name in ordered]

    def at(self, address: int) -> str:
        """Return the function that has the instruction at an address; empty if it lies before all."""
        number = bisect.bisect_right(self._addresses, address) - 1
        return self._names[number] if number >= 0 else ""


def _in_second_page(layout: Layout, *names: str) -> int:
    """Return where one of some words lies in a folio's second struct page."""
    for name in names:
        if name in layout.folio and layout.folio[name] // STRUCT_PAGE_BYTES == 1:
            return layout.folio[name] % STRUCT_PAGE_BYTES
    raise KernelFeatureError(f"this kernel has no {names[0]} in the second page of a folio: Linux 6.10 brought it")


def parse_kallsyms(text: str) -> Functions:
    """Return the functions that /proc/kallsyms lists: types t, T, w and W, without those of modules."""
    rows = (line.split() for line in text.splitlines())
    return Functions((int(row[0], 16), row[2]) for row in rows if len(row) == 3 and row[1] in {"t", "T", "w", "W"})


class PluginGuest:
    """
    A WatchedGuest (record_accesses.py) on an image; a context manager.

    Raises what Guest, layout_of, build_plugin and AccessWatch raise.
    """

    def __init__(self, image: Image, files: Mapping[str, bytes | None] | None = None) -> None:
        """`files` are in its root, by path, for `execute`; None is a directory."""
        self.image = image
        layout = layout_of(image)
        with ExitStack() as stack:
            symbols, self._functions, state = _boot(image, layout, files)
            stack.enter_context(state)
            log = os.memfd_create("mapcount-accesses")
            stack.callback(os.close, log)
            path = Path(f"/proc/{os.getpid()}/fd/{log}")
            options = plugin_options(build_plugin(), path, RAM_NAME, nr_pages=_NR_PAGES)
            guest = stack.enter_context(Guest(image, qemu_arguments=options, files=files, state=state))
            self._watch = stack.enter_context(AccessWatch(path))
            self._channel = guest.channel
            self._memory = GuestMemory(guest.memory, layout, symbols)
            self._files = GuestFiles(guest.channel, self._memory)
            self._driver = Driver(guest.channel, lambda: 0)
            self._layout = layout
            self._words, self._rest = words_of(layout, page_mapcount=self.page_mapcount), rest_of(layout)
            self._mm_ids: dict[int, int] = {}
            self._held = stack.pop_all()

    @property
    def release(self) -> str:
        """The kernel release, as `uname -r` has it."""
        return self.image.release

    @property
    def page_mapcount(self) -> bool:
        """Whether it keeps counts per page."""
        return self.image.page_mapcount is not False

    def begin(self, settings: Settings) -> None:
        """Start anew with process p. Raises KernelFeatureError for settings that this kernel lacks."""
        self.end()
        apply_settings(self._files, settings)
        self._driver.begin()
        self._mm_ids, self._born = {}, 0
        self._number(FIRST_PROCESS)

    def do(self, step: Step | ReadSmaps) -> int:
        """Carry out a step; return its result."""
        if isinstance(step, ReadSmaps):
            return len(self._files.read(f"/proc/{self._driver.pids[step.process]}/smaps"))
        result = self._driver.do(step)
        if isinstance(step, Fork):
            self._number(step.child)
        return result

    def end(self) -> None:
        """End all processes."""
        self._driver.end()

    def settle(self) -> None:
        """Drain this CPU's batches of pages, which hold references."""
        self._files.drain_lru_batches()

    def struct_page_address(self, process: str, address: int) -> int | None:
        """Return the address of the struct page of what a process maps there, None if it maps nothing or is no more."""
        if process not in self._driver.pids:
            return None
        pfn = self._frames(process).get(address >> 12)
        return None if pfn is None else self._memory.page_address(pfn)

    def struct_pages(self, address: int | None, nr_pages: int) -> tuple[int, bytes]:
        """Return address and bytes of so many struct pages; without an address those of all page frames."""
        if address is None:
            address, nr_pages = self._memory.page_address(0), _NR_PAGES
        return address, self._memory.pages(self._memory.pfn_of_page(address), nr_pages).tobytes()

    def watch(self, first: int, end: int, *, loads: bool) -> None:
        """Begin to log stores, LOCKed accesses and perhaps loads of struct pages in `[first, end)`."""
        self._watch.begin(first, end, loads=loads)

    def watched(self) -> Sequence[Record]:
        """Stop logging; return what was logged. Raises GuestError if there was no room for all of it."""
        return records_of(self._watch.end())

    def rmap_calls(
        self, program: Sequence[str], settings: Settings, *, time_limit_s: float
    ) -> tuple[int, list[RmapCall]]:
        """
        Run a program to its end under some settings; return its wait status, and the calls of rmap on large folios meanwhile.

        Raises KernelFeatureError before 6.10, when a folio had no count of all mappings to tell them by.
        """
        self.end()
        at, nr_pages_at = (_in_second_page(self._layout, *names) for names in (("_large_mapcount",), _NR_PAGES_WORDS))
        apply_settings(self._files, settings)
        base = self._memory.page_address(0)
        pages = self._memory.pages(0, _NR_PAGES)
        stored = np.ascontiguousarray(pages[:, at : at + 4]).view("<i4")[:, 0].tolist()
        before = {base + number * STRUCT_PAGE_BYTES + at: value for number, value in enumerate(stored)}
        end = base + _NR_PAGES * STRUCT_PAGE_BYTES
        self._watch.begin(base, end, words=1 << at // 4, sizes=4, context=nr_pages_at)
        status = self._channel.execute(program, time_limit_s=time_limit_s)
        records = self._watch.end()
        return status, calls(records_of(records[is_write(records)]), self._functions.at, before)

    def decoder(self) -> Decoder:
        """Return how this kernel's records are read."""
        return Decoder(self._words, self._rest, self._functions.at, self._mm_ids.__getitem__)

    def close(self) -> None:
        """End the guest."""
        self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _number(self, process: str) -> None:
        """Give an address space the next number: its id may have been another's before."""
        mm_id = self._memory.mm_id_of(self._memory.mm_of(self._driver.pids[process]))
        self._born += 1
        self._mm_ids[mm_id] = self._born

    def _frames(self, process: str) -> dict[int, int]:
        mm = self._memory.mm_of(self._driver.pids[process])
        entries = read_entries(self._memory, self._memory.page_table_of(mm))
        return dict(zip(entries.page.tolist(), entries.pfn.tolist(), strict=True))


def _boot(
    image: Image, layout: Layout, files: Mapping[str, bytes | None] | None
) -> tuple[Mapping[str, int], Functions, GuestState]:
    """
    Boot without the plugin, under which a boot takes three times as long and /proc/kallsyms five times.

    Return the addresses that GuestMemory needs, the functions, and a state to go on from.
    """
    with Guest(image, files=files) as guest:
        symbols = ask_symbols(guest.channel)
        there = GuestFiles(guest.channel, GuestMemory(guest.memory, layout, symbols))
        quiet(there, guest.channel)
        if there.exists(_DAMON):
            there.write(_DAMON, "N")
        functions = parse_kallsyms(there.read("/proc/kallsyms").decode())
        return symbols, functions, guest.take_state()
