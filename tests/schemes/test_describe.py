"""Descriptions say what the scheme's file declares."""

from __future__ import annotations

import pytest

from mapcount.errors import UsageError
from mapcount.schemes.catalogue import SCHEMES, scheme_ids
from mapcount.schemes.describe import describe, describe_all


@pytest.mark.parametrize("scheme_id", scheme_ids())
def test_every_design_and_variant_can_be_described(scheme_id):
    found = describe(scheme_id)

    assert found.id == scheme_id
    assert found.note.split("\n\n")[0]
    assert {row.name for row in found.readers} >= {"folio_mapcount", "mapped_shared"}
    assert {row.operation for row in found.operations} >= {"new_ptes", "unmap_ptes", "split_pmd"}
    assert [row.order for row in found.footprints] == list(range(1, 10))


def test_the_list_is_in_the_order_of_the_catalogue():
    assert [found.id for found in describe_all()] == [scheme.id for scheme in SCHEMES]


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.id)
def test_a_design_says_who_held_it_against_what(scheme):
    assert scheme.when
    assert scheme.referee
    assert scheme.sources
    for reader in scheme.readers:
        assert scheme.function(reader.name), reader.name
    for name, why in scheme.cannot.items():
        assert why
        assert name not in {reader.name for reader in scheme.readers}


def test_an_unknown_one_is_refused_with_the_known_ones():
    with pytest.raises(UsageError, match=r"no scheme 'mmid'.*mm-id"):
        describe("mmid")
    with pytest.raises(UsageError, match="mm-id has no variant 'seqlock'"):
        describe("mm-id:seqlock")
