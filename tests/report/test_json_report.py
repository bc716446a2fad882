"""The JSON report: the keys that are promised, raw integers, and its own schema."""

from __future__ import annotations

import json
from dataclasses import replace

from mapcount.report import json_report, rows
from report.json_schema import faults
from report.samples import folio_row, metadata, process_row, sample, vma_row

# As the first issue of the report asked for them; further keys are free to come.
PROMISED = {
    "sizes": "kind order folio_bytes folios bytes mapped_bytes fully_mapped partially_mapped unmapped_bytes wasted_bytes "
    "exclusive shared unknown pmd_mapped_bytes",
    "processes": "pid comm cgroup rss_bytes pss_bytes uss_bytes anon_large_bytes pmd_mapped_bytes partially_mapped "
    "wasted_bytes",
    "checks": "name ours kernel unit verdict",
}


def test_promised_keys_are_there_as_raw_values():
    document = json.loads(json_report.document(sample()))

    assert document["schema_version"] == 1
    assert document["meta"]["kernel_release"] == "6.18.44"
    for table, keys in PROMISED.items():
        for row in document[table]:
            assert set(keys.split()) <= row.keys()
    anon = next(row for row in document["sizes"] if (row["kind"], row["order"]) == ("anon", 4))
    assert (anon["folios"], anon["folio_bytes"], anon["bytes"]) == (39_296, 65_536, 39_296 * 65_536)
    assert {"cgroups", "programs", "cuts", "memory", "since_boot"} <= document.keys()
    assert not {"vmas", "folios"} & document.keys()


def test_every_document_is_valid_under_the_printed_schema():
    schema = json.loads(json_report.schema_text())
    for document in (
        json_report.document(sample()),
        json_report.document(sample(), vmas=[vma_row(7)], folios=[folio_row(11)]),
        json_report.document(
            sample(sizes=[], processes=[], checks=[], meta=metadata(unreadable=[{"pid": 1, "error": "no"}]))
        ),
    ):
        assert faults(json.loads(document), schema, schema) == []


def test_the_schema_refuses_other_documents():
    schema = json.loads(json_report.schema_text())
    good = json.loads(json_report.document(sample()))

    assert faults({**good, "schema_version": "1"}, schema, schema)
    assert faults({key: value for key, value in good.items() if key != "checks"}, schema, schema)
    assert faults({**good, "sizes": [{**good["sizes"][0], "bytes": "5 GiB"}]}, schema, schema)
    assert faults({**good, "processes": [{"pid": 7}]}, schema, schema)


def test_names_that_are_not_utf8_do_not_spoil_the_document():
    odd = replace(process_row(0, "caf\udce9", large=0), cgroup="/\udcff")
    survey = sample(processes=[odd])

    assert json.loads(json_report.document(survey))["processes"][0]["comm"] == r"caf\udce9"
    assert rb"caf\udce9" in rows.csv_text(rows.table_of(survey, "process"))
    assert rows.parquet(rows.table_of(survey, "process")).startswith(b"PAR1")
    lines = [json.loads(line) for line in rows.ndjson(survey, "process").splitlines()]
    assert lines[0]["row"] == "process" and lines[0]["comm"] == r"caf\udce9"
