"""The kernel's own tools, thpmaps and page-types, out of Debian's linux-source package, kept outside this repository.

They are GPL: they are fetched, built and run where the caller says, and nothing of them is copied into the project.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

FIRST_RELEASE = (6, 9)
"""thpmaps exists since commit 2444172cfde4 ("tools/mm: add thpmaps script to dump THP usage info") (6.9)."""
_MEMBERS = ("tools/mm", "tools/lib", "tools/include", "tools/build", "tools/scripts", "include/uapi/linux")


@dataclass(frozen=True, slots=True)
class Peers:
    """Where the tools are, and which package they are from."""

    thpmaps: Path
    page_types: Path
    package: str


class PeersError(Exception):
    """They cannot be had; the message says why and what to do."""


def default_cache() -> Path:
    """Return the directory that is used when none is named."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mapcount-peers"


def get_peers(cache: Path) -> Peers:
    """Return the tools, fetching (150 MB) and building them in `cache` if they are not there. Raises PeersError."""
    cache = cache.resolve()
    if cache.is_relative_to(Path(__file__).resolve().parents[1]):
        raise PeersError(f"{cache} is inside the repository; GPL sources stay outside of it: name another directory")
    tree, stamp = cache / "linux", cache / "package"
    if not stamp.exists():
        cache.mkdir(parents=True, exist_ok=True)
        name = _newest_package()
        print(f"fetching {name} (about 150 MB) into {cache} ...", flush=True)
        try:
            version = _fetch(name, cache, tree)
            # CFLAGS of the environment are added to the Makefile's own.
            _run(["make", "-s", "-C", str(tree / "tools/mm"), "page-types"], env={**os.environ, "CFLAGS": "-O2"})
        except (OSError, subprocess.CalledProcessError) as error:
            raise PeersError(f"cannot fetch or build {name}: {_reason(error)}") from error
        stamp.write_text(f"{name} {version}\n", encoding="ascii")
    return Peers(tree / "tools/mm/thpmaps", tree / "tools/mm/page-types", stamp.read_text(encoding="ascii").strip())


def _newest_package() -> str:
    try:
        listing = _run(["apt-cache", "search", "--names-only", r"^linux-source-[0-9.]+$"])
    except (OSError, subprocess.CalledProcessError) as error:
        raise PeersError(f"apt-cache does not answer ({_reason(error)}); use --no-peers") from error
    found = re.findall(r"^linux-source-(\d+)\.(\d+) ", listing, re.MULTILINE)
    releases = [(int(major), int(minor)) for major, minor in found]
    newest = max(releases, default=(0, 0))
    if newest < FIRST_RELEASE:
        raise PeersError(
            "no linux-source package of 6.9 or later in the configured sources; add bookworm-backports, run "
            "apt-get update, or use --no-peers"
        )
    return f"linux-source-{newest[0]}.{newest[1]}"


def _fetch(name: str, cache: Path, tree: Path) -> str:
    """Download the package, take the few directories that are needed, drop the rest; return its version."""
    # apt refuses to download as its own user into a directory that user may not write to, and says so.
    _run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", name], cwd=cache)
    package = max(cache.glob(f"{name}_*.deb"), key=os.path.getmtime)
    version = _run(["dpkg-deb", "--field", str(package), "Version"]).strip()
    tree.mkdir(exist_ok=True)
    _run(["dpkg-deb", "--extract", str(package), str(cache / "package.d")])
    archive = next((cache / "package.d/usr/src").glob("linux-source-*.tar.xz"))
    members = [f"*/{member}" for member in _MEMBERS]
    _run(["tar", "-xJf", str(archive), "-C", str(tree), "--wildcards", "--strip-components=1", *members])
    _run(["rm", "-r", str(package), str(cache / "package.d")])
    return version


def _run(command: list[str], *, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=cwd, env=env).stdout


def _reason(error: Exception) -> str:
    return (getattr(error, "stderr", "") or str(error)).strip()
