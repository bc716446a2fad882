"""Logs on disk: what is written is read, batch by batch; damage is noticed; nothing is replaced by mistake."""

from __future__ import annotations

import json
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from snapshot_strategies import simple_snapshot

from mapcount.errors import BadLogError, BadSnapshotError, OutputExistsError
from mapcount.mapping import log_store
from mapcount.mapping.log import Log, LogMetadata
from mapcount.mapping.schema import LogFolios, MappingLog
from mapcount.mapping.snapshot import Snapshot


def random_table(kind, rows, rng):
    def column(field):
        dtype, words = field.metadata["dtype"], field.metadata["words"]
        if words or dtype.kind == "b":
            return rng.integers(0, len(words) if words else 2, rows).astype(dtype)
        return rng.integers(0, np.iinfo(dtype).max, rows, dtype, endpoint=True)

    return kind(**{field.name: column(field) for field in fields(kind)})


def make_log(sizes, folios=5, seed=1):
    rng = np.random.default_rng(seed)
    batches = [random_table(MappingLog, size, rng) for size in sizes]
    about = random_table(LogFolios, folios, rng)
    meta = LogMetadata(decided_by="6.12", host="h", pmd_order=9, notes=["one note"])
    return Log(meta, about.order, about.kind, about.swapcache, lambda: iter(batches))


def columns(log):
    tables = list(log.batches())
    return {
        field.name: [value for table in tables for value in getattr(table, field.name).tolist()]
        for field in fields(MappingLog)
    }


@settings(max_examples=23, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.integers(0, 29), max_size=7), folios=st.integers(0, 5), seed=st.integers(0, 1 << 30))
def test_round_trip(tmp_path, monkeypatch, sizes, folios, seed):
    monkeypatch.setattr(log_store, "ROWS_PER_FILE", 11)
    log = make_log(sizes, folios, seed)
    size_bytes = log.save(tmp_path / "a.maplog", force=True)
    assert size_bytes == sum(path.stat().st_size for path in (tmp_path / "a.maplog").iterdir())
    read = Log.load(tmp_path / "a.maplog")
    assert read.meta == log.meta
    for name in ("orders", "kinds", "swapcache"):
        assert getattr(read, name).tolist() == getattr(log, name).tolist()
        assert getattr(read, name).dtype == getattr(log, name).dtype
    assert columns(read) == columns(log)
    assert columns(read) == columns(log), "a second reading starts anew"
    assert [len(table) for table in read.batches()][:-1] == [11] * max(-(-sum(sizes) // 11) - 1, 0)
    for table in read.batches():
        assert all(getattr(table, field.name).dtype == field.metadata["dtype"] for field in fields(MappingLog))


def test_batches_are_written_as_they_come(tmp_path, monkeypatch):
    monkeypatch.setattr(log_store, "ROWS_PER_FILE", 11)
    log, written = make_log([11] * 7), []

    def batches():
        for number, batch in enumerate(log.batches()):
            written.append((number, len(list(tmp_path.rglob("rows-*")))))
            yield batch

    Log(log.meta, log.orders, log.kinds, log.swapcache, batches).save(tmp_path / "a.maplog")
    assert written == [(number, number) for number in range(7)]


def test_a_writer_that_fails_leaves_nothing(tmp_path):
    log = make_log([3])

    def batches():
        yield from log.batches()
        raise RuntimeError("the machine stopped")

    with pytest.raises(RuntimeError):
        Log(log.meta, log.orders, log.kinds, log.swapcache, batches).save(tmp_path / "a.maplog")
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_stays(tmp_path):
    make_log([3]).save(tmp_path / "a.maplog")
    with pytest.raises(OutputExistsError):
        make_log([5]).save(tmp_path / "a.maplog")
    assert len(columns(Log.load(tmp_path / "a.maplog"))["seq"]) == 3


def test_a_changed_byte_is_noticed(tmp_path):
    make_log([31]).save(tmp_path / "a.maplog")
    path = tmp_path / "a.maplog" / "rows-00000000.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    log = Log.load(tmp_path / "a.maplog")
    with pytest.raises(BadLogError, match="CRC-32 differs"):
        list(log.batches())
    path.unlink()
    with pytest.raises(BadLogError, match="is missing"):
        list(log.batches())


def test_logs_and_snapshots_are_told_apart(tmp_path):
    make_log([3]).save(tmp_path / "a.maplog")
    simple_snapshot().save(tmp_path / "a.mapsnap")
    with pytest.raises(BadSnapshotError, match="is a log of mappings, not a snapshot"):
        Snapshot.load(tmp_path / "a.maplog")
    with pytest.raises(BadLogError, match="is no log of mappings"):
        Log.load(tmp_path / "a.mapsnap")
    with pytest.raises(BadLogError):
        Log.load(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"schema_version": 99}, "written with schema 99"),
        ({"decided_by": 3}, "is damaged: meta.json"),
        ({"files": {}}, "does not list folios.parquet"),
        ({"holds": "snapshot"}, "is no log of mappings"),
    ],
)
def test_other_metadata(tmp_path, change, why):
    make_log([3]).save(tmp_path / "a.maplog")
    path = tmp_path / "a.maplog" / "meta.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(BadLogError, match=why):
        Log.load(tmp_path / "a.maplog")
