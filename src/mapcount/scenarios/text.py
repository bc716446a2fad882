"""Scenarios as text: the canonical form, one step a line. The parser gives back what was written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.mapping.schema import Kind
from mapcount.scenarios.expectations import RESULT
from mapcount.scenarios.scenario import Settings
from mapcount.scenarios.steps import (
    Access,
    Exit,
    Expect,
    Fallocate,
    Fork,
    Madvise,
    Memfd,
    Migrate,
    Mmap,
    Mprotect,
    Mremap,
    Munmap,
    Reclaim,
    Span,
)
from mapcount.scenarios.values import NO
from mapcount.scenarios.verbs import HUGEPAGE_WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mapcount.scenarios.scenario import Scenario
    from mapcount.scenarios.steps import Step


def text(scenario: Scenario) -> str:
    """
    Return a scenario as text. `parse` of it gives an equal scenario if it is given the same name.

    What it shows is one line. Loops, walks and other comments of a text that it came from are not in it: steps are.
    """
    head = [f"# {scenario.says}"] if scenario.says else []
    if scenario.needs != (0, 0):
        head.append("needs {}.{}".format(*scenario.needs))
    head += settings_lines(scenario.settings)
    return "\n".join([*head, *([""] if head else []), *map(step_text, scenario.steps), ""])


def settings_lines(settings: Settings) -> list[str]:
    """Return the lines `set ...` of settings, for those that are not as if nothing was said."""
    return [f"set {words}" for words in _settings(settings, Settings())]


def _settings(settings: Settings, default: Settings) -> Iterator[str]:
    if settings.thp != default.thp:
        yield f"thp {settings.thp}"
    for name, words in (("anon", settings.anon), ("shmem", settings.shmem)):
        for order, word in words.items():
            yield f"{name} {size_text(1 << order)} {word}"
    if settings.hugetlb_pages:
        yield f"hugetlb {settings.hugetlb_pages}"
    if settings.gigantic_pages:
        yield f"hugetlb-1G {settings.gigantic_pages}"
    if settings.swap:
        yield "swap"
    if settings.nodes != default.nodes:
        yield f"nodes {settings.nodes}"
    if settings.huge_zero_page:
        yield "huge-zero-page"
    if settings.max_ptes_none != default.max_ptes_none:
        yield f"max-ptes-none {settings.max_ptes_none}"


def step_text(step: Step) -> str:
    """Return a step as a line."""
    if isinstance(step, Expect):
        return _expect_text(step)
    return "reclaim" if isinstance(step, Reclaim) else f"{step.process}: {_call_text(step)}"


def span_text(span: Span) -> str:
    """Return pages as `a[5]` or `a[0:16]`."""
    return _range_text(span.area, span.first, span.end)


def size_text(nr_pages: int) -> str:
    """Return pages as a size: `2M`, `64k`."""
    for unit, pages in (("G", 1 << 18), ("M", 1 << 8)):
        if nr_pages % pages == 0:
            return f"{nr_pages // pages}{unit}"
    return f"{nr_pages * 4}k"


def _range_text(name: str, first: int, end: int) -> str:
    return f"{name}[{first}]" if end == first + 1 else f"{name}[{first}:{end}]"


def _place_text(area: str, page: int) -> str:
    return f"{area}[{page}]" if page else area


def _expect_text(step: Expect) -> str:
    if step.what == RESULT:
        return f"expect {RESULT} {step.value}"
    who = f"{step.process}: " if step.process else ""
    what = f"not {step.what}" if step.value == NO else f"{step.what} {step.value}".rstrip()
    return f"expect {who}{step.area}[{step.page}] {what}"


def _call_text(step: Step) -> str:
    match step:
        case Mmap():
            words = _mmap_text(step)
        case Memfd():
            words = f"memfd {step.file} {size_text(step.nr_pages)}"
        case Fallocate():
            words = f"{'punch' if step.punch else 'fallocate'} {_range_text(step.file, step.first, step.end)}"
        case Access():
            words = f"{'write' if step.write else 'read'} {span_text(step.span)}"
        case Munmap():
            words = f"munmap {span_text(step.span)}"
        case Madvise():
            words = f"{step.advice.value} {span_text(step.span)}"
        case Mprotect():
            words = f"mprotect {span_text(step.span)} {step.protection.value}"
        case Mremap():
            words = f"mremap {span_text(step.span)} {step.to_area}[{step.to_page}]"
        case Migrate():
            words = f"migrate {span_text(step.span)} to {step.node}"
        case Fork():
            words = f"fork {step.child}"
        case Exit():
            words = "exit"
        case _:
            raise AssertionError(step)
    return words


def _mmap_text(step: Mmap) -> str:
    words = ["mmap", _place_text(step.span.area, step.span.first), size_text(step.span.nr_pages)]
    words += [word for word, advice in HUGEPAGE_WORDS.items() if step.advice is advice]
    if step.kind is Kind.HUGETLB:
        words.append("hugetlb-1G" if step.gigantic else "hugetlb")
    if step.shared:
        words.append("shared")
    if step.file:
        words.append(_range_text(step.file, step.file_page, step.file_page + step.span.nr_pages))
    return " ".join(words)
