"""Emitted modules: the second process compiles nothing; what cannot be cached, or is not ours, is no failure."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings

import pytest

from mapcount.replay import module_cache
from mapcount.replay.emit import emit
from mapcount.replay.engine import replay
from mapcount.replay.source_key import source_key
from mapcount.schemes import mm_slots
from mapcount.schemes.catalogue import find_scheme
from replay.logs import random_log
from replay.tiny import SCHEME

PROGRAM = """
import sys
from mapcount.replay import module_cache
from mapcount.replay.module_cache import load_module
from mapcount.replay.engine import replay
from mapcount.replay.source_key import source_key
from mapcount.schemes import mm_slots
from replay.logs import random_log
from replay.tiny import SCHEME
if sys.argv[1:] == ["emit nothing"]:
    module_cache.emit = None
print(replay(random_log(3).log, [SCHEME], engine="numba")[0].answers["folio_mapcount"].sum())
module = load_module(SCHEME)
for driver in (module.run_rows, module.ask):
    print(sum(driver.stats.cache_hits.values()), sum(driver.stats.cache_misses.values()))
"""


def run_program(cache, *arguments):
    tests = os.path.dirname(os.path.dirname(__file__))
    path = os.pathsep.join([tests, *sys.path])
    env = os.environ | {"XDG_CACHE_HOME": str(cache), "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], env=env, capture_output=True, text=True, check=True
    )
    assert not done.stderr
    return done.stdout.split("\n")


def test_the_second_process_compiles_nothing(tmp_path):
    total, *first = run_program(tmp_path)
    assert first[:2] == ["0 1", "0 1"]
    files = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*") if path.is_file())
    # The text, an index and machine code for each of two drivers, and the name of the text by its sources.
    assert len(files) == 6
    again, *second = run_program(tmp_path, "emit nothing")
    assert (again, second[:2]) == (total, ["1 0", "1 0"])
    assert sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*") if path.is_file()) == files


def fresh(monkeypatch, cache, text_changes=""):
    """Load a module as a new process would, with a text that nobody has cached."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setattr(module_cache, "emit", lambda scheme, *, cost=False: emit(scheme, cost=cost) + text_changes)
    return module_cache.load_module(SCHEME)


@pytest.mark.parametrize("broken", ["a file", "writable by others"])
def test_a_cache_that_cannot_be_used_is_no_failure(monkeypatch, tmp_path, broken):
    text = f"\n# {broken}\n"
    if broken == "a file":
        cache = tmp_path / "cache"
        cache.write_text("")
        told = "Not a directory"
    else:
        cache = tmp_path
        key = module_cache._key(emit(SCHEME) + text)
        directory = tmp_path / "mapcount" / "replay" / key
        directory.mkdir(parents=True)
        directory.chmod(0o777)
        (directory / "emitted.py").write_text("raise SystemExit('not ours')")
        told = "others may write it"
    with pytest.warns(UserWarning, match=told):
        module = fresh(monkeypatch, cache, text)
    assert str(tmp_path) not in module.__file__ or "mapcount-replay-" in module.__file__
    [one] = replay(random_log(5).log, [SCHEME], engine="plain")
    monkeypatch.setattr("mapcount.replay.compiled.load_module", lambda scheme, *, cost=False: module)
    [other] = replay(random_log(5).log, [SCHEME], engine="numba")
    assert one.words["_large_mapcount"].any()
    assert one.words["_large_mapcount"].tolist() == other.words["_large_mapcount"].tolist()


def test_a_damaged_text_is_written_anew(monkeypatch, tmp_path):
    text = "\n# damaged\n"
    path = tmp_path / "mapcount" / "replay" / module_cache._key(emit(SCHEME) + text) / "emitted.py"
    path.parent.mkdir(parents=True, mode=0o700)
    path.write_bytes(b"\xff\xfe raise SystemExit")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        module = fresh(monkeypatch, tmp_path, text)
    assert module.__file__ == str(path)
    assert path.read_text() == emit(SCHEME) + text


def test_scheme_variant_and_costs_have_texts_of_their_own():
    texts = {emit(find_scheme(name), cost=cost) for name in ("mm-id", "large-mapcount") for cost in (False, True)}
    texts.add(emit(find_scheme("large-mapcount:unbatched")))
    assert len(texts) == 5
    assert emit(find_scheme("mm-id")) in texts
    for text in texts:
        assert '"""' in text.partition("\n")[0]  # only the module says what it is: no docstrings, no annotations
        assert text.count('"""') == 2
        assert " -> " not in text


def test_a_text_is_found_by_its_sources_only_while_it_is_what_it_was(monkeypatch, tmp_path):
    changes = "\n# found by its sources\n"
    fresh(monkeypatch, tmp_path, changes)
    source = tmp_path / "mapcount" / "replay" / "by-source" / source_key(SCHEME, cost=False)
    text = module_cache._text_of(source)
    assert text == emit(SCHEME) + changes
    stored = tmp_path / "mapcount" / "replay" / source.read_text() / "emitted.py"
    with open(stored, "a") as file:
        file.write("# one line more\n")
    assert module_cache._text_of(source) is None
    source.write_text("../../elsewhere")
    assert module_cache._text_of(source) is None


def test_sources_variants_and_modes_have_keys_of_their_own(monkeypatch):
    wanted = [("mm-id", False), ("mm-id", True), ("large-mapcount", False), ("large-mapcount:unbatched", False)]
    keys = [source_key(find_scheme(scheme_id), cost=cost) for scheme_id, cost in wanted]
    assert len(set(keys)) == len(keys)
    assert source_key(find_scheme("mm-id"), cost=False) == keys[0]
    digests = {mm_slots.__file__: b"changed"}
    monkeypatch.setattr("mapcount.replay.source_key._digest", lambda file: digests.get(file, b""))
    changed = source_key(find_scheme("mm-id"), cost=False)
    digests.clear()
    assert source_key(find_scheme("mm-id"), cost=False) != changed
