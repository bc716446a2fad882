"""Snapshots for hypothesis: every table, empty ones too, whose ids and ranges fit together."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
from hypothesis import strategies as st

from mapcount.mapping import schema
from mapcount.mapping.schema import SNAPSHOT_TABLES
from mapcount.mapping.snapshot import Metadata, Snapshot, empty_tables

LIMITS = {"mm_id": "mms", "vma_id": "vmas", "folio_id": "folios"}
LETTERS = "ÄÖÜßΩЖЩЮЯ漢字"
"""Of these names are made in tests of redaction: nothing else in a snapshot is written with them."""

names = st.text(LETTERS, min_size=4, max_size=9)
any_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=9)


def texts_as_objects(values: list[str]) -> Any:
    array = np.empty(len(values), object)
    array[:] = values
    return array


@st.composite
def snapshots(draw, name=any_text, path=any_text, cgroup=any_text, meta=None) -> Snapshot:
    """Draw the sizes and texts, and leave the numbers to a seeded generator: they are random, their relations right."""
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    size = {table: draw(st.integers(0, 7)) for table in SNAPSHOT_TABLES}
    if not size["mms"]:
        size["vmas"] = 0
    if not size["vmas"]:
        size |= dict.fromkeys(("runs", "small", "swap", "observed_vmas"), 0)
    if not size["mms"]:
        size["observed_bits"] = 0
    if not size["folios"]:
        size |= dict.fromkeys(("runs", "unseen", "observed_counts", "observed_words"), 0)
    cgroups = ("", *draw(st.lists(cgroup.filter(bool), unique=True, max_size=5)))
    texts = {"comm": name, "path": path, "task_cgroup": st.sampled_from(cgroups), "subject": st.sampled_from(cgroups)}

    def column(field, rows: int) -> Any:
        about = field.metadata
        if about["optional"] and not draw(st.booleans()):
            return None
        if about["dtype"].kind == "O":
            text = st.just("memcg") if field.name == "source" else texts.get(field.name, st.sampled_from(["", "rw-p"]))
            return texts_as_objects(draw(st.lists(text, min_size=rows, max_size=rows)))
        if about["words"]:
            return rng.integers(0, len(about["words"]), rows).astype(about["dtype"])
        if about["cgroup"]:
            return rng.integers(0, len(cgroups), rows).astype(about["dtype"])
        return numbers(field, rows, rng, size)

    tables = empty_tables()
    for table, kind in SNAPSHOT_TABLES.items():
        columns = {field.name: column(field, size[table]) for field in fields(kind)}
        make_fit(columns, table, tables, rng)
        tables[table] = kind(**columns)
    return Snapshot(meta=draw(metadata(name) if meta is None else meta), cgroups=cgroups, **tables)


def numbers(field, rows: int, rng: np.random.Generator, size: dict[str, int]) -> Any:
    dtype = field.metadata["dtype"]
    if field.name in LIMITS and rows:
        return rng.integers(0, size[LIMITS[field.name]], rows).astype(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, rows).astype(bool)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, rows, dtype, endpoint=True)


def make_fit(columns: dict[str, Any], table: str, before: dict[str, Any], rng: np.random.Generator) -> None:
    rows = len(next(iter(columns.values())))
    if f"{table[:-1]}_id" in columns:  # mms, vmas, folios: the row number
        columns[f"{table[:-1]}_id"] = np.arange(rows, dtype=np.uint32)
    if table == "vmas":
        columns["start"], columns["end"] = (np.sort(rng.integers(0, 1 << 47, (2, rows), np.uint64), axis=0))[:]
        columns["end"] += np.uint64(1)
    if table == "folios":
        columns["order"] = rng.integers(0, 19, rows).astype(np.uint8)
    if table == "runs":
        columns["mm_id"] = before["vmas"].mm_id[columns["vma_id"]]
    if "first_page" in columns:
        pages = 1 << before["folios"].order[columns["folio_id"]].astype(np.int64)
        columns["first_page"] = rng.integers(0, pages).astype(np.uint32)
        columns["nr_pages"] = rng.integers(1, pages - columns["first_page"], endpoint=True).astype(np.uint32)
    if "address" in columns:
        columns["address"] >>= np.uint64(17)


@st.composite
def metadata(draw, text=any_text, sentence=any_text) -> Metadata:
    counts = st.dictionaries(st.sampled_from(["checked", "moved"]), st.integers(0, 1 << 62))
    return Metadata(
        host=draw(text),
        boot_id=draw(text),
        command_line=draw(text),
        scope_detail=draw(text),
        notes=draw(st.lists(sentence, max_size=3)),
        partial=draw(sentence),
        settings={"enabled": "[always] madvise never"},
        capabilities=draw(st.dictionaries(st.sampled_from(["kcmp", "kpageflags"]), st.booleans())),
        started_at=draw(st.floats(0, 1e10)),
        mem_total_bytes=draw(st.integers(0, 1 << 62)),
        verdicts=draw(counts),
        races=draw(counts),
        unreadable=draw(
            st.lists(
                st.fixed_dictionaries({"pid": st.integers(1, 1 << 22), "comm": text, "error": sentence}), max_size=2
            )
        ),
    )


def assert_same(one: Snapshot, other: Snapshot) -> None:
    """Compare all columns, value and type; cgroups by name."""
    assert one.meta == other.meta
    for table, kind in SNAPSHOT_TABLES.items():
        for field in fields(kind):
            first, second = (getattr(getattr(snapshot, table), field.name) for snapshot in (one, other))
            if first is None or second is None:
                assert first is second, (table, field.name)
                continue
            assert first.dtype == second.dtype == field.metadata["dtype"], (table, field.name)
            if field.metadata["cgroup"]:
                first, second = [one.cgroups[code] for code in first], [other.cgroups[code] for code in second]
            assert list(first) == list(second), (table, field.name)


def simple_snapshot(comm: str = "work") -> Snapshot:
    """One process that maps 13 pages of a folio of 16, and a row in every other table."""

    def table(kind, **columns):
        rows = {f.name: [columns[f.name]] for f in fields(kind) if f.name in columns}
        return kind(
            **{
                f.name: (
                    None
                    if f.metadata["optional"]
                    else texts_as_objects(rows.get(f.name, [""]))
                    if f.metadata["dtype"].kind == "O"
                    else np.array(rows.get(f.name, [0]), f.metadata["dtype"])
                )
                for f in fields(kind)
            }
        )

    tables = {name: table(kind, nr_pages=13, order=4, charge_cgroup=1) for name, kind in SNAPSHOT_TABLES.items()}
    tables["mms"] = table(schema.Mms, pid=23, pids="23", comm=comm, task_cgroup="/a", complete=True)
    tables["vmas"] = table(
        schema.Vmas, start=1 << 20, end=2 << 20, perms="rw-p", dev="08:01", inode=5, path="/lib/x.so"
    )
    return Snapshot(meta=Metadata(host="h", notes=["one note"]), cgroups=("", "/a"), **tables)
