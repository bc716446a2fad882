"""Which kernel images there are: what is cached, what Debian has, and which ways of counting have none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mapcount.errors import KernelImageError
from mapcount.kernels.boot_image import page_mapcount_of
from mapcount.kernels.debian_version import version_key
from mapcount.kernels.image_record import touched
from mapcount.kernels.images import cached_directories, image_of, read_image_record
from mapcount.kernels.packages import by_series
from mapcount.schemes.eras import FACTS, era_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from mapcount.kernels.apt import Index, Problem
    from mapcount.kernels.packages import Candidate

CACHED, ONLINE, DAMAGED = "cached", "online", "damaged"


@dataclass(frozen=True)
class Row:
    """A kernel image: one that is cached, or the newest that Debian has of a series."""

    name: str
    series: str
    release: str
    state: str
    """`cached`, `online` (Debian has it) or `damaged`."""
    size_bytes: int
    """Of its files; of one that is not cached: what is to be downloaded."""
    page_mapcount: bool | None
    """Whether it counts per page; None: no config says so."""
    scheme: str
    """The way of counting that it can referee, `name` or `name:variant`; empty if that is not known."""
    swap: bool | None
    """Whether guests of it can swap by a module that is here; None: not known before it is fetched."""
    package: str
    package_version: str
    source: str
    sha256: str
    """Of the vmlinuz; of one that is not cached: of the package with it."""
    path: str
    """Of the vmlinuz; empty if it is not cached."""
    problem: str


@dataclass(frozen=True)
class Unrefereed:
    """A way of counting that Linux had, and no image for it."""

    scheme: str
    first: str
    """The first series that counts so."""
    before: str
    """The first that does not any more; empty if there is none yet."""


@dataclass(frozen=True)
class Listing:
    """All images, oldest kernel first. `updated_s` is when Debian's lists were read (seconds since 1970), None: never."""

    images: tuple[Row, ...]
    unrefereed: tuple[Unrefereed, ...]
    updated_s: float | None
    problems: tuple[Problem, ...]
    """Suites that could not be read."""


def list_images(index: Index | None) -> Listing:
    """List what is cached and, if Debian's lists were ever read, what it has."""
    rows = [_cached(directory) for directory in cached_directories()]
    releases = {row.release for row in rows}
    for series, candidates in by_series(index.packages if index else ()).items():
        if candidates[0].release not in releases:
            rows.append(_online(series, candidates[0]))
    rows.sort(key=lambda row: (version_key(row.series), version_key(row.release)))
    return Listing(
        tuple(rows),
        tuple(_unrefereed({row.scheme for row in rows})),
        index.updated_s if index else None,
        index.problems if index else (),
    )


def _cached(directory: Path) -> Row:
    try:
        record = read_image_record(directory)
    except KernelImageError as error:
        return Row(directory.name, "", "", DAMAGED, 0, None, "", None, "", "", "", "", "", str(error))
    image = image_of(directory, record)
    problem = next(touched(directory, record), "")
    return Row(
        name=image.name,
        series=image.series,
        release=image.release,
        state=DAMAGED if problem else CACHED,
        size_bytes=sum(file.size_bytes for file in record.files),
        page_mapcount=image.page_mapcount,
        scheme=era_of(image.release, page_mapcount=image.page_mapcount).scheme,
        swap=bool(image.modules),
        package=image.package,
        package_version=image.package_version,
        source=image.source,
        sha256=image.sha256,
        path=str(image.path),
        problem=problem,
    )


def _online(series: str, candidate: Candidate) -> Row:
    counts = page_mapcount_of(candidate.release, None)
    return Row(
        name=series,
        series=series,
        release=candidate.release,
        state=ONLINE,
        size_bytes=candidate.size_bytes,
        page_mapcount=counts,
        scheme=era_of(candidate.release, page_mapcount=counts).scheme,
        swap=None,
        package=candidate.kernel.name,
        package_version=candidate.kernel.version,
        source=f"{candidate.kernel.uri} ({candidate.kernel.suite})",
        sha256=candidate.kernel.sha256,
        path="",
        problem="",
    )


def _unrefereed(refereed: Iterable[str]) -> list[Unrefereed]:
    """Return the schemes of all eras that none of `refereed` is, with the series that count so."""
    found = [fact for fact in FACTS if fact.name == "scheme"]
    starts = sorted({fact.since for fact in found})
    known = set(refereed)
    return [
        Unrefereed(
            fact.value, _series(fact.since), _series(next((start for start in starts if start > fact.since), ()))
        )
        for fact in found
        if fact.value not in known
    ]


def _series(version: Sequence[int]) -> str:
    return ".".join(map(str, version))
