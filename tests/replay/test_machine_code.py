"""Machine code that is kept: the second process compiles nothing; what cannot be kept, or is not ours, is no failure."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from mapcount.replay import machine_code
from mapcount.replay.emit import arrays_of, emit
from mapcount.replay.engine import replay
from mapcount.replay.machine_code import is_kept, load_drivers
from mapcount.replay.source_key import source_key
from mapcount.schemes import mm_slots
from mapcount.schemes.catalogue import find_scheme
from replay.logs import random_log
from replay.tiny import SCHEME

PROGRAM = """
import sys
from mapcount.replay.engine import replay
from replay.logs import random_log
from replay.tiny import SCHEME
from mapcount.replay import native_code
if sys.argv[1:] == ["compile nothing"]:
    native_code.object_file = None
print(replay(random_log(3).log, [SCHEME], engine="compiled")[0].answers["folio_mapcount"].sum())
"""


def run_program(cache, *arguments):
    tests = os.path.dirname(os.path.dirname(__file__))
    path = os.pathsep.join([tests, *sys.path])
    env = os.environ | {"XDG_CACHE_HOME": str(cache), "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], env=env, capture_output=True, text=True, check=True
    )
    assert not done.stderr
    return done.stdout.split()


def files_of(cache):
    return sorted((path, path.stat().st_mtime_ns) for path in cache.rglob("*") if path.is_file())


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """Keep in a directory of the test what this process compiles, as a new process would."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(machine_code, "_LOADED", {})
    return tmp_path


def test_the_second_process_compiles_nothing(tmp_path):
    total = run_program(tmp_path)
    files = files_of(tmp_path)
    assert len(files) == 1
    assert run_program(tmp_path, "compile nothing") == total
    assert files_of(tmp_path) == files


def counted_as_plainly():
    [plain], [compiled] = (replay(random_log(5).log, [SCHEME], engine=engine) for engine in ("plain", "compiled"))
    assert plain.words["_large_mapcount"].any()
    return plain.words["_large_mapcount"].tolist() == compiled.words["_large_mapcount"].tolist()


@pytest.mark.parametrize(("broken", "told"), [("a file", "Not a directory"), ("open", "others may write it")])
def test_a_cache_that_cannot_be_used_is_no_failure(monkeypatch, cache, broken, told):
    if broken == "a file":
        (cache / "file").write_text("")
        monkeypatch.setenv("XDG_CACHE_HOME", str(cache / "file"))
    else:
        load_drivers(SCHEME)
        machine_code._LOADED.clear()
        (cache / "mapcount" / "replay").chmod(0o777)
    with pytest.warns(UserWarning, match=told):
        assert counted_as_plainly()


@pytest.mark.parametrize("damage", [lambda code: code[:-7] + b"garbage", lambda code: code[:100], lambda code: b""])
def test_damaged_code_is_never_run(cache, damage):
    load_drivers(SCHEME)
    [(path, _)] = files_of(cache)
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    machine_code._LOADED.clear()
    assert counted_as_plainly()
    assert path.read_bytes() == whole


def test_another_processor_has_code_of_its_own(monkeypatch, cache):
    load_drivers(SCHEME)
    machine_code._LOADED.clear()
    assert is_kept(SCHEME)
    monkeypatch.setattr(machine_code, "processor", lambda: "another")
    assert not is_kept(SCHEME)
    load_drivers(SCHEME)
    assert len(files_of(cache)) == 2


def test_arrays_of_another_type_or_shape_never_reach_the_code():
    taken = arrays_of(SCHEME, "ask", cost=False)
    arrays = {name: np.zeros(7, of) for name, of in taken.items()}
    load_drivers(SCHEME).ask(arrays | {"by_page": np.zeros(997, np.int64), "by_folio": np.zeros(997, np.int64)}, 7)
    for wrong in (np.zeros(7, np.int32), np.zeros(14, np.int64)[::2]):
        with pytest.raises(TypeError, match="by_page is an array of int"):
            load_drivers(SCHEME).ask(arrays | {"by_page": wrong}, 7)


def test_scheme_variant_and_costs_have_texts_of_their_own():
    texts = {emit(find_scheme(name), cost=cost) for name in ("mm-id", "large-mapcount") for cost in (False, True)}
    texts.add(emit(find_scheme("large-mapcount:unbatched")))
    assert len(texts) == 5
    assert emit(find_scheme("mm-id")) in texts
    for text in texts:
        assert '"""' in text.partition("\n")[0]  # only the module says what it is: no docstrings, no annotations
        assert text.count('"""') == 2
        assert " -> " not in text


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
