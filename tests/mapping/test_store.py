"""The .mapsnap store: what is saved is loaded; damaged, foreign and hostile files end in one clear message."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import tempfile
import zlib
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from snapshot_strategies import assert_same, simple_snapshot, snapshots, texts_as_objects

from mapcount.errors import BadSnapshotError
from mapcount.mapping.schema import ADDED_TABLES, SNAPSHOT_TABLES, Kind
from mapcount.mapping.snapshot import Metadata, Snapshot, empty_tables
from mapcount.mapping.store import encode

pytestmark = pytest.mark.usefixtures("no_waiting_for_disk")
quick = settings(suppress_health_check=[HealthCheck.too_slow])


@quick
@given(snapshots())
def test_what_is_saved_is_loaded(snapshot):
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "a.mapsnap")
        size_bytes = snapshot.save(path)
        assert size_bytes == sum(os.path.getsize(os.path.join(path, name)) for name in os.listdir(path))
        assert_same(snapshot, Snapshot.load(path))


def test_empty_snapshot(tmp_path):
    snapshot = Snapshot(meta=Metadata(tier="no-pfn"), **empty_tables())
    snapshot.save(tmp_path / "e")
    assert_same(snapshot, Snapshot.load(tmp_path / "e"))


def test_polars_opens_the_files_as_they_are(tmp_path):
    simple_snapshot().save(tmp_path / "a")
    folios = pl.read_parquet(tmp_path / "a" / "folios.parquet")
    assert folios.select("kind", "charge_cgroup", "order", "consistency").rows() == [("anon", "/a", 4, "checked")]
    assert "pfn" not in folios.columns
    assert folios["charge_cgroup"].dtype == pl.String
    assert folios["kind"].dtype == pl.Enum([kind.name.lower() for kind in Kind])
    assert pl.read_parquet(tmp_path / "a" / "mms.parquet")["comm"].to_list() == ["work"]


def test_the_directory_holds_these_files_and_no_others(tmp_path):
    simple_snapshot().save(tmp_path / "a")
    assert sorted(os.listdir(tmp_path / "a")) == sorted([f"{name}.parquet" for name in SNAPSHOT_TABLES] + ["meta.json"])
    meta = json.loads((tmp_path / "a" / "meta.json").read_text())
    assert meta["schema_version"] == 1
    assert meta["cgroups"] == ["", "/a"]
    assert (tmp_path / "a" / "meta.json").read_text().count("\n") > 40, "meta.json is for people too"


def test_names_that_are_not_utf8_become_escapes(tmp_path):
    name = os.fsdecode(b"bad\xff")
    snapshot = simple_snapshot(comm=name)
    snapshot = dataclasses.replace(snapshot, cgroups=("", name), meta=Metadata(notes=[name], settings={name: name}))
    snapshot.save(tmp_path / "a")
    loaded = Snapshot.load(tmp_path / "a")
    assert loaded.mms.comm[0] == loaded.cgroups[1] == loaded.meta.notes[0] == "bad\\udcff"


def test_numbers_of_numpy_in_the_metadata(tmp_path):
    dataclasses.replace(simple_snapshot(), meta=Metadata(races={"pages_moved": np.int64(7)})).save(tmp_path / "a")
    assert Snapshot.load(tmp_path / "a").meta.races == {"pages_moved": 7}


def test_equal_texts_are_one_object(tmp_path):
    base = simple_snapshot()
    rows = np.zeros(1009, np.intp)
    vmas = dataclasses.replace(base.vmas.take(rows), vma_id=np.arange(1009, dtype=np.uint32))
    dataclasses.replace(base, vmas=vmas).save(tmp_path / "a")
    assert len({id(path) for path in Snapshot.load(tmp_path / "a").vmas.path}) == 1


# --- what is no snapshot ---------------------------------------------------------------------------------------------


def refusal(path) -> str:
    with pytest.raises(BadSnapshotError) as caught:
        Snapshot.load(path)
    assert str(path).rstrip("/") in str(caught.value), "the message names the path"
    return str(caught.value)


def test_missing(tmp_path):
    assert "does not exist" in refusal(tmp_path / "a")
    simple_snapshot().save(tmp_path / "a.mapsnap")
    assert f"did you mean {tmp_path}/a.mapsnap?" in refusal(tmp_path / "a")


def test_file_instead_of_directory(tmp_path):
    simple_snapshot().save(tmp_path / "a")
    (tmp_path / "core").write_text("x")
    assert "a snapshot is a directory" in refusal(tmp_path / "core")
    assert f"did you mean {tmp_path}/a?" in refusal(tmp_path / "a" / "runs.parquet")
    assert f"did you mean {tmp_path}/a?" in refusal(tmp_path / "a" / "meta.json")


def test_directory_of_something_else(tmp_path):
    assert "it has no meta.json" in refusal(tmp_path)


@pytest.fixture
def saved(tmp_path):
    simple_snapshot().save(tmp_path / "a")
    return tmp_path / "a"


@pytest.mark.parametrize("text", ["", "{", "PK\3\4", "[" * 100_000, "\xff", '{"schema_version": 1'])
def test_meta_is_not_json(saved, text):
    (saved / "meta.json").write_bytes(text.encode("latin-1"))
    assert "is not JSON" in refusal(saved)


@pytest.mark.parametrize("text", ["[]", "null", "{}", '{"schema_version": "1"}', '{"schema_version": true}', "7"])
def test_meta_of_something_else(saved, text):
    (saved / "meta.json").write_text(text)
    assert "no schema_version" in refusal(saved)


def change_meta(directory: Path, **changes) -> None:
    meta = json.loads((directory / "meta.json").read_text())
    (directory / "meta.json").write_text(json.dumps({k: v for k, v in (meta | changes).items() if v is not ...}))


def test_newer_schema(saved):
    change_meta(saved, schema_version=2, mapcount_version="9.9")
    assert "written by a newer mapcount (9.9, schema 2" in refusal(saved)
    assert "upgrade" in refusal(saved)


def test_meta_of_a_wrong_type(saved):
    change_meta(saved, reads="many")
    assert "$.reads" in refusal(saved)


@pytest.mark.parametrize(
    "changes",
    [{"cgroups": ...}, {"files": ...}, {"cgroups": "x"}, {"files": {}}, {"cgroups": []}, {"cgroups": ["", "/a", "/a"]}],
)
def test_meta_without_its_lists(saved, changes):
    change_meta(saved, **changes)
    assert "is damaged" in refusal(saved)


def test_unknown_keys_of_meta_are_ignored(saved):
    change_meta(saved, something_new=1)
    assert Snapshot.load(saved).meta.host == "h"


@pytest.mark.parametrize(
    "changes",
    [
        {"page_size": 0},
        {"page_size": -4096},
        {"page_size": 4095},
        {"pmd_order": -1},
        {"pmd_order": 64},
        {"cgroups": ["/a", ""]},
    ],
)
def test_meta_that_cannot_be(saved, changes):
    change_meta(saved, **changes)
    assert "contradicts itself" in refusal(saved)


@pytest.mark.parametrize("table", SNAPSHOT_TABLES)
def test_missing_table(saved, table):
    (saved / f"{table}.parquet").unlink()
    assert f"{table}.parquet is missing" in refusal(saved)


def test_what_was_written_before_there_was_a_table(saved):
    meta = json.loads((saved / "meta.json").read_text())
    for table in ADDED_TABLES:
        (saved / f"{table}.parquet").unlink()
        del meta["files"][f"{table}.parquet"]
    (saved / "meta.json").write_text(json.dumps(meta))
    loaded = Snapshot.load(saved)
    assert [len(getattr(loaded, table)) for table in ADDED_TABLES] == [0] * len(ADDED_TABLES)
    assert loaded.runs.nr_pages.tolist() == [13]


@pytest.mark.parametrize("table", sorted(set(SNAPSHOT_TABLES) - ADDED_TABLES))
def test_a_table_that_always_was_there_is_not_taken_for_empty(saved, table):
    meta = json.loads((saved / "meta.json").read_text())
    del meta["files"][f"{table}.parquet"]
    (saved / "meta.json").write_text(json.dumps(meta))
    assert f"does not list {table}.parquet" in refusal(saved)


def test_a_table_that_is_no_file(saved):
    (saved / "mms.parquet").unlink()
    os.mkfifo(saved / "mms.parquet")
    assert "is not a file" in refusal(saved)


# --- damage ----------------------------------------------------------------------------------------------------------


@quick
@given(st.data())
def test_cut_files(data):
    """Cut any file anywhere: never anything but BadSnapshotError."""
    files = encode(simple_snapshot())
    name = data.draw(st.sampled_from(sorted(files)))
    with tempfile.TemporaryDirectory() as directory:
        for other, content in files.items():
            Path(directory, other).write_bytes(content)
        keep = data.draw(st.integers(0, len(files[name]) - 2))  # without its last newline meta.json is whole
        Path(directory, name).write_bytes(files[name][:keep])
        with pytest.raises(BadSnapshotError):
            Snapshot.load(directory)


@quick
@given(st.data())
def test_changed_bytes(data):
    """Change any byte of a table: never anything but BadSnapshotError."""
    files = encode(simple_snapshot())
    name = data.draw(st.sampled_from(sorted(set(files) - {"meta.json"})))
    content = bytearray(files[name])
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    with tempfile.TemporaryDirectory() as directory:
        for other, whole in (files | {name: bytes(content)}).items():
            Path(directory, other).write_bytes(whole)
        with pytest.raises(BadSnapshotError, match="CRC-32"):
            Snapshot.load(directory)


@quick
@given(st.data())
def test_changed_bytes_of_meta(data):
    content = bytearray(encode(simple_snapshot())["meta.json"])
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    with tempfile.TemporaryDirectory() as directory:
        for name, whole in (encode(simple_snapshot()) | {"meta.json": bytes(content)}).items():
            Path(directory, name).write_bytes(whole)
        with contextlib.suppress(BadSnapshotError):
            Snapshot.load(directory)  # a changed letter of the host's name is no damage that anybody could see


# --- files made to deceive: their size and CRC-32 are right ----------------------------------------------------------


def replace_file(directory: Path, table: str, content: bytes) -> None:
    meta = json.loads((directory / "meta.json").read_text())
    note = {"bytes": len(content), "crc32": zlib.crc32(content)}
    change_meta(directory, files=meta["files"] | {f"{table}.parquet": note})
    (directory / f"{table}.parquet").write_bytes(content)


def rewrite(directory: Path, table: str, change) -> None:
    buffer = io.BytesIO()
    change(pl.read_parquet(directory / f"{table}.parquet")).write_parquet(buffer)
    replace_file(directory, table, buffer.getvalue())


def test_not_parquet(saved):
    for content in (b"", b"PAR1", b"\0" * 997, b"PAR1" + b"\xff" * 100 + b"PAR1"):
        replace_file(saved, "runs", content)
        assert "runs.parquet" in refusal(saved)


def test_missing_column(saved):
    rewrite(saved, "runs", lambda frame: frame.drop("folio_id"))
    assert "runs.parquet: column folio_id is missing" in refusal(saved)


@pytest.mark.parametrize("dtype", [pl.Int64, pl.String, pl.Float64, pl.List(pl.UInt32), pl.Boolean])
def test_column_of_a_wrong_type(saved, dtype):
    rewrite(saved, "runs", lambda frame: frame.with_columns(pl.lit(None).cast(dtype).alias("nr_pages")))
    assert "runs.parquet: column nr_pages is" in refusal(saved)


def test_column_of_words_that_is_numbers(saved):
    rewrite(saved, "folios", lambda frame: frame.with_columns(pl.lit(0).alias("kind")))
    assert "folios.parquet: column kind is Int32, not String" in refusal(saved)


@pytest.mark.parametrize("column", ["pid", "comm", "complete"])
def test_column_with_a_gap(saved, column):
    rewrite(saved, "mms", lambda frame: frame.with_columns(pl.lit(None).cast(frame[column].dtype).alias(column)))
    assert f"column {column} lacks values" in refusal(saved)


def test_unknown_word_and_unknown_cgroup(saved):
    rewrite(saved, "folios", lambda frame: frame.with_columns(pl.lit("vapour").alias("kind")))
    assert "vapour" in refusal(saved)
    rewrite(saved, "folios", lambda frame: frame.with_columns(pl.lit("anon").alias("kind")))
    assert Snapshot.load(saved).folios.kind[0] == Kind.ANON, "plain text will do: other tools write no Enum"
    rewrite(saved, "folios", lambda frame: frame.with_columns(pl.lit("/b").alias("charge_cgroup")))
    assert "/b" in refusal(saved)


@pytest.mark.parametrize(
    ("table", "column", "value", "message"),
    [
        ("mms", "mm_id", 1, "mms, row 0: mm_id is not the row number"),
        ("vmas", "vma_id", 1, "vmas, row 0: vma_id is not the row number"),
        ("folios", "folio_id", 7, "folios, row 0: folio_id is not the row number"),
        ("vmas", "mm_id", 1, "vmas, row 0: mm_id names a row that does not exist"),
        ("runs", "mm_id", 1, "runs, row 0: mm_id names"),
        ("runs", "vma_id", 1, "runs, row 0: vma_id names"),
        ("runs", "folio_id", 1, "runs, row 0: folio_id names"),
        ("runs", "folio_id", 0xFFFFFFFF, "runs, row 0: folio_id names"),
        ("small", "vma_id", 1, "small, row 0: vma_id names"),
        ("swap", "vma_id", 1, "swap, row 0: vma_id names"),
        ("unseen", "folio_id", 1, "unseen, row 0: folio_id names"),
        ("observed_counts", "folio_id", 1, "observed_counts, row 0: folio_id names"),
        ("observed_bits", "mm_id", 1, "observed_bits, row 0: mm_id names"),
        ("observed_vmas", "vma_id", 1, "observed_vmas, row 0: vma_id names"),
        ("runs", "nr_pages", 17, "runs, row 0: its pages are not within the folio"),
        ("runs", "nr_pages", 0, "runs, row 0: its pages are not within the folio"),
        ("runs", "first_page", 4, "runs, row 0: its pages are not within the folio"),
        ("runs", "first_page", 0xFFFFFFFF, "runs, row 0: its pages are not within the folio"),
        ("unseen", "first_page", 4, "unseen, row 0: its pages"),
        ("observed_counts", "first_page", 4, "observed_counts, row 0: its pages"),
        ("folios", "order", 255, "folios, row 0: order is above"),
        ("vmas", "end", 0, "vmas, row 0: it ends before it starts"),
        ("runs", "address", 0xFFFFFFFFFFFFF000, "runs, row 0: it wraps"),
        ("observed_bits", "address", 0xFFFFFFFFFFFFF000, "observed_bits, row 0: it wraps"),
        ("observed_bits", "nr_pages", 0, "observed_bits, row 0: it has no pages"),
        ("observed_words", "folio_id", 1, "observed_words, row 0: folio_id names"),
        ("observed_words", "first_page", 4, "observed_words, row 0: its pages"),
    ],
)
def test_tables_that_do_not_fit_together(saved, table, column, value, message):
    def change(frame):
        return frame.with_columns(pl.lit(value, dtype=frame[column].dtype).alias(column))

    Snapshot.load(saved)
    rewrite(saved, table, change)
    assert message in refusal(saved)


def test_run_in_a_vma_of_another_mm(tmp_path):
    base = simple_snapshot()
    mms = dataclasses.replace(base.mms.take(np.array([0, 0])), mm_id=np.array([0, 1], np.uint32))
    runs = dataclasses.replace(base.runs, mm_id=np.array([1], np.uint32))
    dataclasses.replace(base, mms=mms, runs=runs).save(tmp_path / "a")
    assert "vma_id belongs to another mm" in refusal(tmp_path / "a")


def test_brackets_and_stars_in_the_path(tmp_path):
    """Polars takes such paths for patterns; the store does not."""
    path = tmp_path / "a[1]*?=b"
    simple_snapshot().save(path)
    assert Snapshot.load(path).vmas.path.tolist() == texts_as_objects(["/lib/x.so"]).tolist()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become a user that may not read")
def test_snapshot_of_another_user():
    with tempfile.TemporaryDirectory() as public:
        os.chmod(public, 0o755)
        simple_snapshot().save(f"{public}/a")
        os.seteuid(65534)
        try:
            message = refusal(f"{public}/a")
        finally:
            os.seteuid(0)
    assert "Permission denied" in message
    assert "use sudo" in message
