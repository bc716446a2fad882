"""Programs whose calls of rmap are counted: two C programs of ours, and the compiler that is installed here."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mapcount.errors import MissingToolError, UsageError
from mapcount.kernels import agent
from mapcount.kernels.c_build import build

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

HERE = Path(__file__).parent
FLAGS = ("-O2", "-Wall", "-static", "-lpthread")
SAYS = {
    "prefork": "a server whose heap grows by 64 MiB, and whose children read all over it, write here and there, and end",
    "allocator": "three threads that allocate and free blocks of all sizes, in random order",
    "compiler": "cc1 -O2 of the gcc that is installed here, on the agent's source",
}
_RUN_S = 60.0
_LIBRARY = re.compile(r"(?:=> )?(/\S+) \(0x[0-9a-f]+\)")
"""In what ldd prints."""


@dataclass(frozen=True)
class Workload:
    """A program, and all files that it takes in a guest, by path without a leading slash; None is a directory."""

    command: tuple[str, ...]
    files: Mapping[str, bytes | None]


def load(names: Iterable[str]) -> dict[str, Workload]:
    """Return workloads by name. Raises UsageError for an unknown one, MissingToolError if one cannot be had."""
    found = {}
    for name in dict.fromkeys(names):
        if name not in SAYS:
            raise UsageError(f"there is no workload {name!r}; there are: {', '.join(SAYS)}")
        found[name] = _compiler() if name == "compiler" else _ours(name)
    return found


def files_of(workloads: Iterable[Workload]) -> dict[str, bytes | None]:
    """Return the files of all workloads, each directory before what is in it."""
    files = {path: content for workload in workloads for path, content in workload.files.items()}
    above = {str(parent): None for path in files for parent in Path(path).parents if str(parent) != "."}
    return {path: above[path] for path in sorted(above)} | files


def _ours(name: str) -> Workload:
    what = f"the workload {name}"
    program = build(HERE / f"{name}.c", FLAGS, "workloads", what=what, packages="gcc libc6-dev")
    return Workload((f"/bin/{name}",), {f"bin/{name}": program.read_bytes()})


def _compiler() -> Workload:
    """Take cc1, the libraries that it is linked with, and a text without includes for it to compile."""
    if not shutil.which("gcc"):
        raise MissingToolError(
            "The workload `compiler` is the compiler that is here, and there is none: apt-get install gcc"
        )
    cc1 = _output("gcc", "-print-prog-name=cc1").decode().strip()
    libraries = _LIBRARY.findall(_output("ldd", cc1).decode())
    text = _output("gcc", "-E", "-P", str(agent.SOURCE))
    files: dict[str, bytes | None] = {"bin/cc1": Path(cc1).read_bytes(), "agent.i": text}
    files |= {library.lstrip("/"): Path(library).read_bytes() for library in libraries}
    return Workload(("/bin/cc1", "-fpreprocessed", "-quiet", "-O2", "/agent.i", "-o", "/dev/null"), files)


def _output(*command: str) -> bytes:
    try:
        done = subprocess.run(command, capture_output=True, timeout=_RUN_S, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise MissingToolError(
            f"The workload `compiler` cannot be had: {' '.join(command)} failed ({error})"
        ) from error
    return done.stdout
