"""The configuration of the kernel without counts per page, as a fragment to merge."""

from __future__ import annotations

import re
from pathlib import Path

import mapcount.kernels
from mapcount.kernels.boot_image import page_mapcount_of

FRAGMENT = (Path(mapcount.kernels.__file__).parent / "configs" / "no-page-mapcount.config").read_text()


def test_it_is_a_fragment_that_sets_each_symbol_once():
    lines = [line for line in FRAGMENT.splitlines() if line and not line.startswith("#")]
    names = [re.fullmatch(r"(CONFIG_[A-Z0-9_]+)=(?:y|\d+)", line)[1] for line in lines]
    assert len(names) == len(set(names)) > 7


def test_it_gives_what_its_name_says():
    assert page_mapcount_of("7.3.4", FRAGMENT) is False
    for needed in ("SMP", "TRANSPARENT_HUGEPAGE", "DEBUG_INFO_BTF", "SERIAL_8250_CONSOLE", "UNIX", "BLK_DEV_RAM"):
        assert f"\nCONFIG_{needed}=y\n" in FRAGMENT
