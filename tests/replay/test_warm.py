"""Compiling ahead: what is compiled already is left alone, what cannot be is left to who needs it."""

from __future__ import annotations

import numpy as np

from mapcount.replay import warm
from mapcount.replay.module_cache import can_keep, is_kept
from mapcount.schemes.catalogue import find_scheme

FEW, MANY = np.full(7, 9, np.uint8), np.full(257, 9, np.uint8)
"""7 and 257 folios of 2 MiB."""


def test_what_is_kept_is_not_compiled_again(monkeypatch):
    monkeypatch.setattr("mapcount.replay.engine.is_kept", lambda scheme, cost: True)
    told = []
    warm.compile_schemes(["mm-id", "large-mapcount"], MANY, 7, say=told.append)
    assert told == []


def test_two_at_once(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("NUMBA_OPT", "0")  # nothing is run here: machine code that is not optimised is made sooner
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    wanted = ["nr-pages-mapped:sum", "nr-pages-mapped:short-loop"]  # the shortest that there are
    assert not any(is_kept(find_scheme(scheme_id)) for scheme_id in wanted)
    told = []
    warm.compile_schemes(wanted, FEW, 7, say=told.append)
    assert told == [], "few folios need no machine code"
    warm.compile_schemes(wanted, MANY, 7, say=told.append)
    assert told == ["compiling 2 ways of counting, once: some seconds for each"]
    assert all(is_kept(find_scheme(scheme_id)) for scheme_id in wanted)
    machine_code = {path.name.split("-")[0] for path in tmp_path.rglob("*.nbc")}
    assert machine_code == {"emitted.run_rows", "emitted.ask"}


def test_nothing_is_compiled_ahead_where_nothing_can_be_kept(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    told = []
    warm.compile_schemes(["mm-id", "large-mapcount"], MANY, 7, say=told.append)
    assert told == []
    assert not can_keep()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert can_keep()
