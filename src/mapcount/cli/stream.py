"""A snapshot as a stream: a tar of its files, for `capture -o -` and for the capture that runs under sudo."""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
from typing import IO, TYPE_CHECKING

from mapcount.errors import BadSnapshotError

if TYPE_CHECKING:
    from mapcount.mapping.snapshot import Snapshot


def write_tar(snapshot: Snapshot, stream: IO[bytes], name: str) -> int:
    """Write the snapshot as a tar with one directory `name` (0700, files 0600); return the bytes of its files.

    Nothing is written to disk on the way. Owners and times are not in the tar.
    """
    from mapcount.mapping.store import encode

    files = encode(snapshot)
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        folder = tarfile.TarInfo(name)
        folder.type, folder.mode = tarfile.DIRTYPE, 0o700
        tar.addfile(folder)
        for file_name, content in files.items():
            member = tarfile.TarInfo(f"{name}/{file_name}")
            member.size, member.mode = len(content), 0o600
            tar.addfile(member, io.BytesIO(content))
    return sum(map(len, files.values()))


def read_tar(stream: IO[bytes]) -> Snapshot:
    """
    Read the snapshot that `write_tar` wrote. Raises BadSnapshotError if the stream is none.

    The files pass through a private temporary directory. Only plain files are taken, under the last part of their name:
    a tar can write nowhere else.
    """
    from mapcount.mapping.snapshot import Snapshot

    with tempfile.TemporaryDirectory(prefix="mapcount-", suffix=".mapsnap") as private:
        try:
            with tarfile.open(fileobj=stream, mode="r|") as tar:
                for member in tar:
                    _extract(tar, member, private)
        except tarfile.TarError as error:
            raise BadSnapshotError(f"the stream is not a snapshot: {error}") from error
        return Snapshot.load(private)


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: str) -> None:
    source = tar.extractfile(member) if member.isreg() else None
    if source is None:
        return
    target = os.path.join(folder, os.path.basename(member.name))
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:
        while chunk := source.read(1 << 20):
            file.write(chunk)
