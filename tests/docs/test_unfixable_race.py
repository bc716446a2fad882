"""The page of the unfixable race: its stored verdicts are what the checker says, and its sentences are what they say."""

from __future__ import annotations

import re
import sys

import pytest

from check.defaults import BOTH
from docs.pages import ROOT, table
from mapcount.check.cells import AT_REST
from mapcount.check.properties import READER_PROPERTIES
from mapcount.check.replay import run_both
from mapcount.check.verdicts import judge
from mapcount.report.races import mark_of
from mapcount.schemes.catalogue import SCHEMES

sys.path.insert(0, str(ROOT / "docs"))

from handbook.unfixable_race import overview_text, races_text
from handbook.verdicts import STORED, known_of, line, stored

KNOWN = {str(one.cell): one for one in stored()}
PLAIN = [one for one in KNOWN.values() if not one.cell.more and not one.cell.without]
SECTIONS = dict(zip(*[iter(re.split(r"^## (.+)\n", races_text(), flags=re.MULTILINE)[1:])] * 2, strict=True))


def test_the_stored_lines_are_read_as_they_are_written():
    assert [line(one) for one in stored()] == STORED.read_text().splitlines()


def test_they_are_those_of_the_matrix():
    """Which other tests hold to the checker, model by model."""
    matrix = {text: mark for text, mark, *_ in map(str.split, BOTH.read_text().splitlines())}
    shared = [one for one in PLAIN if str(one.cell) in matrix]
    assert len(shared) > 100
    assert {str(one.cell): one.mark for one in shared} == {str(one.cell): matrix[str(one.cell)] for one in shared}


def test_one_scheme_is_judged_anew_with_every_lock():
    """table-pairs: the quickest. `python -m handbook.verdicts`, in docs, stores all anew."""
    assert [line(one) for one in known_of("table-pairs")] == [
        text for text in STORED.read_text().splitlines() if text.startswith("table-pairs/")
    ]


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.id)
def test_a_model_of_each_scheme_with_other_locks_is_judged_anew(scheme):
    """The middle one of each, so that over the schemes most callers and locks come up."""
    others = [one for one in KNOWN.values() if one.cell.scheme == scheme.id and (one.cell.more or one.cell.without)]
    one = others[len(others) // 2]
    assert mark_of(judge(one.cell)) == one.mark


@pytest.mark.parametrize(
    "one", [one for one in PLAIN if one.broken and one.cell.context != AT_REST], ids=lambda one: str(one.cell)
)
def test_a_stored_violation_replays(one):
    for broken in one.broken:
        both = run_both(one.cell, broken.schedule)
        assert both.results[-1] == (broken.value,)
        assert both.trace.steps[-1].window == broken.true
        assert READER_PROPERTIES[broken.property].broken(broken.value, broken.true)
        assert broken.value in one.untrue


def test_every_scheme_has_a_section_and_a_row():
    assert list(SECTIONS) == [scheme.id for scheme in SCHEMES]
    assert [row[0] for row in table(overview_text())] == [f"[{scheme.id}](#{scheme.id})" for scheme in SCHEMES]


def test_a_torn_sum_is_cured_by_the_folio_lock_alone():
    """As test_check.py has it for the page of the race, from verdicts of its own."""
    text = SECTIONS["nr-pages-mapped"]
    assert "* `mapcount`: it returned 2, which was true at no moment: it was 3 or 4 (6 steps)." in text
    folio, page_table = (
        re.search(rf"^\* With the \*\*{name}\*\* as well, .*$", text, re.MULTILINE)[0]
        for name in ("folio lock", "page-table lock")
    )
    assert re.search(r"`mapcount`[^;]*: `stale` instead of `TORN`", folio)
    assert re.search(r"not helped: `mapcount`", page_table)
    # One counter: stale, whoever holds what.
    assert re.search(
        r"perhaps not any more: no way of counting cures that\*\* \(`stale`\): `mapcount`", SECTIONS["mm-id"]
    )


def test_the_worst_is_drawn():
    """The scheme's own words are in the drawing, and its last line is what the reader returned."""
    drawn = (("large-mapcount", "_large_mapcount", 0), ("nr-pages-mapped", "_nr_pages_mapped", 2))
    for name, word, value in drawn:
        (drawing,) = re.findall(r"```text\n(.*?)```", SECTIONS[name], re.DOTALL)
        assert word in drawing
        assert f"returns {value}\n" in drawing


def test_the_second_table_counts_locks_by_hand():
    """Summed here from the lines themselves, for the folio lock."""
    marks = {str(one.cell): one.mark for one in stored()}
    given = [(marks[text.removesuffix("+folio")], mark) for text, mark in marks.items() if text.endswith("+folio")]
    cured = sum(before in {"TORN", "recheck", "HARM"} and after in {"stale", "true", "fine"} for before, after in given)
    stale = sum((before, after) == ("stale", "true") for before, after in given)
    (row,) = (row for row in overview_text().splitlines() if row.startswith("| folio lock"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert (cells[1], cells[4]) == (str(cured), str(stale))
    assert cured > 0 < stale
