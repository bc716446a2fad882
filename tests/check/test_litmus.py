"""The litmus files of docs/litmus, run by our memory models: the outcome that each file's comment expects."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from check.tiny import tiny_scheme
from mapcount.check.bytecode import Code
from mapcount.check.cells import model_of, parse_cell
from mapcount.check.explore import explore
from mapcount.check.lower import lower
from mapcount.check.model import Call, Model
from mapcount.check.properties import READER_PROPERTIES
from mapcount.mapping.schema import Kind
from mapcount.schemes.catalogue import SCHEMES, find_scheme
from mapcount.schemes.scheme import Promise, Quantity

FILES = sorted(Path(__file__).parents[2].joinpath("docs", "litmus").glob("*.litmus"))
PRIMITIVES = {
    r"atomic_(inc|dec)_return\((\w+)\)": "atomic_{0}_return(m, {1}, folio)",
    r"atomic_(add|sub)_return\((\d+), (\w+)\)": "atomic_{0}_return(m, {2}, folio, {1})",
    r"atomic_(inc|dec)\((\w+)\)": "atomic_{0}(m, {1}, folio)",
    r"atomic_read\((\w+)\)": "atomic_read(m, {0}, folio)",
    r"atomic_set\((\w+), (\d+)\)": "atomic_set(m, {0}, folio, {1})",
    r"READ_ONCE\(\*(\w+)\)": "read(m, {0}, folio)",
    r"WRITE_ONCE\(\*(\w+), (\d+)\)": "store(m, {0}, folio, {1})",
    r"spin_(lock|unlock)\(lock\)": "bit_spin_{0}(m, LOCK, folio)",
    r"smp_rmb\(\)": "smp_rmb(m)",
}
RETURNS_MORE = {"inc": ("add", 1), "dec": ("sub", 1)}
EVERYWHERE, NOWHERE = {"sc", "tso", "weak"}, set()
EXPECTED = {
    "mapcount-two-words": EVERYWHERE,
    "mapcount-two-words-reversed": {"weak"},
    "mapcount-two-words-barrier": NOWHERE,
    "mapcount-folio-mapped": NOWHERE,
    "mapcount-page-split": EVERYWHERE,
    "mapcount-average-split": EVERYWHERE,
    "mapcount-maybe-shared": EVERYWHERE,
    "mapcount-refcount": EVERYWHERE,
    "mapcount-first-refcount": EVERYWHERE,
    "mapcount-thp-split": {"weak"},
}
"""In which of our models the outcome can be seen: as the comment of each file says it."""
SCHEMES_OWN = {
    "mapcount-two-words": ("nr-pages-mapped/mapcount/pmd-and-ptes/2", "no-false-unmapped", EVERYWHERE),
    "mapcount-folio-mapped": ("nr-pages-mapped/kpageflags/pmd-and-ptes/2", "no-false-unmapped", NOWHERE),
    "mapcount-page-split": ("large-mapcount/kpagecount/split-alone/2", "explainable", EVERYWHERE),
    "mapcount-average-split": ("no-page-mapcount/kpagecount/split-alone/2", "explainable", EVERYWHERE),
    "mapcount-maybe-shared": ("mm-id/madvise/hand-over/2", "no-false-exclusive", NOWHERE),
    "mapcount-refcount": ("large-mapcount/compaction/fork-zap/2", "pin-never-hidden", EVERYWHERE),
    "mapcount-first-refcount": ("large-mapcount/split/fork-zap/2", "pin-never-hidden", EVERYWHERE),
}
"""The model of the scheme that a file is about, the property, and in which memory models it is violated."""
PAIRS = {
    ("_entire_mapcount", "_nr_pages_mapped"): "mapcount-folio-mapped",
    ("_mapcount", "_entire_mapcount"): "mapcount-page-split",
    ("_large_mapcount", "_entire_mapcount"): "mapcount-average-split",
    ("_large_mapcount", "FOLIO_MM_IDS_SHARED"): "mapcount-maybe-shared",
    ("PG_head", "_mapcount"): "mapcount-thp-split",
}
"""Of the readers of two words: the file that is about these two."""
NOT_TWO_WORDS = {
    ("compound_mapcount", "_mapcount"): "double-map's loop over all pages",
    ("folio->_mapcount", "VMAs that map"): "zero-one-many's look-up, which is no word",
}


def _lowered(statement, words):
    """Return a statement of a file as one of a scheme's functions."""
    for pattern, call in PRIMITIVES.items():
        found = re.fullmatch(pattern, statement)
        if found:
            name, *rest = found.groups() or ("",)
            if "_return" in call and name in RETURNS_MORE:
                more, by = RETURNS_MORE[name]
                return f"atomic_{more}_return(m, {words[rest[0]]}, folio, {by})"
            return call.format(*(words.get(part, part) for part in (name, *rest)))
    raise ValueError(f"no primitive of ours: {statement}")


def _statements(text, process, words):
    body = re.search(rf"P{process}\(.*?\)\n\{{(.*?)\n\}}", text, re.DOTALL).group(1)
    for line in map(str.strip, body.splitlines()):
        found = re.fullmatch(r"(?:(r\d) = )?(.+);", line)
        if found and not line.startswith("int "):
            result, statement = found.groups()
            call = _lowered(statement, words)
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
    source += "".join(f"    {one}\n" for one in _statements(text, 1, words)) + "    return 100 * r1 + r2\n"
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
        assert (100 * first + second in values) is (memory in EXPECTED[file.stem]), memory
    # The kernel's own model allows it if our weak one does: the comment says Sometimes, else Never.
    assert ("Expected: Sometimes" in text) is ("weak" in EXPECTED[file.stem])


@pytest.mark.parametrize(("stem", "told"), SCHEMES_OWN.items(), ids=SCHEMES_OWN)
def test_the_scheme_itself_does_what_the_file_says_of_it(stem, told):
    cell, name, violated = told
    comment = " ".join((FILES[0].parent / f"{stem}.litmus").read_text().replace("*", " ").split())
    says = "holds" if violated is NOWHERE else "violated"
    assert re.search(rf"mapcount check: {cell}( \([a-z-]+\))?, {name}: {says} in every memory model", comment)
    for memory in ("sc", "tso", "weak"):
        observed = explore(model_of(replace(parse_cell(cell), memory=memory))).observed
        broken = any(READER_PROPERTIES[name].broken(one.value, one.attainable) for one in observed)
        assert broken is (memory in violated), memory


def test_every_reader_of_two_words_has_a_file():
    """By what the readers of the catalogue load, lowered; the pair with the refcount is the callers'."""
    pairs = {}
    for scheme in SCHEMES:
        for kind in (Kind.ANON, Kind.SHMEM):
            for reader in scheme.readers:
                model = Model(find_scheme(scheme.id), 2, ((Call(reader.name),),), kind=kind)
                program = lower(model.entries(0), model.memory())
                loads = [one.word.name for one in program.instructions if one.code is Code.ACCESS]
                if len(set(loads)) == 2:
                    pairs.setdefault(frozenset(loads), []).append((scheme.id, reader.name))
    known = {frozenset(pair) for pair in (*PAIRS, *NOT_TWO_WORDS)}
    assert pairs.keys() == known, {pair: where for pair, where in pairs.items() if pair not in known}
    assert set(PAIRS.values()) <= {file.stem for file in FILES}
