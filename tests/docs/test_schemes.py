"""docs/reference/schemes.md against the catalogue and the promises."""

from __future__ import annotations

from builders import SnapshotBuilder
from docs.pages import ROOT, plain, sections, table
from mapcount.schemes.scheme import Promise
from mapcount.views.numbers import cgroup_numbers, machine_numbers, process_numbers
from mapcount.views.view import true_view

PAGE = ROOT / "docs" / "reference" / "schemes.md"


def test_the_page_is_up_to_date(generator):
    assert generator.put_between(PAGE.read_text(), generator.schemes_text()) == PAGE.read_text(), (
        "run docs/generate_tables.py"
    )


def test_every_promise_is_explained():
    assert [plain(row[0]) for row in table(sections(PAGE)["Promises"])] == [promise.value for promise in Promise]


def test_every_past_is_explained(generator):
    page = ROOT / "docs" / "reference" / "compare.md"
    assert generator.put_between(page.read_text(), generator.histories_text()) == page.read_text(), (
        "run docs/generate_tables.py"
    )


def test_every_number_of_a_comparison_is_explained():
    told = " ".join(
        plain(row[0])
        for row in table(sections(ROOT / "docs" / "reference" / "compare.md")["What user space would read"])
    )
    builder = SnapshotBuilder()
    builder.add_mm(cgroup="/a")
    view = true_view(builder.build(kernel_release="6.18"))
    keys = [key for numbers in (machine_numbers, process_numbers, cgroup_numbers) for key, _, _ in numbers(view)]
    assert len(keys) > 23
    for key in keys:
        assert key.name.partition(",")[0] in told
