"""An apt that keeps to one directory: its configuration, and how it is run under it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mapcount.errors import KernelImageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

HELPER = "/usr/lib/apt/apt-helper"
_ASK_S = 30


@dataclass(frozen=True)
class Suite:
    """A suite of an archive, by its address and name."""

    archive: str
    name: str


def configure(directory: Path, suites: Iterable[Suite], keyrings: Sequence[Path]) -> dict[str, str]:
    """
    Write what apt is told into a directory; return the environment in which it heeds that and nothing else.

    Raises KernelImageError if there is no apt or no keyring, or the name of the directory cannot be told to apt.
    """
    if not shutil.which("apt-get") or not os.access(HELPER, os.X_OK):
        raise KernelImageError(
            "kernel packages are fetched through apt, and apt-get is not here; on Debian and Ubuntu it always is. "
            "Elsewhere: mapcount kernels add PATH --name NAME for an image of your own"
        )
    if re.search(r'["\s,\[\]]', str(directory)):
        raise KernelImageError(
            f"apt's files do not take a path like {str(directory)!r}; set MAPCOUNT_KERNELS to one without blanks"
        )
    for part in ("etc", "state/lists/partial", "cache/archives/partial"):
        (directory / part).mkdir(mode=0o755, parents=True, exist_ok=True)
    _write(directory / "status", "")
    _write(directory / "sources.list", _sources(suites, keyrings))
    _write(directory / "apt.conf", _configuration(directory) + _proxies())
    return {**os.environ, "APT_CONFIG": str(directory / "apt.conf"), "LC_ALL": "C.UTF-8"}


def run(command: Sequence[str], environment: dict[str, str], timeout_s: float) -> tuple[int, str]:
    """
    Run a command to its end and return its exit code and all it said.

    It and what it started are killed at the time-out (KernelImageError) and on Ctrl-C.
    """
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=timeout_s)
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise KernelImageError(f"{os.path.basename(command[0])} did not end within {timeout_s:g} s") from error
            raise
    return process.returncode, output


def _sources(suites: Iterable[Suite], keyrings: Sequence[Path]) -> str:
    present = [str(path) for path in keyrings if path.is_file()]
    if not present:
        raise KernelImageError(
            "Debian's keyring is missing, without which no package can be trusted: apt-get install -y debian-archive-keyring"
        )
    signed = f"[arch=amd64 signed-by={','.join(present)}]"
    return "".join(f"deb {signed} {suite.archive} {suite.name} main\n" for suite in suites)


def _configuration(directory: Path) -> str:
    """Return an apt.conf under which apt keeps to a directory. What could switch checks off is set to the safe value."""
    values = {
        "Dir::Etc": f"{directory}/etc",
        "Dir::Etc::main": "/dev/null",
        "Dir::Etc::parts": "/dev/null",
        "Dir::Etc::sourcelist": f"{directory}/sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "Dir::Etc::trusted": "/dev/null",
        "Dir::Etc::trustedparts": "/dev/null",
        "Dir::State": f"{directory}/state",
        "Dir::State::status": f"{directory}/status",
        "Dir::Cache": f"{directory}/cache",
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
        "pkgCacheFile::Generate": "false",
        "APT::Architecture": "amd64",
        "APT::Architectures::": "amd64",
        "APT::Get::AllowUnauthenticated": "false",
        "Acquire::AllowInsecureRepositories": "false",
        "Acquire::AllowWeakRepositories": "false",
        "Acquire::AllowDowngradeToInsecureRepositories": "false",
        "Acquire::Check-Valid-Until": "true",
        "Acquire::GzipIndexes": "true",
        "Acquire::IndexTargets::deb::Packages::KeepCompressedAs": "xz",
        "Acquire::Languages": "none",
        "Acquire::PDiffs": "false",
        "Acquire::Retries": "2",
        "Acquire::http::Timeout": "30",
        "Acquire::https::Timeout": "30",
    }
    return "".join(f'{name} "{value}";\n' for name, value in values.items())


def _proxies() -> str:
    """Return the lines of the system's apt configuration that say how to reach archives."""
    environment = {name: value for name, value in os.environ.items() if name != "APT_CONFIG"}
    _, output = run(["apt-config", "dump", "Acquire", "--format", '%F "%v";%n'], environment, _ASK_S)
    return "".join(f"{line}\n" for line in output.splitlines() if re.match(r"Acquire::https?::.*Proxy\S* ", line))


def _write(path: Path, text: str) -> None:
    """Write a small file whole, unless it has that text already: others may be reading it."""
    if path.exists() and path.read_text() == text:
        return
    whole = path.with_name(f"{path.name}.{os.getpid()}")
    whole.write_text(text)
    whole.replace(path)
