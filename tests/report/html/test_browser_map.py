"""The folio map in a real Chromium: what is drawn, what pointer and keys do, and what it says to who does not see it."""

from __future__ import annotations

import pytest

from builders import SnapshotBuilder
from report.html.machines import big_text, page_of, small_machine

CANVAS = "#folio-map .canvas-box canvas"
PIXEL = """([x, y]) => {
    const canvas = document.querySelector("#folio-map canvas");
    const at = (value) => Math.round(value * devicePixelRatio);
    return [...canvas.getContext("2d").getImageData(at(x), at(y), 1, 1).data].slice(0, 3);
}"""


def one_folio(mapped):
    """A machine with one folio of 512 pages, of which some are mapped: it fills half of the only tile of the map."""
    b = SnapshotBuilder()
    mm = b.add_mm(pid=101, comm="only")
    b.map_pages(mm, b.add_vma(mm), b.add_folio(9), 0, mapped)
    return page_of(b.build(host="prime", kernel_release="6.18.44", started_at=1_790_000_000.0))


def box(page):
    page.locator(CANVAS).scroll_into_view_if_needed()
    return page.locator(CANVAS).bounding_box()


def colour(page, name):
    """Return red, green and blue of a colour of css/tones.css."""
    text = page.evaluate(f"getComputedStyle(document.documentElement).getPropertyValue('--{name}').trim()")
    return [int(text[i : i + 2], 16) for i in (1, 3, 5)]


def drawn(page, x, y):
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return page.evaluate(PIXEL, [x, y])


@pytest.mark.parametrize(("mapped", "state"), [(512, "whole"), (499, "part")])
def test_a_folio_has_the_colour_of_its_state(watched, mapped, state):
    page = watched.open(one_folio(mapped))
    where = box(page)
    # The tile is a square of the canvas' height; the folio its upper half, 32 pages by 16.
    left, top = where["width"] / 2 - where["height"] / 2 + 40, 60
    assert drawn(page, left, top) == colour(page, state)
    assert drawn(page, left, where["height"] - 20) == colour(page, "raised")
    page.get_by_label("Colour").select_option("level")
    assert drawn(page, left, top) == colour(page, "plain")


def test_pages_that_nobody_maps_are_hatched_where_they_are(watched):
    page = watched.open(one_folio(511))
    where = box(page)
    side = where["height"] / 32
    left = where["width"] / 2 - where["height"] / 2
    # Page 511 is the last of the curve: the lower right corner of 32 by 16 pages.
    found = {
        tuple(drawn(page, left + 31 * side + dx, 15 * side + dy)) for dx in range(2, 12, 2) for dy in range(2, 12, 2)
    }
    assert tuple(colour(page, "raised")) in found
    assert tuple(colour(page, "part")) not in found
    assert drawn(page, left + 30 * side + 5, 15 * side + 5) == colour(page, "part")


def test_a_click_shows_the_folio_under_it_and_hovering_names_it(watched):
    page = watched.open(one_folio(499))
    where = box(page)
    page.mouse.move(where["x"] + where["width"] / 2, where["y"] + 60)
    assert page.locator("#tooltip").inner_text().split("\n") == [
        "Folio 0: anon 2M", "in part, one; 499 of 512 pages mapped", "only (101)", "52 KiB wasted",
    ]  # fmt: skip
    page.mouse.down()
    page.mouse.up()
    assert "PTE 0:499" in page.locator("#folio-detail").inner_text()
    page.mouse.move(where["x"] + where["width"] / 2, where["y"] + where["height"] - 20)
    assert page.locator("#tooltip").is_hidden()


def test_a_click_far_in_finds_the_folio_that_the_table_went_to(watched):
    page = watched.open(big_text())
    page.locator("#folio-table thead button", has_text="folio").click()
    page.locator("#folio-table thead button", has_text="folio").click()
    page.locator("#folio-table button.pick").nth(17).click()
    told = page.locator("#folio-detail h3").inner_text()
    # It is in the middle of the map now: a click there must find the same.
    where = box(page)
    page.locator("#folio-detail").evaluate("(detail) => detail.replaceChildren()")
    page.mouse.click(where["x"] + where["width"] / 2, where["y"] + where["height"] / 2)
    assert page.locator("#folio-detail h3").inner_text() == told


def test_keys_step_from_folio_to_folio_and_open_one(watched):
    page = watched.open(page_of(small_machine()))
    page.locator(CANVAS).focus()
    said = page.locator("#announcer")
    page.keyboard.press("ArrowRight")
    assert said.inner_text().startswith("Folio 12: anon 2M, whole, shared")
    page.keyboard.press("ArrowDown")
    assert said.inner_text().startswith("Folio 13: anon 2M")
    page.keyboard.press("ArrowLeft")
    assert said.inner_text().startswith("Folio 13: anon 2M")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.textContent") == "Folio 13: anon 2M"


def test_zoom_by_keys_and_wheel_and_back(watched):
    page = watched.open(one_folio(512))
    where = box(page)
    whole, ground = colour(page, "whole"), colour(page, "raised")
    low = (where["width"] / 2, where["height"] * 0.7)
    assert drawn(page, *low) == ground
    page.mouse.move(where["x"] + where["width"] / 2, where["y"] + 10)
    page.mouse.wheel(0, -1)
    assert drawn(page, *low) == ground
    page.locator(CANVAS).focus()
    page.mouse.wheel(0, -400)
    assert drawn(page, *low) == whole
    page.keyboard.press("0")
    assert drawn(page, *low) == ground
    page.get_by_role("button", name="Zoom in").click()
    assert drawn(page, where["width"] / 2 - where["height"] / 2 - 30, 60) == whole
    page.get_by_role("button", name="Show all of the map").click()
    assert drawn(page, where["width"] / 2 - where["height"] / 2 - 30, 60) == ground


def test_picking_a_process_dims_the_others(watched):
    page = watched.open(page_of(small_machine()))
    box(page)
    shared = colour(page, "whole-shared")
    assert drawn(page, 120, 60) == shared
    page.locator("#cgroups-table button.pick").first.click()
    assert drawn(page, 120, 60) == shared
    page.get_by_role("button", name="anon 64K, whole, one").click()
    assert drawn(page, 120, 60) != shared
