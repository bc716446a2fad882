"""What a kernel's Debian packages hold, taken out with dpkg-deb: vmlinuz, config and the few modules that guests need."""

from __future__ import annotations

import contextlib
import lzma
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mapcount.errors import KernelImageError
from mapcount.kernels.apt_setup import run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mapcount.kernels.packages import Package

NEEDED_MODULES = ("brd",)
"""A disk in memory, to swap to."""
_UNPACK_S = 300


class Downloads(Protocol):
    """Who can fetch packages: apt.Apt."""

    def download(self, package: Package, directory: Path) -> Path:
        """Download a package into a directory and return the file."""
        ...


@dataclass(frozen=True)
class KernelFiles:
    """Where the parts of a kernel lie. `modules` are in the order in which they can be loaded."""

    vmlinuz: Path
    config: Path | None
    modules: tuple[Path, ...]


@contextlib.contextmanager
def unpacked(directory: Path, packages: Sequence[Package], archive: Downloads) -> Iterator[Path]:
    """Download packages and unpack them into one temporary tree below `directory`. Raises KernelImageError."""
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=directory, ignore_cleanup_errors=True) as temporary:
        root = Path(temporary) / "root"
        for package in packages:
            deb = archive.download(package, Path(temporary))
            _unpack(deb, root)
            deb.unlink()
        yield root


def find_kernel(root: Path, release: str) -> KernelFiles:
    """Return the parts of a kernel in an unpacked tree. Raises KernelImageError if there is no vmlinuz."""
    vmlinuz, config = _first(root, release, "vmlinuz"), _first(root, release, "config")
    if vmlinuz is None:
        raise KernelImageError(f"the packages of {release} hold no vmlinuz")
    return KernelFiles(vmlinuz, config, tuple(_modules(root, release)))


def read_module(path: Path) -> bytes:
    """Return a module as the kernel loads it, not compressed. Raises KernelImageError if it is packed in an unknown way."""
    content = path.read_bytes()
    if path.suffix == ".xz":
        content = lzma.decompress(content)
    if not content.startswith(b"\x7fELF"):
        raise KernelImageError(f"{path.name} is no kernel module that can be read here: xz or not compressed is known")
    return content


def _unpack(deb: Path, root: Path) -> None:
    if not shutil.which("dpkg-deb"):
        raise KernelImageError("packages are unpacked with dpkg-deb, which is not here: apt-get install -y dpkg")
    code, output = run(["dpkg-deb", "-x", str(deb), str(root)], dict(os.environ), _UNPACK_S)
    if code:
        raise KernelImageError(f"{deb.name} cannot be unpacked: {output.strip()}")


def _first(root: Path, release: str, what: str) -> Path | None:
    places = (
        root / "boot" / f"{what}-{release}",
        root / "usr" / "lib" / "modules" / release / what,
        root / "lib" / "modules" / release / what,
    )
    return next((place for place in places if place.is_file()), None)


def _modules(root: Path, release: str) -> Iterator[Path]:
    """Yield the needed modules and, before each, those that it needs."""
    trees = (root / "usr/lib/modules" / release / "kernel", root / "lib/modules" / release / "kernel")
    by_name = {
        path.name.partition(".")[0].replace("-", "_"): path for tree in trees for path in sorted(tree.rglob("*.ko*"))
    }
    done: set[str] = set()

    def with_needs(name: str) -> Iterator[Path]:
        if name in done or name not in by_name:
            return
        done.add(name)
        for needed in _needs(read_module(by_name[name])):
            yield from with_needs(needed)
        yield by_name[name]

    for name in NEEDED_MODULES:
        yield from with_needs(name)


def _needs(module: bytes) -> list[str]:
    """Return the names of the modules that a module needs: `depends=` in its section .modinfo."""
    match = re.search(rb"\0depends=([\w,-]*)\0", module)
    return [name.replace("-", "_") for name in match[1].decode().split(",") if name] if match else []
