"""Kernel images to boot: what is known of one, and how it is found by series, by name or by path.

Images are cached in `$MAPCOUNT_KERNELS`, else `$XDG_CACHE_HOME/mapcount/kernels`, else `~/.cache/mapcount/kernels`: a directory
for each, with `vmlinuz`, `config`, the few modules that guests need, and a record. `mapcount kernels` fills it.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from mapcount.errors import KernelImageError
from mapcount.kernels.boot_image import page_mapcount_of, read_release, series_of
from mapcount.kernels.debian_version import version_key
from mapcount.kernels.image_record import RECORD_NAME, Record, cure, read_record, sha256_of, touched
from mapcount.user_cache import cache_path

SERIES = re.compile(r"\d+\.\d+")


@dataclass(frozen=True)
class Image:
    """A kernel image, ready to boot."""

    name: str
    """What finds it again: the series, the name of one's own, or the path."""
    series: str
    """6.12."""
    release: str
    """As `uname -r` says it there: 6.12.107+deb12-cloud-amd64."""
    path: Path
    """A bzImage."""
    sha256: str
    """Of that file."""
    page_mapcount: bool | None
    """Whether it counts per page; None: there is no config that says it (`schemes.eras.era_of` takes it as it is)."""
    config: Path | None = None
    modules: Path | None = None
    """A directory of modules, not compressed: brd.ko for swap, and what it needs. None: built in, or not to be had."""
    load_order: tuple[str, ...] = ()
    """Names of files in `modules`, each after what it needs."""
    package: str = ""
    """The Debian package that the image came in; empty for one's own."""
    package_version: str = ""
    source: str = ""
    """Where it came from: archive and suite, or a path."""


def cache_directory() -> Path:
    """Return where images are kept, whether or not it exists. Raises KernelImageError if there is no home directory."""
    if own := os.environ.get("MAPCOUNT_KERNELS", ""):
        return Path(os.path.abspath(own))
    try:
        return cache_path("kernels")
    except RuntimeError as error:
        raise KernelImageError("there is no home directory for kernel images; set MAPCOUNT_KERNELS to one") from error


def find_image(name: str) -> Image:
    """
    Return an image: the newest cached one of a series (`6.12`), one of that name or release, or the bzImage at a path.

    A name with a slash is a path. Raises KernelImageError that says what is missing and which command gets it, or that a
    cached file was changed.
    """
    if "/" in name:
        return image_at(Path(name))
    found = [directory for directory in cached_directories() if name in _names(directory)]
    if found:
        return cached_image(found[-1])
    if Path(name).is_file():
        return image_at(Path(name))
    if SERIES.fullmatch(name):
        raise KernelImageError(f"no image of Linux {name} is cached; get one: mapcount kernels fetch {name}")
    raise KernelImageError(
        f"there is no kernel image {name!r}: it is no series such as 6.12, nothing cached has that name "
        "(mapcount kernels), and it is no file. For an image of your own: "
        f"mapcount kernels add PATH --name {name}"
    )


def cached_directories() -> list[Path]:
    """Return the directories of all cached images, oldest kernel first."""
    found = [path.parent for path in cache_directory().glob(f"[!.]*/{RECORD_NAME}")]
    return sorted(found, key=_age)


def cached_image(directory: Path) -> Image:
    """Return a cached image. Raises KernelImageError if it is not what its record says, by sizes and times."""
    record = read_image_record(directory)
    if wrong := next(touched(directory, record), ""):
        raise KernelImageError(f"{directory}: {wrong}; {cure(directory.name)}")
    return image_of(directory, record)


def image_of(directory: Path, record: Record) -> Image:
    """Return the image that a record tells of, unchecked."""
    vmlinuz = record.file("vmlinuz")
    assert vmlinuz is not None
    return Image(
        name=record.name,
        series=series_of(record.release),
        release=record.release,
        path=directory / "vmlinuz",
        sha256=vmlinuz.sha256,
        page_mapcount=record.page_mapcount,
        config=directory / "config" if record.file("config") else None,
        modules=directory / "modules" if record.load_order else None,
        load_order=record.load_order,
        package=record.packages[0].name if record.packages else "",
        package_version=record.packages[0].version if record.packages else "",
        source=record.source,
    )


def image_at(path: Path, config: Path | None = None) -> Image:
    """
    Return the bzImage at a path; without `config`, that which is named like it or lies in its build tree.

    Raises KernelImageError if it is no bzImage, or a config that was named cannot be read.
    """
    release = read_release(path)
    config = config or _config_beside(path)
    try:
        text = None if config is None else config.read_text(errors="replace")
    except OSError as error:
        raise KernelImageError(f"{config} cannot be read: {error.strerror}") from error
    return Image(
        name=str(path),
        series=series_of(release),
        release=release,
        path=path.absolute(),
        sha256=sha256_of(path),
        page_mapcount=page_mapcount_of(release, text),
        config=config and config.absolute(),
        source=str(path.absolute()),
    )


def _config_beside(path: Path) -> Path | None:
    """Return config-X of vmlinuz-X or bzImage-X, or .config of a build tree's arch/x86/boot/bzImage."""
    named = re.sub(r"^(vmlinuz|bzImage)", "config", path.name)
    places = [path.with_name(named)] if named != path.name else []
    folder = path.absolute().parent
    if folder.parts[-3:] in {("arch", "x86", "boot"), ("arch", "x86_64", "boot")}:
        places.append(folder.parents[2] / ".config")
    return next((place for place in places if place.is_file()), None)


def read_image_record(directory: Path) -> Record:
    """Read the record of a cached image. Raises KernelImageError."""
    try:
        return read_record(directory)
    except OSError as error:
        raise KernelImageError(f"{directory / RECORD_NAME} cannot be read: {error.strerror}") from error


def _names(directory: Path) -> set[str]:
    """Return what finds an image; one whose record is damaged, which must not hide the others, by its directory alone."""
    try:
        record = read_image_record(directory)
    except KernelImageError:
        return {directory.name}
    return {record.name, record.release}


def _age(directory: Path) -> tuple[object, ...]:
    try:
        record = read_image_record(directory)
    except KernelImageError:
        return ()
    version = record.packages[0].version if record.packages else record.release
    return (version_key(record.release), version_key(version))
