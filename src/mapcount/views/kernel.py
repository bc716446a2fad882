"""What a kernel takes for the mapcount of each page, whether it calls it private, and what its statistics hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mapcount.errors import UsageError
from mapcount.mapping.schema import Kind
from mapcount.schemes.eras import Bit56
from mapcount.views.reading import PSS_SHIFT, Reading, axis_of, known_to_rmap
from mapcount.views.steps import Steps

if TYPE_CHECKING:
    import numpy.typing as npt

    from mapcount.mapping.schema import I64, Bools
    from mapcount.mapping.snapshot import Snapshot
    from mapcount.replay.result import Replayed
    from mapcount.schemes.eras import Quirks
    from mapcount.schemes.scheme import Scheme


def kernel_reading(snapshot: Snapshot, replayed: Replayed, quirks: Quirks) -> Reading:
    """
    Return what a kernel reads that counts by `replayed.scheme`, in an era with `quirks`.

    The rows of `replayed.folios` must be those of `snapshot.folios`. Raises UsageError if the scheme does not answer what
    fs/proc of that era asks. Migration entries, which smaps counts as shared once (6.11), are not in a snapshot. The
    shortcut of smaps_account() for a reference count of 1 changes nothing: such a folio has one entry, mapcount 1.
    """
    base, known = axis_of(snapshot), known_to_rmap(snapshot)
    average = quirks.average_page_mapcount
    mapcount = _answer(replayed, "folio_average_page_mapcount" if average else "page_mapcount", base, known)
    private = mapcount.with_values((mapcount.values < 2).astype(np.int64))
    bit = mapcount.with_values((mapcount.values == 1).astype(np.int64))
    if quirks.private_by_folio or quirks.bit56 is Bit56.FOLIO:
        shared = _answer(replayed, "mapped_shared", base, known)
        exclusive = shared.with_values((shared.values == 0).astype(np.int64))
        private = exclusive if quirks.private_by_folio else private
        bit = exclusive if quirks.bit56 is Bit56.FOLIO else bit
    small = snapshot.small.mappings.astype(np.int64)
    return Reading(
        mapcount=mapcount,
        pss=mapcount.with_values(_share(mapcount.values, snapshot.meta.page_size)),
        private=private,
        bit=bit,
        stats=replayed.stats * known,
        partially_mapped=replayed.partially_mapped,
        small_pss=_share(small, snapshot.meta.page_size),
        small_private=small < 2,
        in_shared_table=_in_shared_table(snapshot, mapcount.at(base[:-1])),
        pmd_bit_of_first_page=quirks.bit56 is Bit56.FIRST_PAGE,
        pss_by_entry=quirks.pss_by_entry,
    )


def why_not(scheme: Scheme, quirks: Quirks) -> str | None:
    """Return why a kernel that counts by this scheme has no such reading; None if it has one."""
    name = "folio_average_page_mapcount" if quirks.average_page_mapcount else "page_mapcount"
    if any(reader.name == name for reader in scheme.readers):
        return None
    return f"no {name}: {scheme.cannot.get(name, 'it has no such reader')}"


def _answer(replayed: Replayed, name: str, base: I64, known: Bools) -> Steps:
    """Return what a reader says of each page; 0 of folios that rmap does not know."""
    scheme = replayed.scheme.scheme
    reader = next((reader for reader in scheme.readers if reader.name == name), None)
    if reader is None:
        why = scheme.cannot.get(name, "it has no such reader")
        raise UsageError(f"{replayed.scheme.id} does not answer {name}, which fs/proc of this era asks: {why}")
    answer = replayed.answers[name]
    if reader.per_page:
        return Steps.of_pages(answer * np.repeat(known, np.diff(base)))
    return Steps(base, answer * known)


def _in_shared_table(snapshot: Snapshot, mapcount: I64) -> Bools:
    """Tell which hugetlb folios more mms were seen to map than the kernel counts entries of."""
    runs, kind = snapshot.runs, snapshot.folios.kind
    begins = runs.folio_id[(runs.first_page == 0) & (kind[runs.folio_id] == Kind.HUGETLB)]
    shared: Bools = (np.bincount(begins, minlength=len(kind)) > mapcount) & (kind == Kind.HUGETLB)
    return shared


def _share(mapcount: npt.NDArray[Any], page_size: int) -> I64:
    share: I64 = (page_size << PSS_SHIFT) // np.maximum(mapcount, 1)
    return share
