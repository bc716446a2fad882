"""A program under a real kernel in QEMU: whatever was mapped in large folios has been unmapped when it has ended."""

from __future__ import annotations

from collections import Counter

import pytest

from kernels.live_kernels import NAMES, image_or_skip
from mapcount.errors import KernelFeatureError
from mapcount.kernels.plugin_guest import PluginGuest
from mapcount.kernels.rmap_calls import Change
from mapcount.kernels.usual_case import SIZES, check_release
from mapcount.kernels.workloads import files_of, load

pytestmark = pytest.mark.kernels


@pytest.mark.parametrize("name", NAMES)
def test_what_a_prefork_server_maps_it_unmaps(name):
    image, workloads = image_or_skip(name), load(["prefork"])
    try:
        check_release(image.release)
    except KernelFeatureError as error:
        pytest.skip(str(error))
    with PluginGuest(image, files_of(workloads.values())) as guest:
        status, calls = guest.rmap_calls(workloads["prefork"].command, SIZES["2M"], time_limit_s=120)
    assert status == 0
    entries, by_pmd = Counter(), Counter()
    for call in calls:
        assert call.nr_pages_folio == 512 and 1 <= call.nr_pages <= 512
        entries[call.change] += 1 if call.by_pmd else call.nr_pages
        by_pmd[call.change] += call.by_pmd
    assert entries[Change.NEW] + entries[Change.MAP] + entries[Change.FORK] == entries[Change.UNMAP] > 100_000
    # 21 children: each gets all that the parent has mapped by PMDs, and splits what it writes to.
    assert by_pmd[Change.FORK] > 20 * 10 and by_pmd[Change.NEW] > 20
