"""The .mapsnap store: a directory with one Parquet file per table and meta.json, which polars and DuckDB open as it is.

In the files a column of a fixed vocabulary holds words and a cgroup column holds paths. meta.json holds the metadata,
the list of cgroups, and size and CRC-32 of each table's file: damage is noticed before a Parquet reader meets it, for one
changed byte can make polars 2.1 abort the whole process. A file that is made to deceive has the right CRC-32; what it
says is checked (integrity.py), but whether polars survives reading it is not in our hands.
Names that are not UTF-8 (surrogate escapes in memory) are stored as text with backslash escapes.
"""

from __future__ import annotations

import dataclasses
import io
import operator
import os
import zlib
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import polars as pl

from mapcount.errors import BadSnapshotError
from mapcount.mapping import schema
from mapcount.mapping.integrity import find_fault
from mapcount.mapping.snapshot import Metadata, Snapshot
from mapcount.mapping.swap_in import META_NAME, TABLE_SUFFIX, write_directory

if TYPE_CHECKING:
    import enum
    from collections.abc import Mapping

    import numpy.typing as npt

_OTHERWISE = "Take another copy of it, or capture again."


class _FileNote(msgspec.Struct):
    """What meta.json says of a table's file."""

    bytes: int
    crc32: int


class _Extras(msgspec.Struct):
    """What meta.json holds besides the metadata."""

    cgroups: list[str]
    files: dict[str, _FileNote]


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
    meta, extras = _decode_meta(text, _read(text, META_NAME))
    tables = {name: _load_table(text, name, extras) for name in schema.SNAPSHOT_TABLES}
    snapshot = Snapshot(meta=meta, cgroups=tuple(extras.cgroups), **tables)
    fault = find_fault(snapshot)
    if fault:
        raise BadSnapshotError(f"{text} contradicts itself: {fault}. {_OTHERWISE}")
    return snapshot


def encode(snapshot: Snapshot) -> dict[str, bytes]:
    """Return the files of a .mapsnap directory by name."""
    cgroups = [_storable(name) for name in snapshot.cgroups]
    files = {
        f"{name}{TABLE_SUFFIX}": _encode_table(getattr(snapshot, name), pl.Series(cgroups, dtype=pl.String))
        for name in schema.SNAPSHOT_TABLES
    }
    meta = _storable(dataclasses.asdict(snapshot.meta)) | {
        "cgroups": list(dict.fromkeys(cgroups)),
        "files": {name: {"bytes": len(content), "crc32": zlib.crc32(content)} for name, content in files.items()},
    }
    # Whoever fills the metadata may do so with numpy's numbers.
    text = msgspec.json.encode(meta, enc_hook=operator.methodcaller("item"))
    return files | {META_NAME: msgspec.json.format(text, indent=2) + b"\n"}


def _storable(value: Any) -> Any:
    """Return a text, or all texts of a JSON value, without the lone surrogates that UTF-8 cannot hold."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, dict):
        return {_storable(key): _storable(item) for key, item in value.items()}
    return value


def _encode_table(table: schema.Table, cgroups: pl.Series) -> bytes:
    columns = []
    for field in dataclasses.fields(table):  # type: ignore[arg-type]
        values = getattr(table, field.name)
        if values is not None:
            columns.append(_encode_column(values, field.metadata, cgroups).alias(field.name))
    buffer = io.BytesIO()
    pl.DataFrame(columns).write_parquet(buffer, compression="zstd")
    return buffer.getvalue()


def _encode_column(values: npt.NDArray[Any], about: Mapping[str, Any], cgroups: pl.Series) -> pl.Series:
    if about["words"]:
        words = _words(about["words"])
        return pl.Series(words, dtype=pl.Enum(words)).gather(pl.Series(values))
    if about["cgroup"]:
        return cgroups.gather(pl.Series(values))
    if about["dtype"].kind == "O":
        return pl.Series([_storable(text) for text in values], dtype=pl.String)
    return pl.Series(values.astype(about["dtype"], copy=False))


def _words(vocabulary: type[enum.IntEnum]) -> list[str]:
    """Return the words of a vocabulary; a word's place is its code."""
    assert [member.value for member in vocabulary] == list(range(len(vocabulary)))
    return [member.name.lower() for member in vocabulary]


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


def _read(directory: str, name: str) -> bytes:
    path = os.path.join(directory, name)
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            raise BadSnapshotError(f"{path} is not a file, so {directory} is no snapshot")
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError as error:
        if name == META_NAME:
            raise BadSnapshotError(
                f"{directory} is no snapshot: it has no {META_NAME}. Give the directory that `mapcount capture` wrote"
            ) from error
        raise BadSnapshotError(f"{directory} is damaged: {name} is missing. {_OTHERWISE}") from error
    except OSError as error:
        cure = ". It belongs to another user: ask for a copy, or use sudo" if isinstance(error, PermissionError) else ""
        raise BadSnapshotError(f"{path} could not be read: {error.strerror}{cure}") from error


def _decode_meta(path: str, content: bytes) -> tuple[Metadata, _Extras]:
    try:
        raw = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadSnapshotError(f"{path} is damaged: {META_NAME} is not JSON ({error}). {_OTHERWISE}") from error
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
        raise BadSnapshotError(f"{path} is damaged: {META_NAME}: {error}. {_OTHERWISE}") from error


def _load_table(path: str, name: str, extras: _Extras) -> Any:
    file_name = f"{name}{TABLE_SUFFIX}"
    content = _read(path, file_name)
    note = extras.files.get(file_name)
    if note is None:
        raise BadSnapshotError(f"{path} is damaged: {META_NAME} does not list {file_name}. {_OTHERWISE}")
    if len(content) != note.bytes:
        raise BadSnapshotError(
            f"{path} is damaged: {file_name} has {len(content)} bytes, not {note.bytes}. {_OTHERWISE}"
        )
    if zlib.crc32(content) != note.crc32:
        raise BadSnapshotError(f"{path} is damaged: {file_name} has been changed (its CRC-32 differs). {_OTHERWISE}")
    try:
        return _decode_table(schema.SNAPSHOT_TABLES[name], content, extras.cgroups)
    except (_WrongColumnError, pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise BadSnapshotError(f"{path} is damaged: {file_name}: {reason}. {_OTHERWISE}") from error


class _WrongColumnError(Exception):
    """A column is missing, has another type than the schema says, or lacks values."""


def _decode_table(kind: type[schema.Table], content: bytes, cgroups: list[str]) -> Any:
    frame = pl.read_parquet(io.BytesIO(content))
    columns: dict[str, Any] = {}
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        if field.name in frame.columns:
            columns[field.name] = _decode_column(frame[field.name], field.metadata, cgroups)
        elif field.metadata["optional"]:
            columns[field.name] = None
        else:
            raise _WrongColumnError(f"column {field.name} is missing")
    return kind(**columns)


def _decode_column(series: pl.Series, about: Mapping[str, Any], cgroups: list[str]) -> npt.NDArray[Any]:
    dtype: np.dtype[Any] = about["dtype"]
    is_text = about["words"] or about["cgroup"] or dtype.kind == "O"
    wanted = pl.String if is_text else pl.Series(np.empty(0, dtype)).dtype
    found = pl.String if is_text and isinstance(series.dtype, (pl.Enum, pl.Categorical)) else series.dtype
    if found != wanted:
        raise _WrongColumnError(f"column {series.name} is {series.dtype}, not {wanted}")
    if series.null_count():
        raise _WrongColumnError(f"column {series.name} lacks values")
    if not is_text:
        return series.to_numpy()
    if about["words"]:
        return _codes(series, _words(about["words"])).astype(dtype)
    if about["cgroup"]:
        return _codes(series, cgroups).astype(dtype)
    texts = series.cast(pl.String).unique()
    shared = np.empty(len(texts), object)  # one str per distinct text: a million VMAs have a few thousand paths
    shared[:] = texts.to_list()
    values: npt.NDArray[Any] = shared[_codes(series, texts)]
    return values


def _codes(series: pl.Series, texts: list[str] | pl.Series) -> npt.NDArray[Any]:
    """Return each value's place in `texts`; PolarsError if it is not among them."""
    vocabulary = pl.Enum(texts)
    if series.dtype != vocabulary:
        series = series.cast(pl.String).cast(vocabulary)
    codes: npt.NDArray[Any] = series.to_physical().to_numpy()
    return codes
