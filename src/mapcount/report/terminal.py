"""The report for people: sections in order, as text of at most 80 columns."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from rich.console import Console

from mapcount.report import checks, cuts, matrix, memory, outlook, owners, processes, provenance, since_boot, sizes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from rich.console import RenderableType

    from mapcount.report.table import View
    from mapcount.survey.types import Survey
    from mapcount.views.outlook import OutlookRow

_SECTIONS: tuple[Callable[[Survey, View], Iterator[RenderableType]], ...] = (
    matrix.section,
    processes.section,
    since_boot.section,
    cuts.section,
    memory.section,
    checks.section,
    provenance.section,
)


def report(survey: Survey, rows: Sequence[OutlookRow] | None, view: View) -> Iterator[RenderableType]:
    """Yield the whole report, what matters most first; `rows` are what another way of counting would change."""
    for section in _SECTIONS:
        if section is memory.section:
            yield from outlook.section(rows, view)
        yield from section(survey, view)


def one_table(
    survey: Survey, by: str, view: View, extra: Sequence[Any] = (), folios: int = 0
) -> Iterator[RenderableType]:
    """
    Yield one table in detail; `by` is size, process, cgroup, program, vma or folio.

    `extra` are the rows of VMAs or folios, which a survey leaves out; `folios` how many folios there are in all.
    """
    if by == "size":
        yield from sizes.section(survey, view)
    elif by == "process":
        yield from processes.detail(survey, view)
    elif by == "cgroup":
        yield from owners.owners(survey.cgroups, "charged cgroup", view)
    elif by == "program":
        yield from owners.owners(survey.programs, "program", view)
    elif by == "vma":
        yield from owners.vmas(extra, view)
    else:
        yield from owners.folios(extra, view, survey.meta.page_size, folios)


def render(parts: Iterable[RenderableType], *, width: int, colour: bool) -> str:
    """Return the parts as text; without `colour` it holds no escape sequence at all (not even bold)."""
    console = Console(
        file=io.StringIO(),
        width=width,
        color_system="standard" if colour else None,
        force_terminal=colour,
        markup=False,
        highlight=False,
        emoji=False,
        legacy_windows=False,
        _environ={},
    )
    with console.capture() as captured:
        for part in parts:
            console.print(part)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"
