"""What is mapped where, roughly, after some steps: processes, their mappings and files. Nothing of pages or folios."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mapcount.scenarios.scenario import FIRST_PROCESS
from mapcount.scenarios.steps import (
    Exit,
    Expect,
    Fallocate,
    Fork,
    Memfd,
    Mmap,
    Mprotect,
    Mremap,
    Munmap,
    Protection,
    Reclaim,
    Span,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mapcount.mapping.schema import Kind
    from mapcount.scenarios.steps import Step


@dataclass(frozen=True)
class Stretch:
    """Pages that were mapped by one mmap, or what is left of them, with one protection: a part of a VMA."""

    span: Span
    kind: Kind
    protection: Protection = Protection.WRITE


@dataclass
class Process:
    """What a process has mapped, and the files it has open."""

    stretches: list[Stretch] = field(default_factory=list)
    files: set[str] = field(default_factory=set)

    def inside(self, span: Span) -> list[Stretch]:
        """Return what is mapped of a span, cut at its ends."""
        found = []
        for stretch in self.stretches:
            first, end = max(stretch.span.first, span.first), min(stretch.span.end, span.end)
            if stretch.span.area == span.area and first < end:
                found.append(replace(stretch, span=Span(span.area, first, end)))
        return found

    def holes(self, span: Span) -> Iterator[Span]:
        """Yield what is not mapped of a span, ascending."""
        at = span.first
        for stretch in sorted(self.inside(span), key=lambda one: one.span.first):
            if at < stretch.span.first:
                yield Span(span.area, at, stretch.span.first)
            at = stretch.span.end
        if at < span.end:
            yield Span(span.area, at, span.end)

    def cut(self, span: Span) -> list[Stretch]:
        """Unmap a span; return what was mapped of it."""
        gone, left = self.inside(span), []
        for stretch in self.stretches:
            if stretch.span.area != span.area:
                left.append(stretch)
                continue
            ends = (
                (stretch.span.first, min(stretch.span.end, span.first)),
                (max(stretch.span.first, span.end), stretch.span.end),
            )
            left += [replace(stretch, span=Span(span.area, first, end)) for first, end in ends if first < end]
        self.stretches = left
        return gone


class Standing:
    """The standing after the steps that were given to `apply`. It takes every system call to succeed."""

    def __init__(self) -> None:
        self.processes: dict[str, Process] = {FIRST_PROCESS: Process()}
        self.mapped: dict[str, Mmap] = {}
        """By area, the last mmap there, of whichever process."""
        self.file_pages: dict[str, int] = {}

    def missing(self, step: Step) -> str:
        """Return why a step makes no sense now, or nothing."""
        if isinstance(step, Reclaim) or (isinstance(step, Expect) and not step.process):
            return ""
        if step.process not in self.processes:
            there = " ".join(self.processes)
            return f"there is no process {step.process}; there are: {there}" if there else "all processes have exited"
        if isinstance(step, Fork) and step.child in self.processes:
            return f"there is a process {step.child} already"
        files = self.processes[step.process].files
        if isinstance(step, Memfd) and step.file in files:
            return f"process {step.process} has a file {step.file} already"
        file = step.file if isinstance(step, Mmap | Fallocate) else ""
        if file and file not in files:
            return f"process {step.process} has no file {file}: a memfd is seen by its maker and by children made later"
        return ""

    def apply(self, step: Step) -> None:
        """Take account of a step that makes sense."""
        if isinstance(step, Reclaim | Expect):
            return
        process = self.processes[step.process]
        match step:
            case Mmap():
                self.mapped[step.span.area] = step
                if not process.inside(step.span):
                    process.stretches.append(Stretch(step.span, step.kind))
            case Memfd():
                process.files.add(step.file)
                self.file_pages[step.file] = step.nr_pages
            case Munmap():
                process.cut(step.span)
            case Mprotect():
                changed = process.cut(step.span)
                process.stretches += [replace(one, protection=step.protection) for one in changed]
            case Mremap():
                _move(process, step)
            case Fork():
                self.processes[step.child] = Process(list(process.stretches), set(process.files))
            case Exit():
                del self.processes[step.process]
            case _:
                pass


def _move(process: Process, step: Mremap) -> None:
    moved, by = process.cut(step.span), step.to_page - step.span.first
    process.cut(Span(step.to_area, step.to_page, step.to_page + step.span.nr_pages))
    for one in moved:
        to = Span(step.to_area, one.span.first + by, one.span.end + by)
        process.stretches.append(replace(one, span=to))
