"""The page of `report`: sizes and states first, then the folios themselves, who has them, what is wasted, what would change."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from mapcount.report import checks, matrix, provenance
from mapcount.report.html import folio_data, owner_sections, size_sections
from mapcount.report.html.page import Column, Custom, Facts, Page, Section, Table
from mapcount.report.text import plural
from mapcount.survey.folio_map import MOST_FOLIOS
from mapcount.units import format_folio_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mapcount.mapping.snapshot import Metadata
    from mapcount.survey.folio_map import FolioMap
    from mapcount.survey.states import StateRow
    from mapcount.survey.types import Check, Survey
    from mapcount.views.outlook import OutlookRow


@dataclass(frozen=True)
class Surveyed:
    """All that the page of a snapshot is made of."""

    survey: Survey
    states: Sequence[StateRow]
    folios: FolioMap
    outlook: Sequence[OutlookRow] | None
    """None where there is nothing to compare (views/outlook.py)."""


def report_page(found: Surveyed) -> Page:
    """Return the page of one snapshot."""
    survey = found.survey
    sections = (
        _overview(found),
        _checks(survey.checks),
        _map(found.folios),
        owner_sections.processes(survey.processes),
        owner_sections.programs(survey.programs),
        owner_sections.cgroups(survey.cgroups),
        owner_sections.waste(survey),
        size_sections.outlook(found.outlook),
        size_sections.cuts(survey),
        size_sections.memory(survey.memory),
        size_sections.since_boot(survey.since_boot),
        obtained(survey.meta),
    )
    return Page(
        command="report",
        title=title_of(survey.meta),
        lead=[*matrix.headline(survey), *_judged(survey.checks)],
        sections=[section for section in sections if section],
        packed=folio_data.data(found.folios),
    )


def title_of(meta: Metadata) -> str:
    """Return what a page is about, in a line: whose mappings, and of when."""
    if not meta.started_at:
        return f"Mappings of folios on a model of {meta.kernel_release}"
    return f"Mappings of folios on {meta.host or 'a machine'}, {meta.kernel_release}, {provenance.utc(meta.started_at)}"


def obtained(meta: Metadata) -> Section:
    """Return how the numbers came to be: kernel, settings, window, races, cost."""
    lines = Facts("provenance", "How this was obtained", provenance.lines(meta))
    return Section("obtained", "How this was obtained", "", [lines], [f"Note: {words}" for words in meta.notes])


_UNMAPPED = (
    "Mappings seen: a folio that is pinned, or held by the kernel alone, looks unmapped. Unmapped pages of file and shmem "
    "folios hold data: cache, not waste."
)


def _overview(found: Surveyed) -> Section:
    page_size = found.survey.meta.page_size
    rows = [asdict(row) | {"size": format_folio_size(row.order, page_size)} for row in found.states]
    return Section(
        "sizes",
        "Folios by size and state",
        "Each row is one kind and size of folio, each column a state; a cell says how much memory, or how many folios, and "
        "its shade how large a part of the whole that is. Whole: some process maps every page of the folio; in part: some "
        "pages are mapped by nobody. One: all mappings belong to one address space; shared: to several. Wasted is memory of "
        "anon folios that nothing maps and that is not in the swap cache. Click a cell to see these folios in the map.",
        [Custom("matrix", "matrix", "Folios by size and state", rows), size_sections.details(found.survey)],
        (_UNMAPPED,),
    )


def _map(folios: FolioMap) -> Section:
    return Section(
        "folios",
        "Folio map",
        "Every cell is a large folio and its area is its size: the map is to scale, 4 KiB pages along a curve, largest folios "
        "of a group first. Colour and glyph are its state; what nobody maps is hatched. Click a folio to see who maps which of "
        "its pages; once clicked, scroll to zoom, or Ctrl and scroll at any time, and drag to move. By keys: arrows step from "
        "folio to folio, Enter opens one, + and - zoom, Shift and arrows move, 0 shows all.",
        [Custom("map", "folio-map", "Folio map", None), Custom("folio-table", "folio-table", "Large folios", None)],
        list(_map_notes(folios)),
    )


def _map_notes(folios: FolioMap) -> Iterator[str]:
    shown, total = len(folios.rows), len(folios.facts.pages)
    if total > shown:
        yield (
            f"{plural(shown, 'folio')} of {total:,} are shown one by one: those that hold most waste, then the largest. The "
            f"other {total - shown:,} are binned: folios alike in size, state and lowest process share one area of their "
            "true size."
        )
    else:
        yield f"All {plural(total, 'large folio')} are shown one by one (up to {MOST_FOLIOS:,} would be)."
    if without := int((folios.run_begin[1:] == folios.run_begin[:-1]).sum()):
        yield f"Of {plural(without, 'folio')} the page ranges are left out for size; who maps how much is there."
    yield (
        "Places in the map are no addresses and no page frame numbers, which a snapshot does not hold. Order-0 folios are not "
        "in it: they are in the matrix and in Rss."
    )


_VERDICTS = ("equal", "bounded", "unexplained")
_GLYPHS = {"equal": "= equal", "bounded": "~ bounded", "unexplained": "! unexplained"}


def _judged(found: Sequence[Check]) -> list[str]:
    if not found:
        return []
    count = Counter(check.verdict for check in found)
    parts = ", ".join(f"{count[verdict]:,} {verdict}" for verdict in _VERDICTS)
    return [f"Of {plural(len(found), 'self-check')} against the kernel's own numbers: {parts}."]


def _checks(found: Sequence[Check]) -> Section | None:
    if not found:
        return None
    columns = [
        Column("check", "check", "text"),
        Column("unit", "unit", "text"),
        Column("ours", "ours", "by_unit", "our number"),
        Column("kernel", "kernel's", "by_unit", "its reading after the capture, or the nearer end of the band"),
        Column("difference", "difference", "change_by_unit"),
        Column("verdict", "verdict", "text"),
        Column("note", "why they may differ", "text"),
    ]
    ranked = sorted(found, key=lambda check: -_VERDICTS.index(check.verdict))
    rows = [
        [check.name, check.unit, check.ours, check.kernel, check.difference, _GLYPHS[check.verdict], check.note]
        for check in ranked
    ]
    return Section(
        "checks",
        "Self-checks",
        "Each row holds a number of ours to the kernel's own. equal: the same. bounded: within what its readings before and "
        "after allow, or off in the direction that is known. unexplained: neither; then believe neither number yet.",
        [Table("checks-table", "Self-checks", columns, rows)],
        [checks.summary(*group) + "." for group in checks.per_process(found).items()],
    )
