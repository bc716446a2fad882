"""docs/reference/snapshot.md holds what docs/generate_tables.py makes of the schema today."""

from __future__ import annotations

import pytest

from docs.pages import ROOT, plain, sections, table
from mapcount.mapping.schema import SNAPSHOT_TABLES

PAGE = ROOT / "docs" / "reference" / "snapshot.md"


def test_the_page_is_up_to_date(generator):
    assert generator.put_between(PAGE.read_text(), generator.tables_text()) == PAGE.read_text(), (
        "run docs/generate_tables.py"
    )


def test_a_page_without_markers_is_refused(generator):
    with pytest.raises(ValueError, match="marker"):
        generator.put_between("# Snapshot files\n", "text")


@pytest.mark.parametrize("name", SNAPSHOT_TABLES)
def test_every_column_is_there(name):
    told = [plain(row[0]) for row in table(sections(PAGE)[name])]
    assert told == list(SNAPSHOT_TABLES[name].__dataclass_fields__)
