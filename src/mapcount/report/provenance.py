"""How the numbers came to be: kernel, settings, window, races, cost."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mapcount.report.layout import heading, note
from mapcount.report.text import plural, printable
from mapcount.units import format_bytes, format_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from mapcount.mapping.snapshot import Metadata
    from mapcount.report.table import View
    from mapcount.survey.types import Survey

_COUNTS = {
    "exact": "exact: kpagecount keeps one count per page",
    "average": "average: kpagecount gives the folio's average (CONFIG_NO_PAGE_MAPCOUNT)",
}

_RACES = {
    "pages_disagreed": "whose mappings and kpagecount differed at first",
    "pages_read_again": "read again",
    "pages_vanished": "left out, because they came or went while they were read",
    "pages_given_to_the_later_process": "seen in several processes and counted for the one read last",
    "pages_over": "with more mappings found than the kernel counts, or that moved",
    "pages_under": "that somebody maps whom we did not read",
    "bit_56_unlike_kpagecount": "of which bit 56 of pagemap and kpagecount say different things",
    "hugetlb_pages_in_shared_tables": "of hugetlb in a page table that processes share (no error)",
    "pages_pmd_or_pte_not_told": "of which it is not known whether PMDs or PTEs map them",
}
"""What to say after `7 pages`, by the names that `Metadata.races` documents."""


def section(survey: Survey, view: View) -> Iterator[RenderableType]:
    """Yield one line per fact, then the notes of the capture."""
    yield heading("How this was obtained")
    yield from facts(survey.meta, view)


def facts(meta: Metadata, view: View) -> Iterator[RenderableType]:
    """Yield the lines of `section` for any metadata: each a name and wrapped text."""
    width = max(len(name) for name, _ in lines(meta))
    for name, words in lines(meta):
        yield from _hanging(name, words, width, view)
    for words in meta.notes:
        yield note(f"Note: {printable(words)}")


def lines(meta: Metadata) -> list[tuple[str, str]]:
    """Return name and text of each fact."""
    if not meta.started_at:
        # Nothing was captured: a scenario on the model, which its note tells.
        return [("kernel", f"a model of {meta.kernel_release}, pages of {format_bytes(meta.page_size)}")]
    found = [
        ("machine", f"{meta.host}, {meta.machine}, {format_bytes(meta.mem_total_bytes)}"),
        ("kernel", f"{meta.kernel_release}, pages of {format_bytes(meta.page_size)}"),
        ("counts", _COUNTS.get(meta.counts_are, "unknown whether kpagecount is exact or an average")),
        ("thp", _settings(meta)),
        ("window", f"{utc(meta.started_at)}, {format_seconds(meta.elapsed_s)}, scope {_scope(meta)}"),
        ("processes", _processes(meta)),
        ("verdicts", _pairs(meta.verdicts) or "none: no large folio was seen"),
        ("races", _races(meta.races) or "none found"),
        ("own cost", _cost(meta)),
    ]
    if meta.command_line:
        found.append(("command", meta.command_line))
    if meta.partial:
        found.append(("partial", meta.partial))
    if meta.unreadable:
        some = ", ".join(
            f"{entry.get('pid')} ({entry.get('comm')}): {entry.get('error', 'no reason known')}"
            for entry in meta.unreadable[:5]
        )
        more = f", ... {len(meta.unreadable) - 5:,} more" if len(meta.unreadable) > 5 else ""
        found.append(("unreadable", f"{plural(len(meta.unreadable), 'process', 'processes')}: {some}{more}"))
    return found


def _hanging(name: str, words: str, width: int, view: View) -> Iterator[RenderableType]:
    """Yield `name  words`, the words wrapped beside the name and not below it."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(width=width, no_wrap=True)
    grid.add_column(width=view.width - width - 2, overflow="fold")
    grid.add_row(Text(name, style="bold"), Text(printable(words)))
    yield grid


def utc(seconds: float) -> str:
    """Return a time since the epoch as date and time."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def _scope(meta: Metadata) -> str:
    return f"{meta.scope} {meta.scope_detail}".strip() + (", frozen" if meta.frozen else "")


def _settings(meta: Metadata) -> str:
    """Name the mode of THP, the sizes that are enabled, and the two settings that bound underuse."""
    sizes = [
        f"{path.split('/')[0].removeprefix('hugepages-')} {mode}"
        for path, mode in sorted(meta.settings.items(), key=lambda item: (len(item[0]), item[0]))
        if path.startswith("hugepages-") and path.endswith("/enabled") and mode != "never"
    ]
    names = {"enabled": "enabled", "shmem_enabled": "shmem", "shrink_underused": "shrink_underused"}
    names["khugepaged/max_ptes_none"] = "max_ptes_none"
    parts = [f"{name}={meta.settings[path]}" for path, name in names.items() if path in meta.settings]
    return "; ".join([*parts, *([f"sizes {', '.join(sizes)}"] if sizes else [])]) or "no THP in this kernel"


def _processes(meta: Metadata) -> str:
    parts = [f"{meta.processes_seen:,} seen", f"{plural(meta.kernel_threads, 'kernel thread')} without memory"]
    return ", ".join(parts + ([f"{meta.exited:,} ended while they were read"] if meta.exited else []))


def _cost(meta: Metadata) -> str:
    memory = f"{format_bytes(meta.peak_rss_bytes)} peak memory"
    return (
        f"{format_seconds(meta.cpu_s)} CPU, {memory}, {plural(meta.reads, 'read')} of {format_bytes(meta.bytes_read)}"
    )


def _races(counts: dict[str, int]) -> str:
    """Say what happened to how many pages; a name that is not known here (of a later version) is said as it is."""
    said = [
        f"{plural(count, 'page')} {_RACES[name]}" if name in _RACES else f"{count:,} {name.replace('_', ' ')}"
        for name, count in counts.items()
        if count
    ]
    return "; ".join(said)


def _pairs(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items() if count)
