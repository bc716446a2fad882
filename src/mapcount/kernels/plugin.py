"""The plugin that logs accesses to struct pages: built from accesses.c when it is needed, switched, and read.

    plugin = build_plugin()
    options = plugin_options(plugin, log=..., ram=...)     # for QEMU's command line
    watch = AccessWatch(log)                               # when the guest has booted
    watch.begin(first, end)
    ...
    records = watch.end()

QEMU 7.2 or later with TCG and one CPU. The kernel must be told `noreplace-smp`, else it has no LOCK prefixes there.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from mapcount.errors import GuestError
from mapcount.kernels.access_log import LOCKED_STORE, STORE, Record
from mapcount.kernels.c_build import build
from mapcount.schemes.words import STRUCT_PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    import numpy.typing as npt

SOURCE = Path(__file__).with_name("accesses.c")
FLAGS = ("-shared", "-fPIC", "-O2", "-Wall", "-fvisibility=hidden")
ALL_SIZES = 1 + 2 + 4 + 8
ALL_WORDS = (1 << STRUCT_PAGE_BYTES // 4) - 1
RECORD = np.dtype(
    [
        ("pc", "<u8"),
        ("address", "<u8"),
        ("value", "<u8"),
        ("context", "<u4"),
        ("kind", "u1"),
        ("size", "u1"),
        ("bit", "u1"),
        ("pad", "u1"),
    ]
)
"""A record, as in accesses.c."""
_CONTROL = (
    *("magic", "on", "base", "first", "end", "loads", "words", "sizes", "context"),
    *("count", "lost", "nr_pages", "nr_records"),
)
"""struct control of accesses.c."""
_MAGIC = 0x737365636361
_MARKS_AT, _RECORDS_AT = 4096, 8192
_MOST_MARKS = (_RECORDS_AT - _MARKS_AT) // 8 - 1


def build_plugin() -> Path:
    """
    Return the path of the plugin; compile it unless the user's cache has it.

    Raises MissingToolError if there is no gcc or it fails, or if the cache cannot be written.
    """
    return build(
        SOURCE, FLAGS, "plugin", what="the plugin of QEMU that logs accesses", packages="gcc libc6-dev", suffix=".so"
    )


def plugin_options(plugin: Path, log: Path, ram: Path | str, *, nr_pages: int, nr_records: int = 1 << 20) -> list[str]:
    """Return QEMU's options: `log` is sized by the plugin, `ram` is the guest's memory: a path, or the name of a memfd."""
    return ["-plugin", f"{plugin},log={log},ram={ram},pages={nr_pages},records={nr_records}"]


class AccessWatch:
    """The log of a running guest, shared with the plugin. A context manager; the file is its owner's."""

    def __init__(self, log: Path) -> None:
        """Open it. Raises GuestError if the plugin did not make it, or is not this one."""
        try:
            self._bytes: npt.NDArray[np.uint8] | None = np.memmap(log, np.uint8, "r+")
        except (OSError, ValueError) as error:
            raise GuestError(f"The plugin of QEMU left no log at {log}: {error}") from error
        control = self._bytes[: 8 * len(_CONTROL)].view("<u8")
        self._control = {name: control[i : i + 1] for i, name in enumerate(_CONTROL)}
        if self._get("magic") != _MAGIC:
            raise GuestError(f"{log} is no log of this plugin")
        nr_pages, nr_records = self._get("nr_pages"), self._get("nr_records")
        counts_at = _RECORDS_AT + nr_records * RECORD.itemsize
        self._marks = self._bytes[_MARKS_AT:_RECORDS_AT].view("<u8")
        self._records = self._bytes[_RECORDS_AT:counts_at].view(RECORD)
        self.counts: npt.NDArray[np.uint32] = (
            self._bytes[counts_at:].view("<u4").reshape(2, nr_pages, STRUCT_PAGE_BYTES // 4)
        )
        """[plain, LOCKED][page frame][word]: stores since the guest started, always counted, whatever is logged."""

    def begin(
        self,
        first: int,
        end: int,
        *,
        loads: bool = False,
        words: int = ALL_WORDS,
        sizes: int = ALL_SIZES,
        context: int = 0,
        entries: Iterable[int] = (),
    ) -> None:
        """
        Log accesses to struct pages at addresses `[first, end)`, anew.

        Bit w of `words` is for the w-th four bytes of a struct page; `sizes` is the sum of the widths in bytes. With each
        record go four bytes at offset `context` of the struct page. Calls of functions that start at `entries` (at most
        511) are marked.
        """
        addresses = sorted(entries)
        assert len(addresses) <= _MOST_MARKS, f"{len(addresses)} functions to mark"
        self._marks[1 : 1 + len(addresses)] = addresses
        self._marks[0] = len(addresses)
        asked = {"first": first, "end": end, "loads": loads, "words": words, "sizes": sizes, "context": context}
        for name, value in asked.items():
            self._control[name][0] = int(value)
        self._control["count"][0] = self._control["lost"][0] = 0
        self._control["on"][0] = 1

    def end(self) -> npt.NDArray[Any]:
        """Stop logging; return a copy of the records. Raises GuestError if there was no room for all of them."""
        self._control["on"][0] = 0
        if lost := self._get("lost"):
            raise GuestError(
                f"The log of accesses holds {self._get('nr_records')} records, and {lost} more were made: "
                "watch fewer struct pages or words, or give it more room"
            )
        return self._records[: self._get("count")].copy()

    def close(self) -> None:
        """Let go of the file."""
        self._bytes = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _get(self, name: str) -> int:
        return int(self._control[name][0])


def records_of(array: npt.NDArray[Any]) -> list[Record]:
    """Return records of `AccessWatch.end` one by one."""
    columns = (array[name].tolist() for name in ("kind", "pc", "address", "size", "value", "bit", "context"))
    return [Record(*row) for row in zip(*columns, strict=True)]


def is_write(array: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return which records are stores, plain or of a LOCKed instruction."""
    return np.isin(array["kind"], (STORE, LOCKED_STORE))
