"""Debian packages that hold kernels: which series there are, newest first, and what belongs to each. No files, no network.

Up to 6.18 `linux-image-RELEASE` has everything. Later ones are split: `linux-binary-RELEASE` has the kernel,
`linux-base-RELEASE` its config and `linux-modules-RELEASE` the modules; the first may be all that is left of an older series.
Only the flavour `cloud-amd64` is looked for: it has all that a guest needs and is the smallest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mapcount.kernels.boot_image import series_of
from mapcount.kernels.debian_version import version_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

FLAVOUR = "cloud-amd64"
KEYRING_PACKAGE = "debian-archive-keyring"
_KERNEL = re.compile(rf"linux-(?:image|binary)-(?P<release>\d+\.\d+\S*-{FLAVOUR})")
_COMPANIONS = ("linux-base-", "linux-modules-")
_WANTED = re.compile(rf"linux-(?:image|binary|base|modules)-\d\S*-{FLAVOUR}|{KEYRING_PACKAGE}")
_LEAST_KERNEL_BYTES = 1 << 20
"""A linux-image package below that has no kernel in it: it names other packages."""


@dataclass(frozen=True)
class Package:
    """A package as a signed index lists it."""

    name: str
    version: str
    size_bytes: int
    sha256: str
    uri: str
    suite: str


@dataclass(frozen=True)
class Candidate:
    """A kernel that Debian has: its release, the package with its vmlinuz, and those with the rest."""

    release: str
    kernel: Package
    companions: tuple[Package, ...]

    @property
    def packages(self) -> tuple[Package, ...]:
        """All of them, that of the vmlinuz first."""
        return (self.kernel, *self.companions)

    @property
    def size_bytes(self) -> int:
        """What is to be downloaded."""
        return sum(package.size_bytes for package in self.packages)


def parse_index(text: bytes, archive: str, suite: str) -> Iterator[Package]:
    """Yield the packages of an index (`Packages`) that may hold kernels, and that with the archive's keys."""
    for paragraph in text.split(b"\n\n"):
        name = paragraph.removeprefix(b"Package: ").partition(b"\n")[0].decode("ascii", "replace")
        if _WANTED.fullmatch(name):
            fields = dict(re.findall(r"^([\w-]+): *(.*)$", paragraph.decode(errors="replace"), re.MULTILINE))
            if {"Version", "Size", "SHA256", "Filename"} <= fields.keys() and fields["Size"].isdecimal():
                yield Package(
                    name,
                    fields["Version"],
                    int(fields["Size"]),
                    fields["SHA256"],
                    f"{archive.rstrip('/')}/{fields['Filename']}",
                    suite,
                )


def by_series(packages: Iterable[Package]) -> dict[str, tuple[Candidate, ...]]:
    """Return the kernels of each series, newest first; series in the order of their numbers."""
    known = {(package.name, package.version): package for package in packages}
    found: dict[str, list[Candidate]] = {}
    for package in known.values():
        match = _KERNEL.fullmatch(package.name)
        if match and package.size_bytes >= _LEAST_KERNEL_BYTES:
            found.setdefault(series_of(match["release"]), []).append(_candidate(match["release"], package, known))
    return {
        series: tuple(sorted(found[series], key=_newness, reverse=True)) for series in sorted(found, key=version_key)
    }


def newest_keyring(packages: Iterable[Package]) -> Package | None:
    """Return the newest package of the archive's keys; None if there is none."""
    found = [package for package in packages if package.name == KEYRING_PACKAGE]
    return max(found, key=lambda package: version_key(package.version), default=None)


def _candidate(release: str, kernel: Package, known: Mapping[tuple[str, str], Package]) -> Candidate:
    others = (known.get((f"{prefix}{release}", kernel.version)) for prefix in _COMPANIONS)
    return Candidate(release, kernel, tuple(package for package in others if package))


def _newness(candidate: Candidate) -> tuple[object, ...]:
    return (version_key(candidate.kernel.version), version_key(candidate.release))
