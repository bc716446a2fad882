"""Where the user's cache is, and that one which others may write is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from mapcount.user_cache import cache_directory, cache_path


def test_the_place(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches/x")
    assert cache_path("replay") == Path("/caches/x/mapcount/replay")
    monkeypatch.setenv("HOME", "/home/somebody")
    for nothing in ("", "relative/path"):
        monkeypatch.setenv("XDG_CACHE_HOME", nothing)
        assert cache_path("agent") == Path("/home/somebody/.cache/mapcount/agent")


def test_a_directory_is_made_and_is_ours_alone(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert not cache_path("plugin").exists()
    directory = cache_directory("plugin")
    assert directory == cache_path("plugin") == tmp_path / "cache" / "mapcount" / "plugin"
    assert directory.stat().st_mode & 0o777 == 0o700
    directory.chmod(0o770)
    with pytest.raises(PermissionError, match="others may write it"):
        cache_directory("plugin")
