"""Every page in a real Chromium: no complaint, nothing asked for, names for all that can be used, light, dark and paper."""

from __future__ import annotations

from dataclasses import replace

import pytest

from builders import SnapshotBuilder
from mapcount.check.cells import parse_cell
from mapcount.check.verdicts import judge
from mapcount.report.html.check_page import check_page
from mapcount.report.html.compare_page import compare_page
from mapcount.report.html.diff_page import diff_page
from mapcount.report.html.public_page import public_page
from mapcount.survey.diff import diff
from report.html.comparisons import hostile_comparison
from report.html.machines import HOSTILE, OUTLOOK, page_of, small_machine
from report.html.runs import run_of

DARK = {"color_scheme": "dark"}


def hidden_machine():
    b = SnapshotBuilder()
    mm = b.add_mm(comm=HOSTILE)
    b.add_vma(mm)
    for name, size in (
        ("Rss", 7 << 20),
        ("Pss", 5 << 20),
        ("Private_Clean", 0),
        ("Private_Dirty", 3 << 20),
        ("Swap", 0),
    ):
        b.add_stat("smaps_rollup", "mm 0", name, size)
    return b.build(tier="no-pfn", host="prime", kernel_release="6.18.44", started_at=1_790_000_000.0)


def changed_pair():
    before, after = small_machine(), small_machine(name=HOSTILE)
    after = replace(after, meta=replace(after.meta, boot_id="other"))
    return diff_page(diff(before, after), before.meta, after.meta)


def verdicts_page():
    cells = ("nr-pages-mapped/mapcount/pmd-and-ptes/2", "mm-id/mapcount/pmd-and-ptes/2")
    return check_page([judge(parse_cell(cell), engine="plain") for cell in cells])


PAGES = {
    "report": lambda: page_of(small_machine(HOSTILE, HOSTILE, HOSTILE), OUTLOOK),
    "public": lambda: public_page(hidden_machine()),
    "compare": lambda: compare_page(hostile_comparison()),
    "diff": changed_pair,
    "run": run_of,
    "check": verdicts_page,
}
NAMELESS = """() => [...document.querySelectorAll("button, a, input, select, canvas, summary, [tabindex]")].filter((one) =>
    !(one.textContent.trim() || one.getAttribute("aria-label") || one.labels?.length || one.closest("[aria-label]"))
).map((one) => one.outerHTML)"""


@pytest.mark.parametrize("name", PAGES)
def test_no_complaint_no_request_a_name_for_everything_and_words_for_charts(watched, name):
    page = watched.open(PAGES[name]())
    for chart in page.locator(".block.chart").all():
        chart.scroll_into_view_if_needed()
        chart.locator("canvas").wait_for()
        assert len(chart.locator("xpath=ancestor::section").locator(".how").inner_text()) > 40
        table = chart.locator(".bar a").get_attribute("href")
        assert page.locator(f"{table} tbody tr").count() > 0
        assert chart.locator(".downloads button").all_inner_texts() == ["CSV", "JSON"]
    assert page.evaluate(NAMELESS) == []
    assert page.locator("h1").count() == 1
    assert page.locator("main section").count() == page.locator("main section h2").count()
    assert page.locator("table").count() == page.locator("table caption").count() > 0
    page.emulate_media(color_scheme="dark")
    page.locator("html[data-theme=dark]").wait_for()


def test_keys_go_through_a_chart(watched):
    page = watched.open(PAGES["report"]())
    bars = page.locator("#waste-programs .drawing")
    bars.scroll_into_view_if_needed()
    bars.locator("canvas").wait_for()
    bars.focus()
    page.keyboard.press("ArrowDown")
    assert page.locator("#announcer").inner_text() == f"{HOSTILE}, wasted 60 KiB"


def ground(page):
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


@pytest.mark.parametrize("watched", [DARK], indirect=True)
def test_dark_as_the_system_light_by_the_button_and_on_paper(watched):
    page = watched.open(PAGES["report"]())
    assert ground(page) == "rgb(20, 23, 27)"
    page.get_by_role("button", name="Switch between light and dark").click()
    assert ground(page) == "rgb(255, 255, 255)"
    page.get_by_role("button", name="Switch between light and dark").click()
    page.emulate_media(media="print")
    page.locator("html[data-theme=light]").wait_for()
    assert ground(page) == "rgb(255, 255, 255)"
    assert page.locator("nav").is_hidden()
    assert page.get_by_label("Filter Processes").is_hidden()
    assert page.locator("#processes-table tbody tr").first.is_visible()
    assert page.locator("#waste-programs canvas").count() == 1
    page.emulate_media(media="screen")
    page.locator("html[data-theme=dark]").wait_for()


@pytest.mark.parametrize("watched", [{"viewport": {"width": 1032, "height": 728}}], indirect=True, ids=["A4"])
def test_paper_is_wide_enough(watched):
    """A4 across with margins of 12 mm is 1032 pixels wide; a table that is wider would be cut."""
    page = watched.open(PAGES["report"]())
    page.emulate_media(media="print")
    page.locator("html[data-theme=light]").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 1032


def test_text_stands_out_from_its_ground(watched):
    """Contrast of at least 4.5 to 1 (WCAG 2.1, 1.4.3) for text, of 3 to 1 (1.4.11) for what is told by colour."""
    page = watched.open(PAGES["report"]())
    for _ in range(2):
        tones = page.evaluate("""() => {
            const style = getComputedStyle(document.documentElement);
            const names = [...document.styleSheets[0].cssRules[0].style];
            return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(name).trim()]));
        }""")
        for name in ("--ink", "--faint", "--link"):
            assert contrast(tones[name], tones["--ground"]) >= 4.5, name
            assert contrast(tones[name], tones["--raised"]) >= 4.5, name
        page.get_by_role("button", name="Switch between light and dark").click()


def contrast(one, other):
    def light(text):
        values = [int(text[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


def test_steps_of_a_scenario_by_pointer_and_keys(watched):
    page = watched.open(PAGES["run"]())
    state = page.locator("#steps-player .state")
    assert state.locator("h3").inner_text() == "After step 2: p: write a[0]"
    page.locator(".step-list").focus()
    page.keyboard.press("ArrowDown")
    assert state.locator("h3").inner_text() == "After step 3: p: fork c"
    assert [row.inner_text() for row in state.locator(".stripe b").all()] == ["p", "c"]
    page.get_by_role("button", name="The next step").click()
    assert "PTE 16:512 at a[16]" in state.inner_text()
    assert state.locator("tr.chosen th").all_inner_texts()[0] == "mapcount"
    page.locator(".step-list li").first.click()
    assert "No folio" in state.inner_text()
