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
from mapcount.schemes.catalogue import find_scheme
from replay.logs import random_log

SCHEME = "no-page-mapcount"
PROGRAM = f"""
from mapcount.replay.module_cache import load_module
from mapcount.replay.engine import replay
from mapcount.schemes.catalogue import find_scheme
from replay.logs import random_log
scheme = find_scheme({SCHEME!r})
print(replay(random_log(3).log, [scheme], engine="numba")[0].stats.sum())
module = load_module(scheme)
for driver in (module.run_rows, module.ask):
    print(sum(driver.stats.cache_hits.values()), sum(driver.stats.cache_misses.values()))
"""


def run_program(cache):
    tests = os.path.dirname(os.path.dirname(__file__))
    path = os.pathsep.join([tests, *sys.path])
    env = os.environ | {"XDG_CACHE_HOME": str(cache), "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, check=True)
    assert not done.stderr
    return done.stdout.split("\n")


def test_the_second_process_compiles_nothing(tmp_path):
    total, *first = run_program(tmp_path)
    assert first[:2] == ["0 1", "0 1"]
    files = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*") if path.is_file())
    assert len(files) == 5  # the text, and an index and machine code for each of two drivers
    again, *second = run_program(tmp_path)
    assert (again, second[:2]) == (total, ["1 0", "1 0"])
    assert sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*") if path.is_file()) == files


def fresh(monkeypatch, cache, text_changes=""):
    """Load a module as a new process would, with a text that nobody has cached."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setattr(module_cache, "emit", lambda scheme, *, cost=False: emit(scheme, cost=cost) + text_changes)
    return module_cache.load_module(find_scheme(SCHEME))


@pytest.mark.parametrize("broken", ["a file", "writable by others"])
def test_a_cache_that_cannot_be_used_is_no_failure(monkeypatch, tmp_path, broken):
    text = f"\n# {broken}\n"
    if broken == "a file":
        cache = tmp_path / "cache"
        cache.write_text("")
        told = "Not a directory"
    else:
        cache = tmp_path
        key = module_cache._key(emit(find_scheme(SCHEME)) + text)
        directory = tmp_path / "mapcount" / "replay" / key
        directory.mkdir(parents=True)
        directory.chmod(0o777)
        (directory / "emitted.py").write_text("raise SystemExit('not ours')")
        told = "others may write it"
    with pytest.warns(UserWarning, match=told):
        module = fresh(monkeypatch, cache, text)
    assert str(tmp_path) not in module.__file__ or "mapcount-replay-" in module.__file__
    [one] = replay(random_log(5).log, [find_scheme(SCHEME)], engine="plain")
    monkeypatch.setattr("mapcount.replay.compiled.load_module", lambda scheme, *, cost=False: module)
    [other] = replay(random_log(5).log, [find_scheme(SCHEME)], engine="numba")
    assert one.stats.tolist() == other.stats.tolist()


def test_a_damaged_text_is_written_anew(monkeypatch, tmp_path):
    text = "\n# damaged\n"
    path = tmp_path / "mapcount" / "replay" / module_cache._key(emit(find_scheme(SCHEME)) + text) / "emitted.py"
    path.parent.mkdir(parents=True, mode=0o700)
    path.write_bytes(b"\xff\xfe raise SystemExit")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        module = fresh(monkeypatch, tmp_path, text)
    assert module.__file__ == str(path)
    assert path.read_text() == emit(find_scheme(SCHEME)) + text


def test_the_place(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/tmp/x")
    assert str(module_cache.cache_directory()) == "/var/tmp/x/mapcount/replay"
    monkeypatch.setenv("HOME", "/home/somebody")
    for nothing in ("", "relative/path"):
        monkeypatch.setenv("XDG_CACHE_HOME", nothing)
        assert str(module_cache.cache_directory()) == "/home/somebody/.cache/mapcount/replay"


def test_scheme_variant_and_costs_have_texts_of_their_own():
    texts = {emit(find_scheme(name), cost=cost) for name in ("mm-id", "large-mapcount") for cost in (False, True)}
    texts.add(emit(find_scheme("large-mapcount:unbatched")))
    assert len(texts) == 5
    assert emit(find_scheme("mm-id")) in texts
    for text in texts:
        assert '"""' in text.partition("\n")[0]  # only the module says what it is: no docstrings, no annotations
        assert text.count('"""') == 2
        assert " -> " not in text
