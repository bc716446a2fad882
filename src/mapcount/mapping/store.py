"""The .mapsnap store: a directory with one Parquet file per table and meta.json, which polars and DuckDB open as it is.

meta.json holds the metadata, the list of cgroups, and size and CRC-32 of each table's file (table_files.py). What the tables
say is checked (integrity.py).
"""

from __future__ import annotations

import dataclasses
import operator
import os
from typing import TYPE_CHECKING, Any

import msgspec
import polars as pl

from mapcount.errors import BadSnapshotError
from mapcount.mapping import schema
from mapcount.mapping.integrity import find_fault
from mapcount.mapping.snapshot import Metadata, Snapshot
from mapcount.mapping.swap_in import META_NAME, TABLE_SUFFIX, write_directory
from mapcount.mapping.table_files import OTHERWISE, FileNote, encode_table, load_table, note_of, read_file, storable

if TYPE_CHECKING:
    from collections.abc import Mapping


class _Extras(msgspec.Struct):
    """What meta.json holds besides the metadata."""

    cgroups: list[str]
    files: dict[str, FileNote]


def save(snapshot: Snapshot, path: str | os.PathLike[str], *, force: bool = False) -> int:
    """
    Write a .mapsnap directory (0700, files 0600), beside its final name and then swapped in; return its bytes.

    Raises OutputExistsError if `path` is there and not `force`, OutputError if it cannot be written or if `force` would
    replace something that is no snapshot.
    """
    return write_directory(path, encode(snapshot), force=force)


def load(path: str | os.PathLike[str]) -> Snapshot:
    """
    Read a .mapsnap directory and check that its tables fit together.

    Raises BadSnapshotError if it is none, damaged, or of a newer schema; the message says which and what to do.
    """
    text = os.fspath(path)
    _check_directory(text)
    meta, extras = _decode_meta(text, read_file(text, META_NAME))
    tables = {name: _load_table(text, name, extras) for name in schema.SNAPSHOT_TABLES}
    snapshot = Snapshot(meta=meta, cgroups=tuple(extras.cgroups), **tables)
    fault = find_fault(snapshot)
    if fault:
        raise BadSnapshotError(f"{text} contradicts itself: {fault}. {OTHERWISE}")
    return snapshot


def encode(snapshot: Snapshot) -> dict[str, bytes]:
    """Return the files of a .mapsnap directory by name."""
    cgroups = [storable(name) for name in snapshot.cgroups]
    files = {
        f"{name}{TABLE_SUFFIX}": encode_table(getattr(snapshot, name), pl.Series(cgroups, dtype=pl.String))
        for name in schema.SNAPSHOT_TABLES
    }
    notes = {name: note_of(content) for name, content in files.items()}
    return files | {META_NAME: encode_meta(snapshot.meta, notes, cgroups=list(dict.fromkeys(cgroups)))}


def encode_meta(meta: Any, files: Mapping[str, FileNote], **more: Any) -> bytes:
    """Return meta.json: the fields of `meta`, `more`, and what is noted of files."""
    content = storable(dataclasses.asdict(meta)) | more | {"files": files}
    # Whoever fills the metadata may do so with numpy's numbers.
    text = msgspec.json.encode(content, enc_hook=operator.methodcaller("item"))
    return msgspec.json.format(text, indent=2) + b"\n"


def _load_table(path: str, name: str, extras: _Extras) -> Any:
    kind, file_name = schema.SNAPSHOT_TABLES[name], f"{name}{TABLE_SUFFIX}"
    if name in schema.ADDED_TABLES and file_name not in extras.files:
        return kind.empty()
    return load_table(path, file_name, kind, extras.files, extras.cgroups)


def _check_directory(path: str) -> None:
    if not os.path.lexists(path):
        hint = f"; did you mean {path}.mapsnap?" if os.path.isdir(f"{path}.mapsnap") else ""
        raise BadSnapshotError(f"{path} does not exist{hint}")
    if os.path.isdir(path):
        return
    inside = os.path.basename(path) == META_NAME or path.endswith(TABLE_SUFFIX)
    parent = os.path.dirname(path) or "."
    hint = f"; did you mean {parent}?" if inside and os.path.exists(os.path.join(parent, META_NAME)) else ""
    raise BadSnapshotError(f"{path} is no snapshot: a snapshot is a directory that `mapcount capture` wrote{hint}")


def _decode_meta(path: str, content: bytes) -> tuple[Metadata, _Extras]:
    try:
        raw = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadSnapshotError(f"{path} is damaged: {META_NAME} is not JSON ({error}). {OTHERWISE}") from error
    if isinstance(raw, dict) and raw.get("holds") == "log":
        raise BadSnapshotError(f"{path} is a log of mappings, not a snapshot")
    version = raw.get("schema_version") if isinstance(raw, dict) else None
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise BadSnapshotError(f"{path} is no snapshot: its {META_NAME} has no schema_version")
    if version > schema.SCHEMA_VERSION:
        writer = raw.get("mapcount_version") or "version unknown"
        raise BadSnapshotError(
            f"{path} was written by a newer mapcount ({writer}, schema {version}; this one reads schemas up to "
            f"{schema.SCHEMA_VERSION}); upgrade mapcount to read it"
        )
    try:
        return msgspec.convert(raw, Metadata), msgspec.convert(raw, _Extras)
    except (msgspec.ValidationError, RecursionError) as error:
        raise BadSnapshotError(f"{path} is damaged: {META_NAME}: {error}. {OTHERWISE}") from error
