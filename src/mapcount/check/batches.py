"""Which callers count a range of pages at once and which page by page: a reader can look between two calls, not into one.

What is one call to rmap is one operation, and takes effect at one moment; so whether a kernel makes one call of a range or
one for each page decides what was true in between. eras.py knows since when each caller makes one of it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mapcount.errors import UsageError
from mapcount.schemes.catalogue import find_scheme
from mapcount.schemes.eras import LAST_READ, era_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mapcount.check.model import Call

_POLICIES = {
    "fault": "batches_file_map",
    "touch": "batches_file_map",
    "insert": "batches_file_map",
    "zap": "batches_unmap",
    "madvise_dontneed": "batches_unmap",
    "wp_page_copy": "",
    "try_to_migrate": "",
    "fork": "batches_fork",
}
"""By caller (callers.WRITERS): the policy that says whether it takes a range at once; none: never."""


def as_called(scheme: str, calls: Iterable[Call], *, in_one: bool = False) -> tuple[Call, ...]:
    """
    Return calls as the first kernel with that scheme makes them: a range at once, or a piece for each page.

    With `in_one` the caller goes through its pages itself: one call, of so many pieces.
    """
    found: list[Call] = []
    for call in calls:
        if call.nr == 1 or call.via not in _POLICIES or _at_once(scheme, _POLICIES[call.via]):
            found.append(call)
        elif in_one:
            found.append(replace(call, pieces=call.nr))
        else:
            pages = range(call.first, call.first + call.nr)
            found += [replace(call, first=i, nr=1, piece=n, pieces=call.nr) for n, i in enumerate(pages)]
    return tuple(found)


def _at_once(scheme: str, policy: str) -> bool:
    if not policy:
        return False
    return bool(getattr(era_of("{}.{}".format(*_release(scheme)), page_mapcount=None).policies, policy))


def _release(scheme: str) -> tuple[int, int]:
    """Return the first release that counts in this way, of those whose scheme is known; else what it was proposed for."""
    name, based_on = scheme.partition(":")[0], find_scheme(scheme).scheme.based_on
    if based_on is not None:
        return based_on
    for major, minor in ((major, minor) for major in range(4, LAST_READ[0] + 1) for minor in range(20)):
        if not (4, 5) <= (major, minor) <= LAST_READ:
            continue
        try:
            found = era_of(f"{major}.{minor}", page_mapcount=None).scheme
        except UsageError:
            continue
        if found.partition(":")[0] == name:
            return major, minor
    return LAST_READ
