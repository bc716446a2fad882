"""For all tests: hypothesis judges what is right, never how long an example takes on a busy machine."""

from __future__ import annotations

from pathlib import Path

from hypothesis import settings
from hypothesis.configuration import set_hypothesis_home_dir

# Not in the current directory, and without a database of failed examples: root, or nobody, may own where it would be.
# The failing example is printed, and a line that reproduces it.
set_hypothesis_home_dir(Path(__file__).parent.parent / ".hypothesis")
settings.register_profile("mapcount", deadline=None, max_examples=61, database=None, print_blob=True)
settings.load_profile("mapcount")
