"""Pages as records: what is in them for records whose numbers are known, and that each is encoded whole."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from mapcount.check.cells import parse_cell
from mapcount.check.verdicts import judge
from mapcount.report.html.check_page import check_page
from mapcount.report.html.compare_page import compare_page
from mapcount.report.html.diff_page import diff_page
from mapcount.report.html.owner_sections import MOST_ROWS
from mapcount.report.html.page import Chart, Table
from mapcount.report.html.render import render
from mapcount.report.html.report_page import Surveyed, report_page
from mapcount.survey.diff import diff
from mapcount.survey.folio_map import folio_map
from mapcount.survey.states import state_rows
from report.html.comparisons import MIB, hostile_comparison
from report.html.machines import OUTLOOK, page_of, small_machine
from report.html.runs import run_of
from report.html.test_embed import Scripts
from report.samples import process_row, sample

PAGE = 4096


def blocks(page):
    return {block.id: block for section in page.sections for block in section.blocks}


def column(table, key):
    index = [column.key for column in table.columns].index(key)
    return [row[index] for row in table.rows]


def surveyed(result):
    folios = folio_map(small_machine())
    return Surveyed(result, state_rows(folios.facts), folios, OUTLOOK)


@pytest.mark.parametrize(
    "page",
    [
        page_of(small_machine(), OUTLOOK),
        report_page(surveyed(sample())),
        compare_page(hostile_comparison()),
        run_of(),
    ],
    ids=["report", "sample", "compare", "run"],
)
def test_rows_fit_their_columns_and_charts_their_tables(page):
    found = blocks(page)
    assert len(found) == sum(len(section.blocks) for section in page.sections)
    assert len({section.id for section in page.sections} | set(found)) == len(page.sections) + len(found)
    for block in found.values():
        if isinstance(block, Table):
            assert {len(row) for row in block.rows} <= {len(block.columns)}
            assert not block.keys or len(block.keys) == len(block.rows)
            assert not block.sort or block.sort in {column.key for column in block.columns}
        if isinstance(block, Chart):
            table = found[block.table]
            assert {*block.category, *(series.key for series in block.series)} <= {c.key for c in table.columns}
    data = json.loads(Scripts(render(page)).found[0])
    assert len(data["blocks"]) == sum(block.kind not in {"facts", "text"} for block in found.values())


def test_report_holds_what_was_surveyed():
    found = blocks(page_of(small_machine(), OUTLOOK))
    assert column(found["processes-table"], "wasted_bytes") == [5 * 3 * PAGE, 0]
    assert column(found["outlook-table"], "change") == [MIB, -4]
    assert column(found["outlook-table"], "percent") == [14.29, -3.96]
    states = {(row["kind"], row["size"], row["state"]): row["folios"] for row in found["matrix"].data}
    assert states == {
        ("anon", "4K", "whole"): 13,
        ("anon", "64K", "whole"): 7,
        ("anon", "64K", "part"): 5,
        ("anon", "2M", "whole-shared"): 3,
        ("file", "16K", "whole"): 2,
    }


def test_self_checks_are_told_first_and_the_unexplained_stand_on_top():
    page = report_page(surveyed(sample()))
    assert "Of 43 self-checks against the kernel's own numbers: 40 equal, 2 bounded, 1 unexplained." in page.lead
    table = blocks(page)["checks-table"]
    assert column(table, "verdict")[:4] == ["! unexplained", "~ bounded", "~ bounded", "= equal"]
    assert column(table, "check")[0] == "Rss of pid 140 (bash)"


def test_more_rows_than_a_page_takes_are_counted():
    many = [process_row(i, "many", large=i * PAGE) for i in range(MOST_ROWS + 7)]
    table = blocks(report_page(surveyed(replace(sample(), processes=many))))["processes-table"]
    assert (len(table.rows), table.left_out, table.keys[0]) == (MOST_ROWS, 7, MOST_ROWS + 6)


def test_sections_that_have_nothing_to_say_are_left_out():
    nothing = {"processes": [], "cgroups": [], "programs": [], "cuts": [], "memory": [], "since_boot": [], "checks": []}
    page = report_page(surveyed(replace(sample(), **nothing)))
    assert [section.id for section in page.sections] == ["sizes", "folios", "waste", "outlook", "obtained"]


def test_without_an_outlook_it_says_why():
    page = report_page(replace(surveyed(sample()), outlook=None))
    (section,) = [section for section in page.sections if section.id == "outlook"]
    assert "nothing to compare" in section.how
    assert not section.blocks


def test_comparison_is_told_as_distance_from_the_truth():
    found = blocks(compare_page(hostile_comparison()))
    assert column(found["numbers-table"], "no-page-mapcount:percent") == [1.98, -1.19]
    assert column(found["processes-table"], "no-page-mapcount:off") == [-2 * MIB, -4]
    assert column(found["cgroups-table"], "mm-id:off") == [2 * MIB]
    assert found["found-table"].rows == [
        ["mm-id", 0, 0, 0, 7 * MIB, 0],
        ["no-page-mapcount", 13, MIB, 0, 7 * MIB, 2],
    ]
    assert found["found-sizes"].rows == [["no-page-mapcount", "64K", 23, 13, MIB, 0, 2 * MIB, 1]]
    assert found["answers-table"].rows == [
        ["mm-id", "-", "-", "-", "exact", "-", "-"],
        ["no-page-mapcount", "-", "-", "-", "+1.3%≥~", "-", "-"],
    ]


def test_difference_of_two_snapshots():
    before, after = small_machine(), small_machine(name="renamed")
    after = replace(after, meta=replace(after.meta, started_at=before.meta.started_at + 7, boot_id="other"))
    page = diff_page(diff(before, before), before.meta, after.meta)
    assert page.lead[:2] == ["prime at 6.18.44, then prime at 6.18.44, 7.0 s later.", "No difference."]
    renamed = blocks(diff_page(diff(before, after), before.meta, after.meta))
    assert column(renamed["processes-table"], "comm") == ["parent", "renamed"]
    assert column(renamed["processes-table"], "wasted_bytes:change") == [-15 * PAGE, 15 * PAGE]
    assert column(renamed["timeline-table"], "wasted") == [15 * PAGE, 15 * PAGE]


def test_verdicts_of_two_models():
    """The race that 6.10 ended: torn with a count per page, stale with one counter."""
    cells = ("nr-pages-mapped/mapcount/pmd-and-ptes/2", "large-mapcount/mapcount/pmd-and-ptes/2")
    page = check_page([judge(parse_cell(cell), engine="plain") for cell in cells])
    found = blocks(page)
    assert found["matrix"].rows == [["nr-pages-mapped", "2", "TORN"], ["large-mapcount", "2", "stale"]]
    assert column(found["violations"], "property") == ["explainable", "never-under", "no-false-unmapped"]
    assert column(found["violations"], "steps") == [7, 7, 8]
    assert "returns 0" in " ".join(found["drawing-2"].lines)


def test_steps_of_a_run_by_hand():
    page = run_of()
    found = blocks(page)
    assert page.lead[-1] == "Of 1 expectation 1 hold."
    assert found["timeline-table"].rows == [
        [1, "p: mmap a 2M huge", 0, 0, 0, 0, 0],
        [2, "p: write a[0]", 512, 512, 0, 1, 0],
        [3, "p: fork c", 512, 1024, 0, 1, 0],
        [4, "c: munmap a[0:16]", 512, 1008, 0, 1, 0],
    ]
    last = page.packed["steps"][-1]["folios"][0]
    assert last["entries"] == [["p", "a", 0, 0, 512, "PMD"], ["c", "a", 16, 16, 512, "PTE"]]
    assert last["words"]["mapcount"] == "1*16 2*496"
    assert "mapcount" in last["changed"]
    assert found["expectations-table"].rows == [[4, "expect a[0] mapcount 1*16 2*496", "holds", "1*16 2*496"]]
