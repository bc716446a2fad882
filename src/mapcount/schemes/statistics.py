"""What rmap does to NR_ANON_MAPPED, NR_FILE_MAPPED and the PMD-mapped statistics. The same in all kernels since 4.5."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.schemes.ops import (
    NR_ANON_MAPPED,
    NR_ANON_THPS,
    NR_FILE_MAPPED,
    NR_FILE_PMDMAPPED,
    NR_SHMEM_PMDMAPPED,
    folio_test_anon,
    folio_test_shmem,
    mod_stat,
)

if TYPE_CHECKING:
    from mapcount.schemes.memory import Memory


def mod_mapped(m: Memory, folio: int, pages: int) -> None:
    """Change AnonPages or Mapped of meminfo by `pages`. Source: __folio_mod_stat(), mm/rmap.c, 6.10."""
    if pages:
        if folio_test_anon(m, folio):
            mod_stat(m, folio, NR_ANON_MAPPED, pages)
        else:
            mod_stat(m, folio, NR_FILE_MAPPED, pages)


def mod_pmdmapped(m: Memory, folio: int, pages: int) -> None:
    """Change AnonHugePages, ShmemPmdMapped or FilePmdMapped by `pages`. Source: as above."""
    if pages:
        if folio_test_anon(m, folio):
            mod_stat(m, folio, NR_ANON_THPS, pages)
        elif folio_test_shmem(m, folio):
            mod_stat(m, folio, NR_SHMEM_PMDMAPPED, pages)
        else:
            mod_stat(m, folio, NR_FILE_PMDMAPPED, pages)
