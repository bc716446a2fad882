"""Where the words of a folio lie in one kernel, by its own BTF; kept in the user's cache under the image's hash.

No table per kernel: a field that a kernel lacks has no offset here.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mapcount.errors import KernelImageError
from mapcount.kernels.btf import Btf
from mapcount.kernels.vmlinux import read_section
from mapcount.user_cache import cache_directory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mapcount.kernels.images import Image

_FORMAT = 2
"""Of what is cached."""
PAGE_FIELDS = ("flags", "mapping", "index", "_mapcount", "_refcount", "compound_head", "compound_info")
SECOND_PAGE_FIELDS = ("compound_mapcount", "compound_order")
"""Of struct page, where the second page of a compound page has words of the whole (before struct folio had them)."""
FOLIO_FIELDS = (
    "_entire_mapcount",
    "_large_mapcount",
    "_nr_pages_mapped",
    "_deferred_list",
    "_folio_order",
    "_flags_1",
    "_folio_nr_pages",
    "_nr_pages",
    "_mm_ids",
    "_mm_id_mapcount[0]",
    "_mm_id_mapcount[1]",
)
THIRD_PAGE_FIELDS = ("deferred_list",)
"""Of struct page, for the third page."""
TASK_FIELDS = ("tasks", "pid", "mm")
MM_FIELDS = ("pgd", "mm_id")
STRUCT_PAGE_BYTES = 64
"""The only size that is known here: then no struct page crosses a page of the memory map."""


@dataclass(frozen=True)
class Layout:
    """
    Bytes from the start of a folio's first struct page for `folio`, of any page for `page`; from the start for the rest.

    `flags` are bit numbers of page flags by their names without PG_. What a kernel lacks is absent.
    """

    page: Mapping[str, int]
    folio: Mapping[str, int]
    task: Mapping[str, int]
    mm: Mapping[str, int]
    flags: Mapping[str, int]


def layout_of(image: Image) -> Layout:
    """Return the layout of an image. Raises KernelImageError if it has no BTF, or one that is not understood."""
    # Without a cache it merely takes longer.
    with contextlib.suppress(OSError, RuntimeError, ValueError, TypeError):
        return Layout(**json.loads(_cached(image).read_bytes()))
    found = read_layout(Btf(read_section(image.path, ".BTF")))
    with contextlib.suppress(OSError, RuntimeError):
        path = _cached(image)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".writing-") as directory:
            written = Path(directory) / path.name
            written.write_text(json.dumps(asdict(found)))
            os.replace(written, path)
    return found


def _cached(image: Image) -> Path:
    return cache_directory("layouts") / f"{image.sha256}-{_FORMAT}.json"


def read_layout(btf: Btf) -> Layout:
    """Return the layout that a kernel's BTF tells."""
    if (size := btf.size("page")) != STRUCT_PAGE_BYTES:
        raise KernelImageError(f"this kernel's struct page has {size} bytes; only {STRUCT_PAGE_BYTES} are understood")
    folio = _offsets(btf, "folio", FOLIO_FIELDS)
    for fields, page in ((SECOND_PAGE_FIELDS, 1), (THIRD_PAGE_FIELDS, 2)):
        folio |= {name: page * STRUCT_PAGE_BYTES + at for name, at in _offsets(btf, "page", fields).items()}
    return Layout(
        _offsets(btf, "page", PAGE_FIELDS),
        folio,
        _offsets(btf, "task_struct", TASK_FIELDS),
        _offsets(btf, "mm_struct", MM_FIELDS),
        {name.removeprefix("PG_"): bit for name, bit in btf.enumerators("pageflags").items()},
    )


def _offsets(btf: Btf, struct_name: str, fields: tuple[str, ...]) -> dict[str, int]:
    return {name: btf.offset(struct_name, name) for name in fields if btf.has(struct_name, name)}
