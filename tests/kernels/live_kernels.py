"""Which real kernels are booted by tests, and why not: `MAPCOUNT_TEST_KERNELS` names images, by default the two of CI."""

from __future__ import annotations

import os
import shutil

import pytest

from kernels.native import LACK
from mapcount.errors import KernelImageError
from mapcount.kernels.guest import QEMU
from mapcount.kernels.images import cache_directory, find_image

NAMES = os.environ.get("MAPCOUNT_TEST_KERNELS", "6.1 6.12").split()
# Looked up when tests are collected: later the cache is that of pytest.
_CACHE = str(cache_directory())


def image_or_skip(name):
    """Return a kernel image; skip the test, by name and reason, if it cannot be booted here."""
    if not shutil.which(QEMU):
        pytest.skip(f"no {QEMU}")
    if LACK:
        pytest.skip(f"the agent cannot be built here: {LACK}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAPCOUNT_KERNELS", _CACHE)
        try:
            return find_image(name)
        except KernelImageError as error:
            pytest.skip(str(error))
