"""Records what a kernel does to the words of a folio in every operation: makes the tables of tests/golden/accesses.

python -m mapcount.kernels.record_accesses DIRECTORY KERNEL...
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mapcount.errors import EXIT_USAGE, GuestError, MapcountError
from mapcount.kernels.access_log import Decoder, born_at, until_freed
from mapcount.kernels.access_operations import operations
from mapcount.kernels.access_table import RecordedOperation, Recording, save_recording
from mapcount.kernels.access_words import CONTAINERS
from mapcount.scenarios.steps import area_address
from mapcount.schemes.eras import era_of
from mapcount.schemes.ops import Access
from mapcount.schemes.words import STRUCT_PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mapcount.kernels.access_log import FolioLog, Record
    from mapcount.kernels.access_operations import Operation, ReadSmaps
    from mapcount.scenarios.scenario import Settings
    from mapcount.scenarios.steps import Step

_KEPT_OTHERS = ("flags", "_refcount")
"""What is kept of stores to no word: list pointers are left out, since a neighbour in the list writes them."""


class WatchedGuest(Protocol):
    """A guest under the plugin, whose processes stand still between steps."""

    @property
    def release(self) -> str:
        """The kernel release, as `uname -r` has it."""
        ...

    @property
    def page_mapcount(self) -> bool:
        """Whether it keeps counts per page."""
        ...

    def begin(self, settings: Settings) -> None:
        """Start anew with process p."""
        ...

    def do(self, step: Step | ReadSmaps) -> int:
        """Carry out a step; return its result."""
        ...

    def end(self) -> None:
        """End all processes."""
        ...

    def settle(self) -> None:
        """Drain what holds references for a while, so that an operation does not begin in the middle of something."""
        ...

    def struct_page_address(self, process: str, address: int) -> int | None:
        """Return the address of the struct page of what a process maps there, None if it maps nothing or is no more."""
        ...

    def struct_pages(self, address: int | None, nr_pages: int) -> tuple[int, bytes]:
        """Return address and bytes of so many struct pages; without an address those of all page frames."""
        ...

    def watch(self, first: int, end: int, *, loads: bool) -> None:
        """Begin to log stores, LOCKed accesses and perhaps loads of struct pages in `[first, end)`."""
        ...

    def watched(self) -> Sequence[Record]:
        """Stop logging; return what was logged. Raises GuestError if there was no room for all of it."""
        ...

    def decoder(self) -> Decoder:
        """Return how this kernel's records are read."""
        ...


def record(guest: WatchedGuest, image: str, sha256: str) -> Recording:
    """Carry out every operation that this kernel can do, and return what it did. Raises GuestError if one fails."""
    return Recording(guest.release, guest.page_mapcount, image, sha256, tuple(_recorded(guest)))


def _recorded(guest: WatchedGuest) -> Iterator[RecordedOperation]:
    era = era_of(guest.release, page_mapcount=guest.page_mapcount)
    for operation in operations():
        if operation.runs_on(era):
            guest.begin(operation.settings)
            try:
                yield record_operation(guest, operation)
            finally:
                guest.end()


def record_operation(guest: WatchedGuest, operation: Operation) -> RecordedOperation:
    """Carry out one operation, after what leads to it, in a guest that was begun. Raises GuestError if a step fails."""
    head = None
    for step in operation.before:
        _done(guest, operation, step)
        head = _head(guest) or head
    guest.settle()
    nr_pages = 1 << operation.order
    first, before = guest.struct_pages(None if operation.born else head, nr_pages)
    guest.watch(first, first + len(before), loads=operation.reads)
    _done(guest, operation, operation.step)
    records = guest.watched()
    head = head or _head(guest)
    if head is None:
        raise GuestError(f"{operation.name}, order {operation.order}: {guest.release} mapped nothing")
    before = before[head - first : head - first + STRUCT_PAGE_BYTES * nr_pages]
    decoder = guest.decoder()
    since = born_at(records, head, nr_pages, decoder.function_of) if operation.born else 0
    log = decoder.decode(records, head, before, since=since)
    if log.torn:
        raise GuestError(f"{operation.name}: {log.torn} loads saw what no store had left: some stores were not seen")
    # A load of flags is of all the flags: it says nothing.
    kept = [access for access in log.accesses if access.how is not Access.LOAD or access.word not in CONTAINERS]
    accesses = until_freed(kept) if operation.frees else tuple(kept)
    return RecordedOperation(operation.name, operation.order, accesses, _others(log))


def _head(guest: WatchedGuest) -> int | None:
    """Nothing may be mapped there any more: after a step that zaps a PMD of a file, until the next fault."""
    return guest.struct_page_address("p", area_address("a"))


def _done(guest: WatchedGuest, operation: Operation, step: Step | ReadSmaps) -> None:
    result = guest.do(step)
    if result < 0:
        raise GuestError(f"{operation.name}, order {operation.order}: {step} failed on {guest.release} with {result}")


def _others(log: FolioLog) -> dict[str, int]:
    kept = {}
    for (how, name), count in log.others.items():
        if name.removeprefix("tail ") in _KEPT_OTHERS:
            kept[f"{'LOCKED' if how is Access.LOCKED else how.value} {name}"] = count
    return kept


def main(arguments: Sequence[str]) -> int:
    """Record kernels, as `find_image` knows them, into files of a directory; return the exit code."""
    if len(arguments) < 2:
        print("usage: python -m mapcount.kernels.record_accesses DIRECTORY KERNEL...", file=sys.stderr)  # noqa: T201
        return EXIT_USAGE
    from mapcount.kernels.images import find_image
    from mapcount.kernels.plugin_guest import PluginGuest

    directory, *names = arguments
    try:
        for name in names:
            image = find_image(name)
            with PluginGuest(image) as guest:
                told = f"{image.package} {image.package_version}".strip() or image.name
                save_recording(Path(directory) / f"{image.name}.json", record(guest, told, image.sha256))
    except MapcountError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
