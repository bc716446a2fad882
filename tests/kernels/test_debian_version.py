"""The order of Debian's version numbers, judged by dpkg."""

from __future__ import annotations

import itertools
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapcount.kernels.debian_version import version_key

ASCENDING = [
    "5.10.262-1",
    "6.1.192-2",
    "6.12.9-1",
    "6.12.117-1~deb12u1",
    "6.12.117-1",
    "6.12.117-1+b1",
    "7.3~rc5-1~exp1",
    "7.3-1~exp1",
    "7.3.4-1~bpo13+1",
    "1:0",
]
UPSTREAM = st.from_regex(r"[0-9][0-9a-zB.+~]{0,7}", fullmatch=True)
REVISION = st.from_regex(r"(-[0-9a-z.+~]{1,5})?", fullmatch=True)
VERSION = st.builds("{}{}{}".format, st.sampled_from(["", "0:", "1:"]), UPSTREAM, REVISION)


def test_versions_of_kernels():
    for older, newer in itertools.pairwise(ASCENDING):
        assert version_key(older) < version_key(newer), (older, newer)


def test_a_revision_of_0_is_none():
    assert version_key("1.0") == version_key("1.0-0") == version_key("0:1.0")


@pytest.mark.skipif(not shutil.which("dpkg"), reason="dpkg, which judges, is missing")
@settings(max_examples=41)
@given(VERSION, VERSION)
def test_dpkg_agrees(one, other):
    for relation, ours in (
        ("lt", version_key(one) < version_key(other)),
        ("eq", version_key(one) == version_key(other)),
    ):
        ran = subprocess.run(
            ["dpkg", "--compare-versions", one, relation, other], capture_output=True, check=False, timeout=60
        )
        assert (ran.returncode == 0) == ours, (one, relation, other, ran.stderr)
