"""Whether the agent can be built here; a test that needs it says so by name."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest


def _lack() -> str:
    if not shutil.which("gcc"):
        return "no gcc"
    # gcc repeats the bare name of a file that it does not find.
    found = subprocess.run(["gcc", "-print-file-name=libc.a"], capture_output=True, text=True, check=False).stdout
    return "" if os.path.isabs(found) else "no static libc (libc.a)"


LACK = _lack()
needs_compiler = pytest.mark.skipif(bool(LACK), reason=f"the agent cannot be built here: {LACK}")
