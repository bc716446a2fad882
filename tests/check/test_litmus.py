"""The litmus files of docs/litmus, run by our memory models: the outcome that each file's comment expects."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from check.tiny import tiny_scheme
from mapcount.check.explore import explore
from mapcount.check.model import Call, Model
from mapcount.mapping.schema import Kind
from mapcount.schemes.scheme import Promise, Quantity

FILES = sorted(Path(__file__).parents[2].joinpath("docs", "litmus").glob("*.litmus"))
PRIMITIVES = {
    "atomic_inc_return": "atomic_add_return(m, {}, folio, 1)",
    "atomic_inc": "atomic_inc(m, {}, folio)",
    "atomic_dec": "atomic_dec(m, {}, folio)",
    "atomic_read": "atomic_read(m, {}, folio)",
    "smp_rmb": "smp_rmb(m)",
}
EXPECTED = {
    "mapcount-two-words": {"sc", "tso", "weak"},
    "mapcount-two-words-reversed": {"weak"},
    "mapcount-two-words-barrier": set(),
    "mapcount-refcount": {"sc", "tso", "weak"},
}
"""In which of our models the outcome can be seen: as the comment of each file says it."""


def _statements(text, process, words):
    body = re.search(rf"P{process}\(.*?\)\n\{{(.*?)\n\}}", text, re.DOTALL).group(1)
    for line in map(str.strip, body.splitlines()):
        found = re.fullmatch(r"(?:(r\d) = )?(\w+)\((\w*)\);", line)
        if found:
            result, primitive, word = found.groups()
            call = PRIMITIVES[primitive].format(words.get(word, ""))
            yield f"{result} = {call}" if result and process else call


def _model(path, text):
    """Translate a file: P0 is an operation, P1 a reader that returns both values as one number."""
    initial = dict(re.findall(r"(\w+) = (\d+);", re.search(r"\{(.*?)\}", text).group(1)))
    words = dict(zip(initial, ("X", "Y"), strict=True))
    source = "def new_ptes(m, folio, order, page, nr, mm):\n"
    source += "".join(f"    atomic_set(m, {words[name]}, folio, {value})\n" for name, value in initial.items())
    source += "def map_ptes(m, folio, order, page, nr, mm):\n"
    source += "".join(f"    {one}\n" for one in _statements(text, 0, words))
    source += "def both(m, folio, order, page):\n"
    source += "".join(f"    {one}\n" for one in _statements(text, 1, words)) + "    return 10 * r1 + r2\n"
    scheme = tiny_scheme(path, source, [("both", Quantity.ENTRIES, Promise.ESTIMATE)])
    start = (Call("new_ptes", mm=1),)
    return Model(scheme, 0, ((Call("map_ptes", mm=2),), (Call("both"),)), start, Kind.FILE, keep_results=True)


def test_every_file_has_an_expectation():
    assert {file.stem for file in FILES} == set(EXPECTED)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_outcome_is_seen_where_the_file_says(file, tmp_path):
    text = file.read_text()
    first, second = map(int, re.search(r"exists \(1:r1=(\d+) /\\ 1:r2=(\d+)\)", text).groups())
    model = _model(tmp_path, text)
    for memory in ("sc", "tso", "weak"):
        found = explore(replace(model, memory_model=memory))
        values = {found.steps.results(state)[1][0] for state in found.finals}
        assert (10 * first + second in values) is (memory in EXPECTED[file.stem]), memory
    # The kernel's own model allows it if our weak one does: the comment says Sometimes, else Never.
    assert ("Expected: Sometimes" in text) is ("weak" in EXPECTED[file.stem])
