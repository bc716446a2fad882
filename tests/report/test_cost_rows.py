"""Every document of `mapcount cost` holds what docs/reference/json.md says (its records), and nothing else."""

from __future__ import annotations

import json
from dataclasses import fields

import msgspec
import pytest

from cost.invented import measured
from mapcount import cli
from mapcount.kernels import folio_bench
from mapcount.report.cost_rows import CostTables, document

TABLES = {field.name: field.type for field in msgspec.structs.fields(CostTables) if field.name != "schema_version"}
CALLS = {
    ("--scheme", "mm-id", "--sizes", "4K,64K"): {"operation", "reader", "budget"},
    ("--scheme", "mm-id", "--workload", "fork-partial-unmap-64k"): {"workload"},
    ("--calibrate",): {"fitted_price", "prediction", "published", "measurement"},
}


@pytest.fixture
def told(capsys, monkeypatch):
    """Return the JSON of a call; the machine is an invented one."""
    monkeypatch.setattr(folio_bench, "measure", lambda *_args, **_options: measured())

    def call(*options):
        assert cli.main(["cost", "-q", "--json", *options]) == 0
        return capsys.readouterr().out

    return call


@pytest.mark.parametrize("options", CALLS)
def test_rows_have_the_keys_of_their_record(told, options):
    found = json.loads(told(*options))
    assert found.keys() == CALLS[options] | {"schema_version"}
    for name in CALLS[options]:
        (record,) = TABLES[name].__args__
        assert {tuple(row) for row in found[name]} == {tuple(field.name for field in fields(record))}


def test_each_table_comes_from_some_call():
    assert set().union(*CALLS.values()) == TABLES.keys()


def test_what_is_told_is_read_back(told):
    text = told("--scheme", "mm-id", "--sizes", "4K,64K")
    read = msgspec.json.decode(text, type=CostTables)
    assert {price.order for price in read.operation} == {0, 4} and read.workload == []


def test_a_table_without_a_record_is_refused():
    with pytest.raises(TypeError, match="spoon"):
        document({"spoon": [1]})
