"""What docs/handbook makes of the code: pictures, commands, properties, the README's screenshot; and the build itself."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

from docs.pages import ROOT, plain, table
from mapcount.check.properties import READER_PROPERTIES, REST_PROPERTIES
from mapcount.schemes.catalogue import SCHEMES
from mapcount.schemes.describe import describe

sys.path.insert(0, str(ROOT / "docs"))

from handbook.commands import commands_text
from handbook.properties import properties_text
from handbook.screenshot import PICTURE, screenshot
from handbook.word_map import EVERY_PAGE, boxes, word_map


def drawn(scheme):
    """Return column, rows and look of each box, by the name it begins with."""
    return {re.split(", ", box.label)[0]: (box.column, box.first, box.end, box.look) for box in boxes(scheme.words)}


def test_words_of_mm_id_are_where_7_1_has_them():
    """By hand, from struct folio of 7.1 on 64 bits: bytes 16, 20, 24, 32 to 39 and 40 to 47 of the second struct page."""
    assert drawn(describe("mm-id")) == {
        "PG_anon_exclusive": (EVERY_PAGE, 0, 1, "flag"),
        "_mapcount": (EVERY_PAGE, 12, 13, "page"),
        "_large_mapcount": (1, 4, 5, "folio"),
        "_nr_pages_mapped": (1, 5, 6, "folio"),
        "_entire_mapcount": (1, 6, 7, "folio"),
        "_mm_id_mapcount[0]": (1, 8, 9, "folio"),
        "_mm_id_mapcount[1]": (1, 9, 10, "folio"),
        "_mm_id[0]": (1, 10, 11, "folio"),
        "FOLIO_MM_IDS_LOCK": (1, 10, 11, "flag"),
        "_mm_id[1]": (1, 11, 12, "folio"),
        "FOLIO_MM_IDS_SHARED": (1, 11, 12, "flag"),
    }


def test_a_word_of_64_bits_takes_two_rows_and_one_of_small_folios_looks_different():
    found = drawn(describe("total-mapped-pages"))
    assert found["_total_mapped_pages"] == (1, 6, 8, "folio")
    assert found["_mapcount"] == (EVERY_PAGE, 12, 13, "small")


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.id)
def test_a_picture_is_xml_holds_every_word_and_no_box_leaves_it_or_covers_another(scheme):
    described = describe(scheme.id)
    root = ET.fromstring(word_map(described))
    _, _, width, height = map(int, root.attrib["viewBox"].split())
    texts = [text.text for text in root.iter("text")]
    taken = set()
    for word in described.words:
        assert any(text.startswith(word.name) for text in texts)
    for rect in root.iter("rect"):
        x, y, w, h = (int(rect.attrib[name]) for name in ("x", "y", "width", "height"))
        assert x + w <= width
        assert y + h <= height
        if rect.attrib["class"] != "frame":
            pixels = {(x, row) for row in range(y, y + h)}
            assert not pixels & taken
            taken |= pixels


def test_history_has_a_picture_of_every_design():
    text = (ROOT / "docs" / "explanation" / "history.md").read_text()
    assert re.findall(r"\{word-map\} ([\w-]+)", text) == [scheme.id for scheme in SCHEMES]


def test_every_command_and_option_is_listed():
    helped = commands_text()
    assert "## report" in helped
    assert "| `--without-lock L` |" in helped
    assert "%%" not in helped


def test_every_property_is_listed():
    text = properties_text()
    names = [plain(row[0]) for part in text.split("\n\n") for row in table(part)]
    assert names == [*READER_PROPERTIES, *REST_PROPERTIES]


def test_the_readmes_picture_is_what_the_command_prints():
    assert PICTURE.read_text() == screenshot(), "run docs/handbook/screenshot.py"
    assert "url(" not in PICTURE.read_text().replace("url(#", "")


def test_the_handbook_is_built_without_a_warning(tmp_path):
    pytest.importorskip("sphinx", reason="no Sphinx: pip install --group docs")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "--quiet",
        "--fail-on-warning",
        "-b",
        "html",
        "-d",
        tmp_path / "doctrees",
    ]
    built = subprocess.run(
        [*command, ROOT / "docs", tmp_path / "html"], capture_output=True, text=True, timeout=120, check=False
    )
    assert built.returncode == 0, built.stderr
    assert not re.search(
        r'(?:src|href)="https?://[^"]*\.(?:js|css|woff2?)"', (tmp_path / "html/index.html").read_text()
    )
