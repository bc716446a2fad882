"""For all tests: hypothesis judges what is right, never how long an example takes; compiled schemes go into pytest's cache.

For tests of real kernels: each is booted once, for all of them.
"""

from __future__ import annotations

import os
from fnmatch import fnmatch
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


KERNEL_TESTS = "test_*kernels.py"
"""Where `make test-kernels` looks, which collects nothing else."""


def pytest_collection_modifyitems(items):
    """Refuse a test of real kernels where `make test-kernels` would not find it."""
    for item in items:
        if item.get_closest_marker("kernels") and not fnmatch(item.path.name, KERNEL_TESTS):
            raise pytest.UsageError(f"{item.nodeid} boots kernels: its file has to be named {KERNEL_TESTS}")


def pytest_generate_tests(metafunc):
    """Let a test of real kernels that takes `kernel` run on each of them. Those of one kernel go to the same worker."""
    if "kernel" in metafunc.fixturenames and metafunc.definition.get_closest_marker("kernels"):
        from kernels.live_kernels import NAMES

        params = [pytest.param(name, marks=pytest.mark.xdist_group(f"Linux {name}")) for name in NAMES]
        metafunc.parametrize("kernel", params, indirect=True, scope="session")


@pytest.fixture(scope="session")
def kernel(request):
    """A kernel in a guest, booted once for each sort of hardware, whoever asks."""
    from kernels.live_kernels import image_or_skip
    from mapcount.kernels.guest_backend import GuestBackend

    with GuestBackend(image_or_skip(request.param), keeps_state=True) as backend:
        yield backend
