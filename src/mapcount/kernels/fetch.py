"""Kernels of Debian fetched into the cache: the newest of a series, or the next one if that is gone."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mapcount.errors import KernelImageError
from mapcount.kernels.apt import Index, Problem
from mapcount.kernels.deb import find_kernel, unpacked
from mapcount.kernels.debian_version import version_key
from mapcount.kernels.image_record import RECORD_NAME, StoredPackage
from mapcount.kernels.image_store import locked, put
from mapcount.kernels.images import Image, cached_image, find_image
from mapcount.kernels.packages import Candidate, by_series
from mapcount.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from mapcount.kernels.apt import Apt

_FRESH_S = 600
"""An index younger than this is not read again."""
_MOST_TRIES = 5
"""Kernels of a series that are tried: an archive that has none of so many has more wrong with it."""


def fetch(apt: Apt, series: Sequence[str], say: Callable[[str], None]) -> list[Image | KernelImageError]:
    """
    Fetch the newest image of each series, of every series if none is named; one that is cached is left as it is.

    Return for each the image, or why it cannot be had. Where nothing newer can be had, that is the newest one cached. Raises
    KernelImageError if none is named and no index can be had, or if the cache cannot be written.
    """
    results: list[Image | KernelImageError] = []
    with locked(say) as root:
        try:
            index = current_index(apt, say)
        except KernelImageError as error:
            if not series:
                raise
            index = Index(0, (), (Problem("Debian", str(error)),))
        kernels = by_series(index.packages)
        for one in series or kernels:
            try:
                results.append(_newest_or_cached(root, apt, one, kernels, index, say))
            except KernelImageError as error:
                results.append(error)
    return results


def current_index(apt: Apt, say: Callable[[str], None], *, oldest_s: float = _FRESH_S) -> Index:
    """Return the index, read anew unless it is younger than `oldest_s`; the caller holds the cache. Raises KernelImageError."""
    index = apt.index()
    if index is None or not 0 <= time.time() - index.updated_s < oldest_s:
        say("reading the lists of Debian's packages")
        index = apt.update()
        for problem in index.problems:
            say(f"note: {problem.suite} was not read: {problem.why}")
    return index


def directory_name(candidate: Candidate) -> str:
    """Return the name of the directory of an image in the cache."""
    return f"{candidate.release}_{candidate.kernel.version.replace(':', '%3a')}"


def _newest_or_cached(
    root: Path,
    apt: Apt,
    series: str,
    kernels: Mapping[str, Sequence[Candidate]],
    index: Index,
    say: Callable[[str], None],
) -> Image:
    try:
        return _newest(root, apt, series, kernels, index, say)
    except KernelImageError as error:
        try:
            image = find_image(series)
        except KernelImageError:
            raise error from None
        say(f"note: {error}; {image.release}, which is cached, serves")
        return image


def _newest(
    root: Path,
    apt: Apt,
    series: str,
    kernels: Mapping[str, Sequence[Candidate]],
    index: Index,
    say: Callable[[str], None],
) -> Image:
    if series not in kernels:
        raise KernelImageError(_not_there(series, kernels, index))
    reasons = []
    for candidate in kernels[series][:_MOST_TRIES]:
        try:
            return _one(root, apt, series, candidate, say)
        except KernelImageError as error:
            reasons.append(str(error))
            say(f"{series}: {error}")
    raise KernelImageError(
        f"no image of Linux {series} can be had: {len(reasons)} of {len(kernels[series])} packages were tried, "
        f"the last of them {reasons[-1]}"
    )


def _one(root: Path, apt: Apt, series: str, candidate: Candidate, say: Callable[[str], None]) -> Image:
    directory = root / directory_name(candidate)
    if (directory / RECORD_NAME).exists():
        try:
            return cached_image(directory)
        except KernelImageError as error:
            say(f"{series}: {error}; it is fetched again")
    say(f"{series}: fetching {candidate.kernel.name} {candidate.kernel.version} ({format_bytes(candidate.size_bytes)})")
    with unpacked(root, candidate.packages, apt) as tree:
        files = find_kernel(tree, candidate.release)
        packages = [StoredPackage(package.name, package.version, package.sha256) for package in candidate.packages]
        source = f"{candidate.kernel.uri} ({candidate.kernel.suite})"
        return put(root, directory.name, series, candidate.release, files, source, packages)


def _not_there(series: str, kernels: Mapping[str, Sequence[Candidate]], index: Index) -> str:
    """Say that no suite has a series, what they have, and which could not be asked."""
    if not kernels:
        return f"Linux {series} was not looked for: {'; '.join(problem.why for problem in index.problems)}"
    words = f"no suite of Debian that was read has an image of Linux {series}"
    if index.problems:
        words += f" (not read: {', '.join(sorted({problem.suite for problem in index.problems}))}; mapcount kernels says why)"
    before = [one for one in kernels if version_key(one) < version_key(series)]
    after = [one for one in kernels if version_key(one) > version_key(series)]
    near = " and ".join([*before[-1:], *after[:1]])
    return f"{words}; they have {', '.join(kernels)}, the nearest being {near}"
