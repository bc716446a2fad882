"""Machines for evidence: mappings of which every number is known by construction."""

from __future__ import annotations

from builders import SnapshotBuilder
from mapcount.explain.given import Given, Taken
from mapcount.mapping.schema import Kind, Level


def machine():
    """11 anon folios of 64 KiB with 13 of 16 pages mapped, one whole of 2 MiB that two share by PMD, a file folio of 16 KiB."""
    builder = SnapshotBuilder()
    parent, child = builder.add_mm(comm="parent"), builder.add_mm(comm="child")
    heap, copy = builder.add_vma(parent), builder.add_vma(child)
    for _ in range(11):
        builder.map_pages(parent, heap, builder.add_folio(4), 0, 13)
    huge = builder.add_folio(9)
    builder.map_pages(parent, heap, huge, level=Level.PMD)
    builder.map_pages(child, copy, huge, level=Level.PMD)
    builder.map_pages(child, copy, builder.add_folio(2, Kind.FILE), 1, 2)
    return builder.build(kernel_release="6.18.44", mem_total_bytes=1 << 30)


GIVEN = Given(lambda: Taken(machine(), "A machine of tests"))


def no_machine():
    """Return what fails the test if evidence asks for a machine."""

    def refuse():
        raise AssertionError("this question is not about a machine")

    return Given(refuse)


def figures(parts, words):
    """Return the rows of the one table whose title holds `words`."""
    [found] = [part for part in parts if hasattr(part, "rows") and words in part.title]
    return [list(row) for row in found.rows]
