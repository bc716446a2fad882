"""docs/schemes.md against the catalogue and the promises."""

from __future__ import annotations

from docs.pages import ROOT, plain, sections, table
from mapcount.schemes.scheme import Promise

PAGE = ROOT / "docs" / "schemes.md"


def test_the_page_is_up_to_date(generator):
    assert generator.put_between(PAGE.read_text(), generator.schemes_text()) == PAGE.read_text(), (
        "run docs/generate_tables.py"
    )


def test_every_promise_is_explained():
    assert [plain(row[0]) for row in table(sections(PAGE)["Promises"])] == [promise.value for promise in Promise]
