"""The recorder, before a guest that only pretends: what it asks, in which order, and what it refuses to record."""

from __future__ import annotations

import pytest

from mapcount.errors import GuestError
from mapcount.kernels.access_log import LOAD, LOCKED_LOAD, LOCKED_STORE, STORE, Decoder, Record
from mapcount.kernels.access_operations import operations
from mapcount.kernels.access_words import WordBits
from mapcount.kernels.record_accesses import record, record_operation
from mapcount.kernels.word_access import WordAccess
from mapcount.scenarios.steps import Fork, Mmap
from mapcount.schemes.ops import Access

VMEMMAP, FRAMES, HEAD = 0xFFFFEA0000000000, 2048, 0xFFFFEA0000000000 + 64 * 512
OPERATIONS = {(operation.name, operation.order): operation for operation in operations()}


class Pretended:
    """A 6.12 in which p maps the folio at HEAD once a byte was written; `happens` is what each watched step does."""

    release = "6.12.1"
    page_mapcount = True

    def __init__(self, happens=(), results=None):
        self.happens, self.results = list(happens), results or {}
        self.told, self.mapped, self.watching = [], False, None

    def begin(self, settings):
        self.told.append("begin")
        self.mapped = False

    def end(self):
        self.told.append("end")

    def settle(self):
        self.told.append("settle")

    def do(self, step):
        self.told.append(type(step).__name__)
        self.mapped |= not isinstance(step, Mmap)
        return self.results.get(type(step), 0)

    def struct_page_address(self, process, address):
        return HEAD if self.mapped else None

    def struct_pages(self, address, nr_pages):
        first = VMEMMAP if address is None else address
        return first, bytes(64 * (FRAMES if address is None else nr_pages))

    def watch(self, first, end, *, loads):
        self.told.append(("watch", first, end, loads))

    def watched(self):
        self.told.append("watched")
        return self.happens

    def decoder(self):
        words = [WordBits("_mapcount", None, 48 * 8), WordBits("_refcount", 0, 52 * 8)]
        return Decoder(
            words, {0: ("flags", 8), 8: ("lru", 16), 52: ("_refcount", 4)}, {7: "rmap", 8: "maker"}.__getitem__
        )


def test_only_the_step_itself_is_watched_after_all_has_settled():
    guest = Pretended([Record(LOCKED_LOAD, 7, HEAD + 48, 4, 0), Record(LOCKED_STORE, 7, HEAD + 48, 4, 1)])
    recorded = record_operation(guest, OPERATIONS["fork of a PMD", 9])

    assert guest.told == ["Mmap", "Access", "settle", ("watch", HEAD, HEAD + 512 * 64, False), "Fork", "watched"]
    assert recorded.accesses == (WordAccess(Access.LOCKED, "_mapcount", 0, 0, 1, "rmap"),)


def test_where_a_folio_is_born_all_frames_are_watched_and_its_own_kept():
    guest = Pretended(
        [
            Record(STORE, 8, HEAD + 64 + 8, 8, HEAD | 1),
            Record(STORE, 7, HEAD + 64 + 48, 4, 3),
            Record(STORE, 7, HEAD - 64 + 48, 4, 5),
            Record(STORE, 7, HEAD, 8, 1),
            Record(STORE, 7, HEAD + 8, 8, 1),
            Record(STORE, 7, HEAD + 56, 8, 1),
        ]
    )
    recorded = record_operation(guest, OPERATIONS["first mapping by PMD", 9])

    assert ("watch", VMEMMAP, VMEMMAP + 64 * FRAMES, False) in guest.told
    assert recorded.accesses == (WordAccess(Access.STORE, "_mapcount", 1, 0, 3, "rmap"),)
    assert recorded.others == {"store flags": 1}, (
        "list pointers are a neighbour's business; and what follows _refcount is not it"
    )


def test_of_readers_loads_are_watched():
    guest = Pretended([Record(LOAD, 7, HEAD + 48, 4, 0)])
    recorded = record_operation(guest, OPERATIONS["smaps of PTEs", 4])

    assert ("watch", HEAD, HEAD + 16 * 64, True) in guest.told
    assert [access.how for access in recorded.accesses] == [Access.LOAD]


def test_stores_that_were_not_seen_are_no_recording():
    guest = Pretended([Record(LOCKED_LOAD, 7, HEAD + 48, 4, 9), Record(LOCKED_STORE, 7, HEAD + 48, 4, 10)])
    with pytest.raises(GuestError, match="1 loads saw what no store had left"):
        record_operation(guest, OPERATIONS["fork of a PMD", 9])


def test_a_step_that_fails_is_told_with_its_result():
    with pytest.raises(GuestError, match=r"fork of a PMD, order 9: Fork.* failed on 6\.12\.1 with -12"):
        record_operation(Pretended(results={Fork: -12}), OPERATIONS["fork of a PMD", 9])


def test_a_kernel_that_maps_nothing_is_told():
    guest = Pretended()
    guest.struct_page_address = lambda process, address: None
    with pytest.raises(GuestError, match=r"6\.12\.1 mapped nothing"):
        record_operation(guest, OPERATIONS["first mapping by PMD", 9])


def test_every_operation_gets_processes_of_its_own_which_end_also_on_failure():
    guest = Pretended()
    recording = record(guest, "an image", "0" * 64)
    assert [(one.name, one.order) for one in recording.operations] == list(OPERATIONS)
    assert guest.told.count("begin") == guest.told.count("end") == len(OPERATIONS)

    guest = Pretended(results={Fork: -12})
    with pytest.raises(GuestError):
        record(guest, "an image", "0" * 64)
    assert guest.told[-1] == "end"


def test_kernels_without_large_anon_folios_below_a_pmd_are_not_asked_for_them():
    guest = Pretended()
    guest.release = "6.1.0"
    assert {one.order for one in record(guest, "an image", "0" * 64).operations} == {9}
