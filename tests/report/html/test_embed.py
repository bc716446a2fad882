"""Data inside of a page: it comes out as it went in, and cannot end its element."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapcount.errors import MapcountError
from mapcount.report.html.embed import check_script, csp_hash, packed, script_json

HOSTILE = (
    "</script><img src=x onerror=alert(1)>",
    "<!--<script>",
    "]]>&amp;\u2028\u2029",
    "\"'`${alert(1)}",
    "\x1b[31mred\x07",
    "\u202egnp.exe",
    "\udcff\udc80",
)


class Scripts(HTMLParser):
    """The texts of script elements, as an HTML parser finds them."""

    def __init__(self, text):
        super().__init__()
        self.inside, self.found, self.tags = False, [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "script":
            self.inside = True
            self.found.append("")

    def handle_endtag(self, tag):
        if tag == "script":
            self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.found[-1] += data


@given(st.lists(st.one_of(st.integers(), st.text(), st.sampled_from(HOSTILE))))
def test_json_in_a_script_element_is_one_element_and_says_the_same(values):
    page = Scripts(f"<script>{script_json(values)}</script>")

    assert page.tags == ["script"]
    (text,) = page.found
    assert not set("<>&") & set(text)
    for was, now in zip(values, json.loads(text), strict=True):
        assert now == was if not isinstance(was, str) or was.isprintable() else now.isprintable()


@given(st.lists(st.one_of(st.integers(0, 2**63), st.text(alphabet=st.characters(codec="ascii", categories=["L"])))))
def test_packed_data_is_zlib_in_base64(values):
    assert json.loads(zlib.decompress(base64.b64decode(packed({"all": values}), validate=True))) == {"all": values}


def test_what_turns_the_reading_direction_is_written_out():
    assert json.loads(script_json(["\u202egnp.exe"])) == ["\\u202egnp.exe"]


def test_hash_as_a_browser_takes_it():
    digest = base64.b64encode(hashlib.sha256(b"alert(1)").digest()).decode()
    assert csp_hash("alert(1)") == f"'sha256-{digest}'"


@pytest.mark.parametrize("text", ["a</SCRIPT>", "a<!--", "'<script'", "a\r\n"])
def test_a_script_that_would_end_too_early_is_refused(text):
    with pytest.raises(MapcountError, match="of-ours"):
        check_script("of-ours", text)
