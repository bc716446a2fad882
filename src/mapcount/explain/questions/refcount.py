"""The question "Why is the mapcount not the refcount?"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.explain.evidence import Figures, Heading
from mapcount.explain.models import race
from mapcount.explain.question import Asked, Question, prose
from mapcount.explain.scenes import play
from mapcount.explain.sources import LARGE_MAPCOUNT, MM_IDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mapcount.explain.evidence import Part
    from mapcount.explain.given import Given

RELEASE = "6.12"
STEPS = """
set shmem 64k always
p: memfd f 64k
p: mmap a 64k huge shared f[0:16]
p: write a[0]
p: fork c
c: write a[3]
p: munmap a[0:16]
"""


def evidence(_given: Given) -> Iterator[Part]:
    """Run a file in memory that two processes map, and draw how a pin hides from who compares the two counts."""
    columns = (Heading("after", "text"), Heading("mappings"), Heading("references"), Heading("more"))
    rows = []
    for seen in play(STEPS, RELEASE):
        if seen.observation.folios:
            mappings = seen.word("_large_mapcount") + 1
            references = seen.word("_refcount")
            rows.append((seen.step, mappings, references, references - mappings))
    yield Figures(f"A folio of a file in memory (model of {RELEASE})", columns, tuple(rows))
    yield race("Somebody has a pin, and compaction looks for one", "hidden-pin", "pin-never-hidden")


QUESTION = Question(
    id="refcount",
    title="Why is the mapcount not the refcount?",
    asked=(
        Asked(
            "It follows from the race: who needs to know whether a folio is used otherwise compares both.",
            "",
            "",
            verbatim=False,
        ),
    ),
    answer=prose("""
        Every mapping of a folio is a use of it, so it counts in both: first the reference is taken, then the mapping is
        counted; unmapping goes the other way round. But not every use is a mapping. The page cache has a reference for
        each page of a file's folio, the swap cache too, and whoever wants the memory to stay for a while takes one: a
        device that writes into it, or a part of the kernel that looks at it just now.

        So references less mappings is the number of other users, and kernel code asks for that before it moves, merges
        or throws away a folio. There it is again, the race: these are two words, read one after the other. Below,
        mappings come and go between the two reads, and the one extra user is not seen.
        """),
    evidence=evidence,
    history=prose("""
        Code that may not be wrong freezes the references: it sets them to 0 in one atomic step if they are exactly as many
        as expected, so that nobody can take one any more. Copy on write of large folios reads both under the lock of the
        counter since 6.15.
        """),
    sources=(
        "linux-mm, David Hildenbrand to Ryan Roberts, July 2023 (a mapcount above the refcount that was read before)",
        "mm/memory.c copy_present_ptes() and zap_present_folio_ptes(), 7.1: the order of the two",
        LARGE_MAPCOUNT,
        MM_IDS,
    ),
    words=("refcount", "mapcount", "pin"),
    again=("mapcount check hidden-pin", "mapcount check large-mapcount/compaction/fork-zap/2 --with-lock ptl"),
)
