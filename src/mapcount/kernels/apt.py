"""Debian's archive through apt, with a configuration, state and lists of our own: the system's apt is neither read nor written.

apt checks the signature of each suite's index against Debian's keyring and each package against the hash in that index; nothing
here loosens that. Of the system's configuration only the proxies are taken over. No root is needed.
"""

from __future__ import annotations

import gzip
import lzma
import os
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from mapcount.errors import KernelImageError
from mapcount.kernels.apt_setup import HELPER, Suite, configure, run
from mapcount.kernels.deb import unpacked
from mapcount.kernels.packages import Package, newest_keyring, parse_index

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

KEYRINGS = tuple(Path(f"/usr/share/keyrings/debian-archive-keyring.{suffix}") for suffix in ("gpg", "pgp"))
_UPDATE_S = 300
_DOWNLOAD_S = 1200
_INDEX_NAME = "index.json"
# URItoFileName() of apt quotes these in the names of lists.
_QUOTED = re.compile(r'[\\|{}\[\]<>"^~_=!@#$%&*]')


_DEBIAN = "http://deb.debian.org/debian"
_SECURITY = "http://deb.debian.org/debian-security"
SUITES = (
    Suite(_DEBIAN, "bullseye"),
    Suite(_SECURITY, "bullseye-security"),
    Suite(_DEBIAN, "bookworm"),
    Suite(_SECURITY, "bookworm-security"),
    Suite(_DEBIAN, "bookworm-backports"),
    Suite(_DEBIAN, "trixie"),
    Suite(_SECURITY, "trixie-security"),
    Suite(_DEBIAN, "trixie-backports"),
    Suite(_DEBIAN, "sid"),
    Suite(_DEBIAN, "experimental"),
)


@dataclass(frozen=True)
class Problem:
    """Why a suite could not be read, in apt's words. What apt had of it before serves on."""

    suite: str
    why: str


@dataclass(frozen=True)
class Index:
    """What the suites listed when they were last read."""

    updated_s: float
    """Seconds since 1970."""
    packages: tuple[Package, ...]
    problems: tuple[Problem, ...]


class Apt:
    """An apt of our own in a directory. One process at a time may call `update`; `download` is free."""

    def __init__(
        self, directory: Path, suites: Sequence[Suite] | None = None, keyrings: Sequence[Path] | None = None
    ) -> None:
        self._directory = directory
        self._suites = SUITES if suites is None else suites
        self._keyrings = KEYRINGS if keyrings is None else keyrings
        self._own_keyring = directory / "keyring.gpg"

    def index(self) -> Index | None:
        """Return what the last `update` found; None if there was none. Reads one file."""
        try:
            return msgspec.json.decode((self._directory / _INDEX_NAME).read_bytes(), type=Index)
        except (OSError, msgspec.DecodeError):
            return None

    def update(self) -> Index:
        """
        Read the indexes of all suites. One that cannot be had is a problem in the result.

        A suite signed with keys that the system's keyring lacks is read with the newer keyring that a suite known so far has as
        a package. Raises KernelImageError if apt or the keyring is missing, or if no suite can be had.
        """
        found = self._update()
        if any("NO_PUBKEY" in problem.why for problem in found.problems) and self._fetch_newer_keyring(found.packages):
            found = self._update()
        if not found.packages:
            first = next((f"; of {problem.suite} apt said: {problem.why}" for problem in found.problems), "")
            raise KernelImageError(f"no suite of Debian could be read{first}")
        whole = self._directory / f"{_INDEX_NAME}.{os.getpid()}"
        whole.write_bytes(msgspec.json.encode(found))
        whole.replace(self._directory / _INDEX_NAME)
        return found

    def download(self, package: Package, directory: Path) -> Path:
        """
        Download a package into an existing directory and return the file, whose hash is that of the signed index.

        Raises KernelImageError; nothing is left in the directory then.
        """
        target = directory / f"{package.name}.deb"
        environment = self._environment()
        command = [HELPER, "-q", "download-file", package.uri, str(target), f"SHA256:{package.sha256}"]
        try:
            code, output = run(command, environment, _DOWNLOAD_S)
            if code != 0 or not target.is_file():
                raise KernelImageError(f"{package.name} {package.version}: {_why(output)}")
        except BaseException:
            for rest in directory.glob(f"{target.name}*"):
                rest.unlink(missing_ok=True)
            raise
        return target

    def _update(self) -> Index:
        _, output = run(["apt-get", "-q", "update"], self._environment(), _UPDATE_S)
        packages: list[Package] = []
        problems: list[Problem] = []
        for suite in self._suites:
            text = self._list(suite)
            if text is not None:
                packages += parse_index(text, suite.archive, suite.name)
            reasons = _reasons(output, suite) or ([] if text is not None else ["apt read no list of its packages"])
            problems += [Problem(suite.name, why) for why in reasons]
        return Index(time.time(), tuple(packages), tuple(problems))

    def _list(self, suite: Suite) -> bytes | None:
        """Return the list of packages that apt has of a suite, as it verified it."""
        address = f"{re.sub(r'^[a-z]+:(//)?', '', suite.archive)}/dists/{suite.name}/main/binary-amd64/Packages"
        name = _QUOTED.sub(lambda match: f"%{ord(match[0]):02x}", address).replace("/", "_")
        lists = self._directory / "state" / "lists"
        for suffix, unpack in (("", bytes), (".xz", lzma.decompress), (".gz", gzip.decompress)):
            path = lists / f"{name}{suffix}"
            if path.exists():
                return unpack(path.read_bytes())
        return None

    def _fetch_newer_keyring(self, packages: Iterable[Package]) -> bool:
        """Take the newest keyring that verified suites have as a package; False if they have none, or it is what we had."""
        package = newest_keyring(packages)
        if package is None:
            return False
        with unpacked(self._directory, [package], self) as root:
            found = next(
                (path for path in (root / known.relative_to("/") for known in KEYRINGS) if path.is_file()), None
            )
            if found is None:
                return False
            before = self._own_keyring.read_bytes() if self._own_keyring.exists() else b""
            shutil.copyfile(found, self._own_keyring)
            return self._own_keyring.read_bytes() != before

    def _environment(self) -> dict[str, str]:
        return configure(self._directory, self._suites, (*self._keyrings, self._own_keyring))


def _reasons(output: str, suite: Suite) -> list[str]:
    """Return what apt said was wrong with a suite, a sentence each."""
    lines = re.findall(r"^[EW]: (.*)$", output, re.MULTILINE)
    marks = (f"{suite.archive}/dists/{suite.name}/", f"{suite.archive} {suite.name} ")
    # apt also tells, file by file, that its own user cannot look into a cache in the home of root.
    ours = [line for line in lines if any(mark in line for mark in marks) and "unsandboxed" not in line]
    return list(dict.fromkeys(ours))


def _why(output: str) -> str:
    """Return why a download failed, in apt's words."""
    lines = re.findall(r"^E: (?:Failed to fetch )?(.*)$", output, re.MULTILINE)
    return lines[0].strip() if lines else f"apt-helper said {output.strip()[-200:]!r}"
