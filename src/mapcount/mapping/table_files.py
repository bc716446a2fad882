"""Files of tables: a column of a fixed vocabulary holds words, a cgroup column paths; size and CRC-32 are noted aside.

Damage is noticed before a Parquet reader meets it, for one changed byte can make polars 2.1 abort the whole process. A file
that is made to deceive has the right CRC-32; whether polars survives reading it is not in our hands. Names that are not
UTF-8 (surrogate escapes in memory) are stored as text with backslash escapes.
"""

from __future__ import annotations

import dataclasses
import io
import os
import zlib
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import polars as pl

from mapcount.errors import BadSnapshotError
from mapcount.mapping.swap_in import META_NAME

if TYPE_CHECKING:
    import enum
    from collections.abc import Mapping

    import numpy.typing as npt

    from mapcount.mapping import schema

OTHERWISE = "Take another copy of it, or make it anew."


class FileNote(msgspec.Struct):
    """What meta.json says of a table's file."""

    bytes: int
    crc32: int


def note_of(content: bytes) -> FileNote:
    """Return what is noted of a file."""
    return FileNote(len(content), zlib.crc32(content))


def storable(value: Any) -> Any:
    """Return a text, or all texts of a JSON value, without the lone surrogates that UTF-8 cannot hold."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, list):
        return [storable(item) for item in value]
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    return value


def encode_table(table: schema.Table, cgroups: pl.Series) -> bytes:
    """Return a table as a Parquet file; `cgroups` are the paths that codes of cgroup columns stand for."""
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
        return pl.Series([storable(text) for text in values], dtype=pl.String)
    return pl.Series(values.astype(about["dtype"], copy=False))


def _words(vocabulary: type[enum.IntEnum]) -> list[str]:
    """Return the words of a vocabulary; a word's place is its code."""
    assert [member.value for member in vocabulary] == list(range(len(vocabulary)))
    return [member.name.lower() for member in vocabulary]


def read_file(directory: str, name: str) -> bytes:
    """Return the content of a file of a directory that should be a snapshot. Raises BadSnapshotError."""
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
        raise BadSnapshotError(f"{directory} is damaged: {name} is missing. {OTHERWISE}") from error
    except OSError as error:
        cure = ". It belongs to another user: ask for a copy, or use sudo" if isinstance(error, PermissionError) else ""
        raise BadSnapshotError(f"{path} could not be read: {error.strerror}{cure}") from error


def load_table(
    path: str, file_name: str, kind: type[schema.Table], files: Mapping[str, FileNote], cgroups: list[str]
) -> Any:
    """Return the table in a file of the directory `path`. Raises BadSnapshotError if it is not as noted in `files`."""
    content = read_file(path, file_name)
    note = files.get(file_name)
    if note is None:
        raise BadSnapshotError(f"{path} is damaged: {META_NAME} does not list {file_name}. {OTHERWISE}")
    if len(content) != note.bytes:
        raise BadSnapshotError(
            f"{path} is damaged: {file_name} has {len(content)} bytes, not {note.bytes}. {OTHERWISE}"
        )
    if zlib.crc32(content) != note.crc32:
        raise BadSnapshotError(f"{path} is damaged: {file_name} has been changed (its CRC-32 differs). {OTHERWISE}")
    try:
        return _decode_table(kind, content, cgroups)
    except (_WrongColumnError, pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise BadSnapshotError(f"{path} is damaged: {file_name}: {reason}. {OTHERWISE}") from error


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
