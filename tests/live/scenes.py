"""The workloads whose truth is complete, with the folio sizes that each needs allowed."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

EXT4, XFS, BTRFS = 0xEF53, 0x58465342, 0x9123683E


@dataclass(frozen=True)
class Scene:
    """A workload, its arguments, and the sizes in kB that must be allowed for anonymous memory and for shmem."""

    script: str
    arguments: tuple[int, ...] = ()
    anon_kb: tuple[int, ...] = ()
    shmem_kb: tuple[int, ...] = ()
    sparse: bool = False

    def __str__(self) -> str:
        return "-".join([self.script.removesuffix(".py"), *map(str, self.arguments)])


SCENES = [
    Scene("anon.py", (2,), anon_kb=(16,)),
    Scene("anon.py", (4,), anon_kb=(64,)),
    Scene("anon.py", (9,), anon_kb=(2048,)),
    Scene("pmd.py", anon_kb=(2048,)),
    Scene("fork.py", anon_kb=(64,)),
    Scene("moved.py", anon_kb=(64, 2048)),
    Scene("shmem.py", (1,), shmem_kb=(8,)),
    Scene("shmem.py", (4,), shmem_kb=(64,)),
    Scene("shmem.py", (9,), shmem_kb=(2048,)),
    Scene("holes.py", anon_kb=(64,)),
    Scene("sparse.py", anon_kb=(64,), sparse=True),
]


def file_on_disk(directory: Path) -> Path:
    """Return a path for a file on a file system that can have large folios in its page cache; skip by name if it cannot."""
    # The first word of struct statfs is f_type.
    buffer = (ctypes.c_long * 64)()
    ctypes.CDLL(None).statfs(str(directory).encode(), buffer)
    if buffer[0] not in (EXT4, XFS, BTRFS):
        pytest.skip(f"the file system of the temporary directory (type {buffer[0]:#x}) is none of ext4, xfs, btrfs")
    return directory / "file"
