"""Allowances: what they take, and that each one of the list is well-formed. test_golden.py shows that each is needed."""

from __future__ import annotations

import pytest

from mapcount.agreement.allowed import ALLOWED, Allowance, allowance_for
from mapcount.agreement.differences import Difference

KNOWN = Allowance((6, 9), (6, 13), "_refcount", lambda one: one.left == 5, "a reason", "a source")
DIFFERENCE = Difference(3, "f0", "_refcount", 5, 6)


@pytest.mark.parametrize(
    ("release", "taken"), [("6.8", False), ("6.9.1", True), ("6.12.107+deb12", True), ("6.13", False)]
)
def test_kernels(release, taken):
    assert allowance_for(DIFFERENCE, release, (KNOWN,)) == (KNOWN if taken else None)


def test_the_field_and_the_values():
    assert allowance_for(Difference(3, "f0", "shared", 5, 6), "6.12", (KNOWN,)) is None
    assert allowance_for(Difference(3, "f0", "_refcount", 4, 6), "6.12", (KNOWN,)) is None


def test_each_has_a_reason_and_a_source():
    for one in ALLOWED:
        assert one.since < one.until and one.reason and one.source
