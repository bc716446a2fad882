"""What the writers of a default model do: a kind of folio, who maps it at first, and one or two calls for each thread.

Every thread stands for another process; `half` is the middle page. Page counts and folios differ, the story stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mapcount.check.model import Call
from mapcount.mapping.schema import Kind

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Mix:
    """Who changes what: `calls` gives, for a number of pages, what has happened before and what each thread does."""

    id: str
    says: str
    kind: Kind
    calls: Callable[[int], tuple[tuple[Call, ...], tuple[tuple[Call, ...], ...]]]


def _zap_fault(pages: int) -> tuple[tuple[Call, ...], tuple[tuple[Call, ...], ...]]:
    start = (Call("map_ptes", 0, pages, 1), Call("map_ptes", pages // 2, pages - pages // 2, 2))
    first = (Call("unmap_ptes", 0, pages, 1, via="zap"), Call("map_ptes", 0, 1, 1, via="fault"))
    second = (Call("map_ptes", 0, 1, 2, via="fault"), Call("unmap_ptes", pages - 1, 1, 2, via="zap"))
    return start, (first, second)


def _pmd_and_ptes(pages: int) -> tuple[tuple[Call, ...], tuple[tuple[Call, ...], ...]]:
    start = (Call("map_ptes", 0, pages, 1),)
    first = (Call("unmap_ptes", 0, pages, 1, via="zap"),)
    second = (Call("map_pmd", mm=2, via="fault_pmd"),)
    return start, (first, second)


def _fork_zap(pages: int) -> tuple[tuple[Call, ...], tuple[tuple[Call, ...], ...]]:
    start = (Call("new_ptes", 0, pages, 1), Call("dup_ptes", 0, pages, 2))
    first = (Call("dup_ptes", 0, pages, 3, parent=1, via="fork"), Call("unmap_ptes", 0, 1, 1, via="zap"))
    second = (Call("unmap_ptes", 0, pages, 2, via="zap"),)
    return start, (first, second)


def _hand_over(pages: int) -> tuple[tuple[Call, ...], tuple[tuple[Call, ...], ...]]:
    half, rest = pages // 2, pages - pages // 2
    share = (Call("new_ptes", 0, pages, 1), Call("dup_ptes", 0, pages, 2), Call("dup_ptes", half, rest, 4))
    start = (*share, Call("unmap_ptes", half, rest, 1))
    first = (Call("dup_ptes", half, rest, 3, parent=2, via="fork"), Call("unmap_ptes", 0, pages, 2, via="zap"))
    second = (Call("unmap_ptes", half, rest, 4, via="zap"),)
    return start, (first, second)


def _migrate_fork(pages: int) -> tuple[tuple[Call, ...], tuple[tuple[Call, ...], ...]]:
    start = (Call("new_ptes", 0, pages, 1), Call("dup_ptes", 0, pages, 2))
    first = tuple(Call("unmap_ptes", i, 1, 1, via="try_to_migrate") for i in range(pages))
    second = (Call("dup_ptes", 0, pages, 3, parent=2, via="fork"), Call("unmap_ptes", 0, 1, 2, via="wp_page_copy"))
    return start, (first, second)


def _fault_touch(pages: int) -> tuple[tuple[Call, ...], tuple[tuple[Call, ...], ...]]:
    start = (Call("map_ptes", 0, pages, 1),)
    first = (Call("map_ptes", 0, pages, 2, via="fault"),)
    second = (Call("map_ptes", 0, 1, 1, via="touch"), Call("unmap_ptes", 0, pages, 1, via="zap"))
    return start, (first, second)


def _free_reuse(pages: int) -> tuple[tuple[Call, ...], tuple[tuple[Call, ...], ...]]:
    start = (Call("new_ptes", 0, pages, 1), Call("dup_ptes", 0, pages, 2))
    first = (Call("unmap_ptes", 0, pages, 1, via="zap"), Call("new_ptes", 0, pages, 3, via="reuse"))
    return start, (first, (Call("unmap_ptes", 0, pages, 2, via="zap"),))


def _split_zap(pages: int) -> tuple[tuple[Call, ...], tuple[tuple[Call, ...], ...]]:
    start = (Call("new_pmd", mm=1), Call("dup_pmd", mm=2), Call("dup_pmd", mm=3))
    first = (Call("split_pmd", mm=2, via="split_huge_pmd"), Call("unmap_ptes", 0, pages // 2, 2, via="zap"))
    second = (Call("unmap_pmd", mm=3, via="zap_pmd"),)
    return start, (first, second)


def _split_alone(pages: int) -> tuple[tuple[Call, ...], tuple[tuple[Call, ...], ...]]:
    del pages
    start = (Call("new_pmd", mm=1), Call("dup_pmd", mm=2))
    return start, ((Call("split_pmd", mm=2, via="split_huge_pmd"),),)


def _halves(pages: int) -> tuple[tuple[Call, ...], tuple[tuple[Call, ...], ...]]:
    start = (Call("new_ptes", 0, pages, 1), Call("dup_ptes", 0, pages, 2))
    first = (Call("unmap_ptes", 0, pages // 2, 1, via="zap"),)
    second = (Call("unmap_ptes", 0, pages // 2, 2, via="zap"),)
    return start, (first, second)


def _three_halves(pages: int) -> tuple[tuple[Call, ...], tuple[tuple[Call, ...], ...]]:
    half, rest = pages // 2, pages - pages // 2
    start = (Call("new_ptes", 0, pages, 1), Call("dup_ptes", 0, pages, 2), Call("dup_ptes", 0, pages, 3))
    return start, (
        (Call("unmap_ptes", 0, half, 1, via="zap"),),
        (Call("unmap_ptes", 0, half, 2, via="zap"),),
        (Call("dup_ptes", half, rest, 4, parent=3, via="fork"), Call("unmap_ptes", 0, half, 3, via="zap")),
    )


def _leave(pages: int) -> tuple[tuple[Call, ...], tuple[tuple[Call, ...], ...]]:
    start = (Call("new_ptes", 0, pages, 1), Call("dup_ptes", 0, pages, 2))
    return start, ((Call("unmap_ptes", 0, pages, 2, via="zap"),),)


def _three_ptes(pages: int) -> tuple[tuple[Call, ...], tuple[tuple[Call, ...], ...]]:
    start = (Call("map_ptes", 0, pages, 1), Call("map_ptes", 0, pages, 2))
    return start, (
        (Call("unmap_ptes", 0, pages, 1, via="zap"),),
        (Call("unmap_ptes", 0, pages, 2, via="zap"),),
        (Call("map_ptes", 0, pages, 3, via="insert"),),
    )


def _three_leave(pages: int) -> tuple[tuple[Call, ...], tuple[tuple[Call, ...], ...]]:
    start = tuple(Call("map_ptes", 0, pages, mm) for mm in range(1, 5))
    return start, tuple((Call("unmap_ptes", 0, pages, mm, via="zap"),) for mm in range(2, 5))


def _three_levels(pages: int) -> tuple[tuple[Call, ...], tuple[tuple[Call, ...], ...]]:
    start = (Call("map_ptes", 0, pages, 1), Call("map_pmd", mm=2))
    return start, (
        (Call("unmap_ptes", 0, pages, 1, via="zap"),),
        (Call("unmap_pmd", mm=2, via="zap_pmd"),),
        (Call("map_pmd", mm=3, via="fault_pmd"),),
    )


def _much_mapped(pages: int) -> tuple[tuple[Call, ...], tuple[tuple[Call, ...], ...]]:
    start = tuple(Call("map_ptes", pages - 1, 1, mm) for mm in (1, 2, 3))
    return start, ((Call("map_ptes", 0, 1, 4, via="fault"),),)


def _two_pmds(pages: int) -> tuple[tuple[Call, ...], tuple[tuple[Call, ...], ...]]:
    del pages
    start = (Call("map_pmd", mm=1),)
    return start, ((Call("unmap_pmd", mm=1, via="zap_pmd"),), (Call("map_pmd", mm=2, via="fault_pmd"),))


def _map_both(pages: int) -> tuple[tuple[Call, ...], tuple[tuple[Call, ...], ...]]:
    return (), (
        (Call("map_ptes", 0, pages, 1, via="insert"),),
        (Call("map_pmd", mm=2, via="fault_pmd"),),
    )


MIXES: dict[str, Mix] = {
    one.id: one
    for one in (
        Mix(
            "zap-fault",
            "a process unmaps all pages of a shmem folio and faults the first in again; another one faults it in and "
            "unmaps the last",
            Kind.SHMEM,
            _zap_fault,
        ),
        Mix(
            "pmd-and-ptes",
            "a process that maps a shmem folio by PTEs unmaps it while another one maps it by a PMD",
            Kind.SHMEM,
            _pmd_and_ptes,
        ),
        Mix(
            "fork-zap",
            "one of two processes that share an anon folio forks and unmaps its first page; the other one unmaps all",
            Kind.ANON,
            _fork_zap,
        ),
        Mix(
            "hand-over",
            "the reader's process has the first half of an anon folio, and two others have more of it; one of these gives "
            "the second half to a child and unmaps all, the other one unmaps that half: somebody else always maps it, at "
            "last the child alone",
            Kind.ANON,
            _hand_over,
        ),
        Mix(
            "migrate-fork",
            "migration replaces one process's PTEs of a shared anon folio one by one; another one forks and copies a page",
            Kind.ANON,
            _migrate_fork,
        ),
        Mix(
            "split-zap",
            "three processes share an anon folio by PMDs; one splits its PMD and unmaps the first half, another one unmaps its "
            "PMD; the first is the reader's",
            Kind.ANON,
            _split_zap,
        ),
        Mix(
            "fault-touch",
            "a process faults a shmem folio in; another one that maps it touches its first page, which maps it again if it is "
            "gone, and unmaps all (only where the reader unmaps what it finds)",
            Kind.SHMEM,
            _fault_touch,
        ),
        Mix(
            "free-reuse",
            "two processes that share an anon folio unmap it, which frees it unless the reader has a reference; a third one "
            "gets the memory and maps it as another folio",
            Kind.ANON,
            _free_reuse,
        ),
        Mix(
            "much-mapped",
            "the last page is mapped three times, and a process maps the first one",
            Kind.SHMEM,
            _much_mapped,
        ),
        Mix("two-pmds", "a process unmaps the only PMD while another one maps one", Kind.SHMEM, _two_pmds),
        Mix(
            "split-alone",
            "one of two processes that share an anon folio by PMDs splits its own",
            Kind.ANON,
            _split_alone,
        ),
        Mix(
            "leave",
            "of two processes that share an anon folio one unmaps all: the reader's is alone then",
            Kind.ANON,
            _leave,
        ),
        Mix("halves", "two processes that share an anon folio each unmap its first half", Kind.ANON, _halves),
        Mix(
            "three-halves",
            "three processes that share an anon folio each unmap its first half, one of them after a fork of the second",
            Kind.ANON,
            _three_halves,
        ),
        Mix(
            "three-ptes",
            "two processes unmap all pages of a shmem folio while a third one maps all",
            Kind.SHMEM,
            _three_ptes,
        ),
        Mix(
            "three-leave",
            "of four processes that map a shmem folio three unmap all: the reader's is alone then",
            Kind.SHMEM,
            _three_leave,
        ),
        Mix("map-both", "two processes map a shmem folio, one by PTEs, one by a PMD", Kind.SHMEM, _map_both),
        Mix(
            "three-levels",
            "one process unmaps a shmem folio's PTEs, another one its PMD, a third one maps it by a PMD",
            Kind.SHMEM,
            _three_levels,
        ),
    )
}
