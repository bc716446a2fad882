"""mmap, memfd_create and fallocate: where mappings and files begin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.machine.file_fault import allocate
from mapcount.machine.folios import PMD_ORDER, PUD_ORDER, File
from mapcount.machine.hugetlb import unreserved
from mapcount.machine.punch import punch
from mapcount.machine.vmas import Vma
from mapcount.mapping.schema import Kind
from mapcount.scenarios.steps import Protection

if TYPE_CHECKING:
    from mapcount.machine.machine import Machine, Mm
    from mapcount.scenarios.steps import Fallocate, Mmap

EBADF, ENOMEM, EEXIST, EINVAL = -9, -12, -17, -22


def mmap(machine: Machine, mm: Mm, step: Mmap, first: int) -> int:
    """Map pages from number `first` on; refused where anything is mapped (MAP_FIXED_NOREPLACE)."""
    end = first + step.span.nr_pages
    order = 0 if step.kind is not Kind.HUGETLB else PUD_ORDER if step.gigantic else PMD_ORDER
    if (first | end) % (1 << order):
        return EINVAL
    if step.file and step.file not in mm.files:
        return EBADF
    if mm.vmas.overlapping(first, end):
        return EEXIST
    if order and unreserved(machine, order) < (end - first) >> order:
        return ENOMEM
    file = _file(mm, step, end - first)
    kind = Kind.HUGETLB if step.kind is Kind.HUGETLB else Kind.ANON if file is None else file.kind
    offset = step.file_page if step.file else 0 if file is not None else first
    vma = mm.vmas.add(
        Vma(
            machine.new_vma_id(),
            first,
            end,
            kind,
            step.shared,
            Protection.WRITE,
            file=file,
            offset=offset,
            hugetlb_order=order,
        )
    )
    if step.advice is not None:
        advice = step.advice
        mm.vmas.change(vma, first, end, lambda middle: setattr(middle, "advice", advice))
    return 0


def memfd(mm: Mm, name: str, nr_pages: int) -> int:
    """Make a file in memory; it stays open until the last process that has it exits."""
    mm.files[name] = File(name, nr_pages, users=1)
    return 0


def fallocate(machine: Machine, mm: Mm, step: Fallocate) -> int:
    """Give a file pages `[first, end)`, and it grows if it was smaller; or take them away, and it keeps its length."""
    file = mm.files.get(step.file)
    if file is None:
        return EBADF
    if step.punch:
        punch(machine, file, step.first, step.end)
        return 0
    allocate(machine, file, step.first, step.end)
    file.nr_pages = max(file.nr_pages, step.end)
    return 0


def _file(mm: Mm, step: Mmap, nr_pages: int) -> File | None:
    if step.file:
        file = mm.files[step.file]
    elif step.kind is Kind.HUGETLB or step.shared:
        file = File("", nr_pages, Kind.HUGETLB if step.kind is Kind.HUGETLB else Kind.SHMEM)
    else:
        return None
    file.users += 1
    return file
