"""Costs as evidence: a call a page or one call, and one question to a reader."""

from __future__ import annotations

import pytest

from mapcount.explain.costs import ERAS, operation_price, reader_price
from mapcount.schemes.catalogue import find_scheme


def test_calls():
    assert operation_price("mm-id", "munmap", at_once=False).calls == 512
    assert operation_price("mm-id", "munmap", at_once=True).calls == 1


def test_one_question():
    assert reader_price("large-mapcount", "folio_mapcount").loads == 1
    with pytest.raises(StopIteration):
        reader_price("complete-mappings", "folio_mapcount")


def test_eras_are_designs():
    assert [find_scheme(scheme).id for scheme in ERAS] == list(ERAS)
