"""The quirks that go with each way of counting, as kernels were seen to have them."""

from __future__ import annotations

import pytest

from mapcount.schemes.eras import Bit56
from mapcount.views.quirks import PER_PAGE, RFC_2026, quirks_for


@pytest.mark.parametrize(
    ("scheme", "bit56", "average"),
    [
        ("double-map", Bit56.FIRST_PAGE, False),
        ("large-mapcount", Bit56.PAGE, False),
        ("mm-id", Bit56.FIRST_PAGE, False),
        ("no-page-mapcount", Bit56.FOLIO, True),
        ("total-mapped-pages", Bit56.FOLIO, True),
    ],
)
def test_of_kernels(scheme, bit56, average):
    quirks = quirks_for(scheme)
    assert quirks.bit56 is bit56
    assert quirks.average_page_mapcount == quirks.private_by_folio == quirks.whole_folio_mapped == average
    assert quirks.pss_by_entry == (quirks == RFC_2026) == (scheme == "total-mapped-pages")


def test_of_proposals():
    assert quirks_for("total-mapcount") == PER_PAGE
