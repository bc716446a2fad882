"""Functions of callers, bound to one scheme: its operations and readers in place, and constants of the model.

`WRITERS` are the callers that change mappings, by name; `QUESTIONS` are what callers ask beyond the scheme's own readers.
A new one is a function in writers.py or readers.py and a row here.
"""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, NamedTuple, cast

from mapcount.check import locks, page_tables, readers, rechecks, writers
from mapcount.errors import UsageError
from mapcount.schemes import ops
from mapcount.schemes.scheme import Promise, Quantity, Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mapcount.schemes.bind import BoundScheme


class Writer(NamedTuple):
    """
    A caller that changes mappings by one operation of the scheme.

    `function` knows what is mapped; `finding` looks, in models whose page tables are words. None: there is no such.
    """

    function: Callable[..., object] | None
    operation: str
    finding: Callable[..., object] | None = None


class Question(NamedTuple):
    """
    What callers ask by a function of readers.py or rechecks.py; `words` are those of the scheme that it reads by itself.

    One that `unmaps` what it finds needs page tables that are words of the model.
    """

    reader: Reader
    function: Callable[..., object]
    words: tuple[str, ...] = ()
    unmaps: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names that its function uses."""
        return cast("FunctionType", self.function).__code__.co_names


WRITERS: dict[str, Writer] = {
    "fault": Writer(writers.fault_ptes, "map_ptes", page_tables.fault_found),
    "touch": Writer(None, "map_ptes", page_tables.fault_found),
    "insert": Writer(writers.insert_ptes, "map_ptes"),
    "fault_pmd": Writer(writers.fault_pmd, "map_pmd", page_tables.fault_pmd_found),
    "zap": Writer(writers.zap_ptes, "unmap_ptes", page_tables.zap_found),
    "zap_pmd": Writer(writers.zap_pmd, "unmap_pmd", page_tables.zap_pmd_found),
    "wp_page_copy": Writer(writers.wp_page_copy, "unmap_ptes", page_tables.zap_found),
    "madvise_dontneed": Writer(writers.madvise_dontneed, "unmap_ptes", page_tables.dontneed_found),
    "try_to_migrate": Writer(writers.try_to_migrate, "unmap_ptes"),
    "reuse": Writer(writers.reuse, "new_ptes"),
    "fork": Writer(writers.fork_ptes, "dup_ptes", page_tables.fork_found),
    "fork_pmd": Writer(writers.fork_pmd, "dup_pmd", page_tables.fork_pmd_found),
    "split_huge_pmd": Writer(writers.split_huge_pmd, "split_pmd", page_tables.split_pmd_found),
}


def _question(
    function: Callable[..., object],
    quantity: Quantity,
    says: str,
    words: tuple[str, ...] = (),
    *,
    unmaps: bool = False,
) -> Question:
    reader = Reader(cast("FunctionType", function).__name__, quantity, Promise.EXACT, says)
    return Question(reader, function, words, unmaps)


QUESTIONS: dict[str, Question] = {
    question.reader.name: question
    for question in (
        _question(
            readers.extra_references, Quantity.EXTRA_REFERENCES, "refcount less mapcount, the refcount read first"
        ),
        _question(
            readers.extra_references_mapcount_first,
            Quantity.EXTRA_REFERENCES,
            "refcount less mapcount, the mapcount read first",
        ),
        _question(readers.others_by_refcount, Quantity.OTHERS, "one word: more than one reference"),
        _question(readers.others_by_mapcount, Quantity.OTHERS, "the scheme's mapcount: more than one mapping"),
        _question(
            readers.others_by_owner,
            Quantity.OTHERS,
            "SHARED and mapcount against refcount, again under the lock of the slots",
            ("FOLIO_MM_IDS_LOCK", "_large_mapcount"),
        ),
        _question(
            rechecks.migration,
            Quantity.EXTRA_REFERENCES,
            "0 if the folio is migrated, all unmapped and its references compared",
            unmaps=True,
        ),
        _question(
            rechecks.split_to_the_end,
            Quantity.EXTRA_REFERENCES,
            "0 if the folio is split, all unmapped and its references compared",
            unmaps=True,
        ),
        _question(rechecks.remove_mapping, Quantity.MAPPED, "0 if the folio is reclaimed, its references compared"),
    )
}


def asked(scheme: BoundScheme, name: str) -> Reader | None:
    """Return what is asked by that name of this scheme; None if it has no words or readers to answer from."""
    own = next((reader for reader in scheme.scheme.readers if reader.name == name), None)
    question = QUESTIONS.get(name)
    if own is not None or question is None:
        return own
    declared = {place.word.name for place in scheme.scheme.places}
    lacks = {"folio_mapcount", "folio_mapped"}.intersection(question.names).difference(scheme.functions)
    can = declared.issuperset(question.words) and not lacks
    return question.reader if can else None


def bound(function: Callable[..., object], scheme: BoundScheme, constants: Mapping[str, int]) -> FunctionType:
    """
    Return a caller's function with the scheme's functions, and these constants, in place of the names in its module.

    Raises UsageError if the scheme lacks a function that it calls.
    """
    made: dict[str, FunctionType] = {}
    return _bound(cast("FunctionType", function), {**constants, **scheme.functions}, made, scheme)


def _bound(
    function: FunctionType, names: dict[str, object], made: dict[str, FunctionType], scheme: BoundScheme
) -> FunctionType:
    own = {**function.__globals__, **names}
    copy = made[function.__name__] = FunctionType(function.__code__, own, function.__name__, function.__defaults__)
    copy.__module__, copy.__doc__ = function.__module__, function.__doc__
    for name in function.__code__.co_names:
        called = own.get(name)
        if name not in own and name != "range":
            raise UsageError(f"{scheme.id} has no {name}, which {function.__name__} calls")
        if isinstance(called, FunctionType) and called.__module__ not in {ops.__name__, locks.__name__}:
            is_scheme = called is scheme.functions.get(name)
            own[name] = called if is_scheme else made.get(name) or _bound(called, names, made, scheme)
    return copy
