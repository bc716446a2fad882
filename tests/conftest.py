"""For all tests: hypothesis judges what is right, never how long an example takes; compiled schemes go into pytest's cache."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.configuration import set_hypothesis_home_dir

# Not in the current directory, and without a database of failed examples: root, or nobody, may own where it would be.
# The failing example is printed, and a line that reproduces it.
set_hypothesis_home_dir(Path(__file__).parent.parent / ".hypothesis")
settings.register_profile("mapcount", deadline=None, max_examples=61, database=None, print_blob=True)
settings.load_profile("mapcount")


@pytest.fixture(scope="session", autouse=True)
def _compiled_schemes(request, tmp_path_factory):
    """Compile once for all tests and all runs of them (one run, if pytest keeps no cache), and touch nobody's home."""
    before = os.environ.get("XDG_CACHE_HOME")
    cache = getattr(request.config, "cache", None)
    os.environ["XDG_CACHE_HOME"] = str(cache.mkdir("schemes") if cache else tmp_path_factory.mktemp("schemes"))
    yield
    if before is None:
        del os.environ["XDG_CACHE_HOME"]
    else:
        os.environ["XDG_CACHE_HOME"] = before
