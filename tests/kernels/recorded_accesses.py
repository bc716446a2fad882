"""The tables of accesses that were recorded from real kernels."""

from __future__ import annotations

from pathlib import Path

DIRECTORY = Path(__file__).parent.parent / "golden" / "accesses"
PATHS = sorted(DIRECTORY.glob("*.json"))
NAMES = [path.stem for path in PATHS]
EXPECTED = {"5.10", "6.1", "6.12", "6.16", "6.18", "7.0", "7.3", "7.3-no-page-mapcount"}
