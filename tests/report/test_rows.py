"""Tables as NDJSON, CSV and Parquet: read back by other readers, they say what the records say."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter

import polars as pl
import pytest

from mapcount.report import rows
from report.samples import sample, vma_row


def test_ndjson_has_one_object_a_line_and_names_its_table():
    lines = [json.loads(line) for line in rows.ndjson(sample(), None).splitlines()]

    assert Counter(line["row"] for line in lines) == {
        "meta": 1, "size": 6, "process": 32, "cgroup": 1, "program": 1, "cut": 10, "memory": 3, "since_boot": 2, "check": 43,
    }  # fmt: skip
    assert [line["host"] for line in lines if line["row"] == "meta"] == ["prime"]


@pytest.mark.parametrize("by", ["size", "process", "cgroup", "program", "vma"])
def test_csv_and_parquet_hold_the_same_numbers(by):
    table = rows.table_of(sample(), by, [vma_row(i) for i in range(7)])

    from_csv = list(csv.DictReader(io.StringIO(rows.csv_text(table).decode())))
    from_parquet = pl.read_parquet(io.BytesIO(rows.parquet(table))).to_dicts()

    flat = [{name: value for name, value in row.items() if not isinstance(value, dict)} for row in table]
    assert from_parquet == flat
    assert from_csv == [{name: str(value) for name, value in row.items()} for row in flat]


def test_no_rows_are_no_error():
    assert rows.csv_text([]) == b""
    assert pl.read_parquet(io.BytesIO(rows.parquet([]))).is_empty()
