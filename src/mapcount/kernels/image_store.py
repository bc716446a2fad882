"""The cache of kernel images, written: an image is put there whole or not at all, and verified byte by byte."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mapcount.errors import KernelImageError, UsageError
from mapcount.kernels.boot_image import page_mapcount_of
from mapcount.kernels.deb import KernelFiles, read_module
from mapcount.kernels.image_record import (
    RECORD_VERSION,
    Record,
    StoredPackage,
    changed,
    describe_file,
    write_record,
)
from mapcount.kernels.images import (
    SERIES,
    Image,
    cache_directory,
    cached_directories,
    image_at,
    image_of,
    read_image_record,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_LOCK_S = 1800
"""Longer than any one download may take."""
_POLL_S = 0.2
_NAME = re.compile(r"[A-Za-z0-9][\w.+~-]{0,99}")


@dataclass(frozen=True)
class Verdict:
    """What verification found of an image; `problems` is empty if every byte is as it was."""

    name: str
    directory: Path
    problems: tuple[str, ...]


@contextlib.contextmanager
def locked(say: Callable[[str], None], timeout_s: float = _LOCK_S) -> Iterator[Path]:
    """
    Hold the cache for writing, and clear away what an interrupted run left; yield its directory, made if need be.

    Waits for another run, and says so. Raises KernelImageError after `timeout_s`, or if the cache cannot be written.
    """
    root = cache_directory()
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise KernelImageError(
            f"{root} cannot be written ({error.strerror}); set MAPCOUNT_KERNELS to a directory of your own"
        ) from error
    try:
        _wait_for(descriptor, root, say, timeout_s)
        for path in (*root.glob(".fetch-*"), *root.glob(".new-*"), *root.glob("apt/.fetch-*")):
            shutil.rmtree(path, ignore_errors=True)
        yield root
    except OSError as error:
        raise KernelImageError(f"{error.filename or root}: {error.strerror}; nothing half done is kept") from error
    finally:
        os.close(descriptor)


def put(
    root: Path,
    directory_name: str,
    name: str,
    release: str,
    files: KernelFiles,
    source: str,
    packages: Sequence[StoredPackage],
) -> Image:
    """Copy an image into the cache, which the caller holds, in the place of any of that name. Raises KernelImageError."""
    final = root / directory_name
    try:
        with tempfile.TemporaryDirectory(prefix=".new-", dir=root, ignore_cleanup_errors=True) as temporary:
            made = Path(temporary) / "image"
            record = _fill(made, name, release, files, source, packages)
            if final.exists():
                final.rename(Path(temporary) / "replaced")
            made.rename(final)
    except OSError as error:
        raise KernelImageError(f"{final} cannot be written: {error.strerror}") from error
    return image_of(final, record)


def add(path: Path, name: str, config: Path | None, *, force: bool, say: Callable[[str], None]) -> Image:
    """
    Put an image of one's own into the cache under a name.

    Raises UsageError for a name that is a series, no name, or taken (unless `force`), and KernelImageError.
    """
    if SERIES.fullmatch(name) or not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be the name of an image: letters, digits, . _ + ~ - are allowed, and not a mere series such as "
            "6.12, which stands for Debian's"
        )
    image = image_at(path, config)
    files = KernelFiles(image.path, image.config, ())
    with locked(say) as root:
        if (root / name).exists() and not force:
            raise UsageError(f"an image called {name} is there already; another --name, or --force to replace it")
        return put(root, name, name, image.release, files, image.source, ())


def verify(names: Sequence[str] = ()) -> list[Verdict]:
    """
    Read every byte of cached images: of all, or of these series, names or releases.

    Raises KernelImageError if nothing cached has one of the names.
    """
    verdicts = []
    known: set[str] = set()
    for directory in cached_directories():
        try:
            record = read_image_record(directory)
            called, problems = {record.name, record.release}, tuple(changed(directory, record))
        except KernelImageError as error:
            called, problems = {directory.name}, (str(error),)
        known |= called
        if not names or called & set(names):
            verdicts.append(Verdict(directory.name, directory, problems))
    if missing := [name for name in names if name not in known]:
        raise KernelImageError(f"nothing cached is called {', '.join(missing)}; mapcount kernels lists what is")
    return verdicts


def _fill(
    made: Path, name: str, release: str, files: KernelFiles, source: str, packages: Sequence[StoredPackage]
) -> Record:
    made.mkdir(mode=0o700)
    shutil.copyfile(files.vmlinuz, made / "vmlinuz")
    names = ["vmlinuz"]
    text = None
    if files.config:
        text = files.config.read_text(errors="replace")
        shutil.copyfile(files.config, made / "config")
        names.append("config")
    order = []
    for module in files.modules:
        (made / "modules").mkdir(mode=0o700, exist_ok=True)
        order.append(f"{module.name.partition('.')[0]}.ko")
        (made / "modules" / order[-1]).write_bytes(read_module(module))
    record = Record(
        schema_version=RECORD_VERSION,
        name=name,
        release=release,
        page_mapcount=page_mapcount_of(release, text),
        source=source,
        files=tuple(describe_file(made, one) for one in [*names, *(f"modules/{one}" for one in order)]),
        load_order=tuple(order),
        packages=tuple(packages),
    )
    write_record(made, record)
    return record


def _wait_for(descriptor: int, root: Path, say: Callable[[str], None], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    told = False
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise KernelImageError(
                    f"another run has held {root} for {timeout_s:.0f} s; wait for it, or end it, and try again"
                ) from None
        if not told:
            say("waiting for another run that fills the cache")
            told = True
        time.sleep(_POLL_S)
