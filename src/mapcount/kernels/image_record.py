"""What the cache knows of a kernel image: `record.json`, beside the files that it lists."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from mapcount.errors import KernelImageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RECORD_NAME = "record.json"
RECORD_VERSION = 1


@dataclass(frozen=True)
class StoredFile:
    """A file of an image. `mtime_ns` tells cheaply that it was not touched, `sha256` surely."""

    name: str
    """Relative to the directory of the image."""
    size_bytes: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True)
class StoredPackage:
    """A Debian package that files came out of; `sha256` is that of the .deb, as the signed index has it."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True)
class Record:
    """
    A cached image. Files are named `vmlinuz`, `config` and `modules/*.ko`; `load_order` names the latter.

    `packages` begins with the one that has the vmlinuz; an image of one's own has none.
    """

    schema_version: int
    name: str
    release: str
    page_mapcount: bool | None
    source: str
    files: tuple[StoredFile, ...]
    load_order: tuple[str, ...] = ()
    packages: tuple[StoredPackage, ...] = ()

    def file(self, name: str) -> StoredFile | None:
        """Return what is known of a file; None if the image has no such file."""
        return next((file for file in self.files if file.name == name), None)


def read_record(directory: Path) -> Record:
    """Read the record of an image. Raises KernelImageError if it is damaged or of a newer version, OSError if not there."""
    try:
        record = msgspec.json.decode((directory / RECORD_NAME).read_bytes(), type=Record)
    except msgspec.DecodeError as error:
        raise KernelImageError(f"{directory / RECORD_NAME} is damaged ({error}); {cure(directory.name)}") from error
    if record.schema_version != RECORD_VERSION:
        raise KernelImageError(
            f"{directory / RECORD_NAME} has version {record.schema_version}, this mapcount reads {RECORD_VERSION}; "
            + cure(directory.name)
        )
    if record.file("vmlinuz") is None:
        raise KernelImageError(f"{directory / RECORD_NAME} names no vmlinuz; {cure(directory.name)}")
    return record


def write_record(directory: Path, record: Record) -> None:
    """Write the record into the directory of the image."""
    text = msgspec.json.format(msgspec.json.encode(record), indent=2)
    (directory / RECORD_NAME).write_bytes(text + b"\n")


def cure(directory_name: str) -> str:
    """Say what to do about a cached image that is not what it should be."""
    return f"remove the directory {directory_name} there, and fetch or add the image again"


def describe_file(directory: Path, name: str) -> StoredFile:
    """Return name, size, time and hash of a file as it is now. Raises OSError."""
    path = directory / name
    found = os.stat(path)
    return StoredFile(name, found.st_size, found.st_mtime_ns, sha256_of(path))


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def touched(directory: Path, record: Record) -> Iterator[str]:
    """Yield a sentence for each file whose size or time is not what the record says: a check that costs nothing."""
    for file in record.files:
        try:
            found = os.stat(directory / file.name)
        except OSError as error:
            yield f"{file.name} cannot be read ({error.strerror})"
            continue
        if (found.st_size, found.st_mtime_ns) != (file.size_bytes, file.mtime_ns):
            yield f"{file.name} was changed after it was put there"


def changed(directory: Path, record: Record) -> Iterator[str]:
    """Yield a sentence for each file whose content is not what the record says: every byte is read."""
    for file in record.files:
        try:
            found = sha256_of(directory / file.name)
        except OSError as error:
            yield f"{file.name} cannot be read ({error.strerror})"
            continue
        if found != file.sha256:
            yield f"{file.name} has SHA-256 {found}, its record says {file.sha256}"
