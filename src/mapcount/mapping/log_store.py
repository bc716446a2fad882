"""The .maplog store: folios.parquet, meta.json and the rows in files of at most ROWS_PER_FILE, so that they stream.

Written and checked by what writes and checks snapshots (swap_in.py, table_files.py).
"""

from __future__ import annotations

import os
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import polars as pl

from mapcount.errors import BadLogError, BadSnapshotError
from mapcount.mapping import schema
from mapcount.mapping.log import Log, LogMetadata
from mapcount.mapping.schema import LogFolios, MappingLog
from mapcount.mapping.store import encode_meta
from mapcount.mapping.swap_in import META_NAME, TABLE_SUFFIX, write_files
from mapcount.mapping.table_files import FileNote, encode_table, load_table, note_of, read_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROWS_PER_FILE = 1 << 18
_FOLIOS = f"folios{TABLE_SUFFIX}"
_NO_CGROUPS = pl.Series(["", ""], dtype=pl.String)


class _Files(msgspec.Struct):
    """What meta.json holds besides the metadata."""

    files: dict[str, FileNote]


def save(log: Log, path: str | os.PathLike[str], *, force: bool = False) -> int:
    """
    Write a .maplog directory (0700, files 0600) beside its final name and swap it in; return its bytes.

    No more than a file's rows are held in memory. Raises OutputExistsError, OutputError as mapping.store.save does.
    """
    return write_files(path, _encoded(log), force=force)


def load(path: str | os.PathLike[str]) -> Log:
    """Open a .maplog directory; its rows are read, and checked, when `batches` comes to them. Raises BadLogError."""
    text = os.fspath(path)
    try:
        raw: Any = msgspec.json.decode(read_file(text, META_NAME))
        _check(text, raw)
        meta, files = msgspec.convert(raw, LogMetadata), msgspec.convert(raw, _Files).files
        folios: LogFolios = load_table(text, _FOLIOS, LogFolios, files, [])
    except BadSnapshotError as error:
        raise BadLogError(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:  # ValidationError is a DecodeError
        raise BadLogError(f"{text} is damaged: {META_NAME}: {error}") from error
    if (folios.folio_id != np.arange(len(folios))).any():
        raise BadLogError(f"{text} contradicts itself: folios: folio_id is not the row number")
    names = sorted(name for name in files if name != _FOLIOS)

    def batches() -> Iterator[MappingLog]:
        for name in names:
            try:
                yield load_table(text, name, MappingLog, files, [])
            except BadSnapshotError as error:
                raise BadLogError(str(error)) from error

    return Log(meta, folios.order, folios.kind, folios.swapcache, batches)


def _check(path: str, raw: Any) -> None:
    if not isinstance(raw, dict) or raw.get("holds") != "log":
        raise BadLogError(f"{path} is no log of mappings; `mapcount report` reads snapshots")
    version = raw.get("schema_version")
    if not isinstance(version, int) or version > schema.SCHEMA_VERSION:
        raise BadLogError(
            f"{path} was written with schema {version}; this mapcount reads schemas up to {schema.SCHEMA_VERSION}; upgrade it"
        )


def _encoded(log: Log) -> Iterator[tuple[str, bytes]]:
    """Give the files one after the other, meta.json last."""
    notes: dict[str, FileNote] = {}
    rows = np.arange(len(log.orders), dtype=np.uint32)
    content = encode_table(LogFolios(rows, log.orders, log.kinds, log.swapcache), _NO_CGROUPS)
    notes[_FOLIOS] = note_of(content)
    yield _FOLIOS, content
    for number, table in enumerate(_in_files(log.batches())):
        name = f"rows-{number:08}{TABLE_SUFFIX}"
        content = encode_table(table, _NO_CGROUPS)
        notes[name] = note_of(content)
        yield name, content
    yield META_NAME, encode_meta(log.meta, notes)


def _in_files(batches: Iterable[MappingLog]) -> Iterator[MappingLog]:
    """Join small batches and divide large ones: every table but the last has ROWS_PER_FILE rows."""
    waiting: list[MappingLog] = []
    for batch in batches:
        waiting.append(batch)
        if sum(map(len, waiting)) >= ROWS_PER_FILE:
            joined = _join(waiting)
            whole = len(joined) // ROWS_PER_FILE * ROWS_PER_FILE
            for first in range(0, whole, ROWS_PER_FILE):
                yield joined.take(slice(first, first + ROWS_PER_FILE))
            waiting = [joined.take(slice(whole, None))]
    rest = _join(waiting) if waiting else MappingLog.empty()
    if len(rest):
        yield rest


def _join(tables: list[MappingLog]) -> MappingLog:
    return MappingLog(
        **{
            column.name: np.concatenate([getattr(table, column.name) for table in tables])
            for column in fields(MappingLog)
        }
    )
