"""The question "Can the mapcount wrap?"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.explain.evidence import Figures, Heading
from mapcount.explain.question import Asked, Question, prose
from mapcount.explain.sources import LARGE_MAPCOUNT, MATTHEW, RFC_2026, THREAD
from mapcount.mapping.schema import Kind
from mapcount.schemes.catalogue import find_scheme
from mapcount.schemes.memory import wrap

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mapcount.explain.evidence import Part
    from mapcount.explain.given import Given

SCHEME, ORDER = "large-mapcount", 4
PTE_BYTES = 8
INT_BITS = 32
MOST = (1 << 31) - 1


def evidence(_given: Given) -> Iterator[Part]:
    """Map a folio once more that is mapped as often as an int can say."""
    scheme = find_scheme(SCHEME)
    memory = scheme.memory([ORDER], [Kind.SHMEM])
    scheme.functions["map_ptes"](memory, 0, ORDER, 0, 1, 1)
    word = memory.words["_large_mapcount"]
    # The counter begins at -1.
    word[0] = MOST - 1
    rows = []
    for _ in range(3):
        # The kernel's readers return an int.
        mapcount = wrap(int(scheme.functions["folio_mapcount"](memory, 0, ORDER, 0)), INT_BITS)
        rows.append((word[0], mapcount, "yes" if mapcount >= 1 else "no"))
        scheme.functions["map_ptes"](memory, 0, ORDER, 0, 1, 1)
    columns = (Heading("_large_mapcount"), Heading("folio_mapcount()"), Heading("is that mapped?", "text"))
    yield Figures("A folio mapped 2^31 - 1 times, and then once more, and again", columns, tuple(rows))
    tables = (MOST * PTE_BYTES,)
    yield Figures("Page tables that so many PTEs take", (Heading("memory", "bytes"),), (tables,))


QUESTION = Question(
    id="wrap",
    title="Can the mapcount wrap?",
    asked=(Asked("Can the counter overflow?", MATTHEW, "August 2023", verbatim=False),),
    answer=prose("""
        The counter has 32 bits and is signed. One mapping more than 2^31 - 1 makes it negative: the most mapped folio of
        all would look like one that nobody maps.

        Each mapping takes a reference before it is counted, and the number of references is as wide: it gets there
        first. So the mapcount cannot go all the way round. That it gets as far as 2^31 is not fully excluded: it takes
        16 GiB of page tables for one folio.
        """),
    evidence=evidence,
    history=prose("""
        The comment on folio_mapcount() says since 6.10 that references overflow first. The proposal of 2026 names the
        overflow of its counters, where they have 32 bits, as open, and would let fork and mapping fail early.
        """),
    sources=(THREAD, LARGE_MAPCOUNT, RFC_2026),
    words=("mapcount", "refcount"),
    again=("mapcount schemes large-mapcount",),
)
