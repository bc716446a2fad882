"""What the doctor found: a sign and a word for each thing, then what follows and the cure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from mapcount.report.encoding import indented
from mapcount.report.layout import sentence
from mapcount.report.text import plural, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from mapcount.capture.doctor import Finding


def section(findings: Sequence[Finding]) -> Iterator[RenderableType]:
    """Yield each finding; for what is not ok also the consequence and the cure."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold", ratio=1)
    for finding in findings:
        mark = Text("✓ ok", style="green") if finding.ok else Text("✗ no", style="red")
        grid.add_row(mark, Text(printable(finding.name), style="bold"), Text(printable(finding.state)))
        if finding.ok:
            continue
        for label, words in (("So", finding.consequence), ("Cure", finding.cure)):
            if words:
                grid.add_row("", "", Text(f"{label}: {printable(words)}", style="dim"))
    yield grid
    wrong = sum(not finding.ok for finding in findings)
    yield sentence(f"\n{plural(len(findings), 'thing')} looked at, {wrong or 'none'} missing.")


def can_capture(findings: Sequence[Finding]) -> bool:
    """Say whether folios can be captured: PFNs are shown and their flags can be read."""
    return all(finding.ok for finding in findings if finding.name in {"pfns", "kpageflags"})


def document(findings: Sequence[Finding]) -> bytes:
    """Return the findings as a JSON list with a final newline."""
    return indented(list(findings))
