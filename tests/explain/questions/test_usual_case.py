"""The usual case: 512 struct pages by PTEs, one by a PMD; and what maps the folios of a machine."""

from __future__ import annotations

from pathlib import Path

from explain.given import GIVEN, figures
from mapcount.explain.questions import usual_case


def test_struct_pages_by_hand():
    rows = {row[0]: row[2:] for row in figures(usual_case.evidence(GIVEN), "Struct pages")}
    assert rows == {
        "nr-pages-mapped": [1, 512],
        "total-mapcount": [2, 512],
        "large-mapcount": [1, 512],
        "mm-id": [1, 512],
        "no-page-mapcount": [1, 1],
    }


def test_the_machine_that_was_given():
    assert figures(usual_case.evidence(GIVEN), "A machine of tests") == [
        ["anon 64K", 11, 0, 11, 0, 0],
        ["anon 2M", 1, 1, 0, 0, 1],
        ["file 16K", 1, 0, 1, 0, 0],
    ]


def test_measured_figures_are_those_of_the_page():
    page = (Path(__file__).parents[3] / "docs" / "explanation" / "accesses.md").read_text()
    for figure in ("11,958 | 11.4 % | 65.1 %", "72 | 0.0 % | 87.5 %", "13,211 | 49.2 % | none"):
        assert figure in page
    text = " ".join(usual_case.QUESTION.answer)
    for figure in ("65.1% of 11,958", "87.5% of 72", "13,211"):
        assert figure in text
