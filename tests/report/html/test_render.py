"""A page as text: one file, nothing from outside, a policy that allows what is in it and no more, names as text."""

from __future__ import annotations

import hashlib
import json
import re
from importlib.resources import files

import pytest

from mapcount.report.html import assets
from mapcount.report.html.embed import csp_hash
from mapcount.report.html.page import Chart, Column, Facts, Page, Section, Series, Table
from mapcount.report.html.render import render
from report.html.test_embed import HOSTILE, Scripts


def page(name, *blocks, packed=None):
    rows = [[name, 7], ["x", 3]]
    table = Table("t", name, [Column("name", name, "text"), Column("n", "n")], rows)
    facts = Facts("facts", "Facts", [(name, name)])
    section = Section("s", name, name, [table, facts, *blocks], [name])
    return Page("report", name, [name], [section], packed=packed)


BARS = Chart("c", "Bars", "bars", "t", ("name",), [Series("n", "n", "plain")], "count")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_makes_no_element(name):
    plain, hostile = Scripts(render(page("x"))), Scripts(render(page(name, packed={"name": name})))
    extra = list(hostile.tags)
    for tag in plain.tags:
        extra.remove(tag)
    assert extra == ["script"]  # of what is packed
    data = json.loads(hostile.found[0])
    assert data["blocks"][0]["rows"][1] == ["x", 3]


def test_the_policy_allows_these_scripts_and_styles_and_nothing_else():
    text = render(page("x", BARS))
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    rules = dict(rule.split(" ", 1) for rule in policy.replace("&#39;", "'").split("; "))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    data, library, ours = Scripts(text).found
    assert json.loads(data)["command"] == "report"
    assert rules["script-src"].split() == [csp_hash(library), csp_hash(ours)]
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    assert rules["style-src"] == csp_hash(style)
    assert "unsafe" not in policy
    assert not re.search(r"""\sstyle=|\son\w+=["']|javascript:""", text.replace(library, "").replace(ours, ""))


def test_nothing_is_asked_of_a_network():
    text = render(page("x", BARS)).replace(assets.echarts(), "")
    assert not re.findall(r"""(?:src|href)="(?!#)[^"]*"|url\(|@import|https?://""", text)


def test_the_library_is_there_only_for_charts():
    assert len(render(page("x"))) < 200_000 < len(assets.echarts()) < len(render(page("x", BARS)))


def test_our_scripts_parse_no_text_as_markup_or_code():
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", "srcdoc"):
        assert word not in assets.script()


def test_vendored_library_is_the_one_that_its_readme_names():
    folder = files("mapcount.report.html") / "vendor" / "echarts"
    told = (folder / "README.md").read_text()
    digest = hashlib.sha256((folder / "echarts.common.min.js").read_bytes()).hexdigest()
    assert digest in told
    assert "Apache License" in (folder / "LICENSE").read_text()
    assert "Apache Software Foundation" in (folder / "NOTICE").read_text()
    assert re.search(r'version="(\d+\.\d+\.\d+)"', assets.echarts())[1] in told


def test_every_file_of_ours_is_put_in():
    root = files("mapcount.report.html")
    assert {f"{name}.js" for name in assets.SCRIPTS} == {file.name for file in (root / "js").iterdir()}
    assert {f"{name}.css" for name in assets.STYLES} == {file.name for file in (root / "css").iterdir()}
