"""C programs of ours, built with gcc when they are needed and kept in the user's cache under all that they were made of."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from mapcount.errors import MissingToolError
from mapcount.user_cache import cache_directory

if TYPE_CHECKING:
    from collections.abc import Sequence

_BUILD_S = 120.0
_TOLD_BYTES = 2000


def build(source: Path, flags: Sequence[str], directory: str, *, what: str, packages: str, suffix: str = "") -> Path:
    """
    Return the path of what a C source is built to; compile it unless the cache has it, in `directory` there.

    `what` says in errors what it is for, `packages` what Debian calls what it takes. Raises MissingToolError if there is no
    gcc or it fails, or if the cache cannot be written.
    """
    cure, begins = f"apt-get install {packages}", what[:1].upper() + what[1:]
    gcc = shutil.which("gcc")
    if gcc is None:
        raise MissingToolError(f"{begins} is a C program, and there is no gcc here: {cure}")
    key = hashlib.sha256(b"\0".join((source.read_bytes(), _version_of(gcc), *map(str.encode, flags)))).hexdigest()[:32]
    try:
        path = cache_directory(directory) / f"{key}{suffix}"
        if not path.exists():
            _compile([gcc, *flags], source, path, f"gcc could not build {what} ({cure})")
    except (OSError, RuntimeError) as error:
        raise MissingToolError(
            f"{begins} cannot be kept in the user's cache ({error}): set XDG_CACHE_HOME to a directory of your own"
        ) from error
    return path


def _version_of(gcc: str) -> bytes:
    return subprocess.run([gcc, "--version"], capture_output=True, timeout=_BUILD_S, check=False).stdout


def _compile(command: Sequence[str], source: Path, path: Path, failure: str) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".building-") as directory:
        built = Path(directory) / f"built{path.suffix}"
        # Libraries are named behind what needs them.
        libraries = [flag for flag in command if flag.startswith("-l")]
        ordered = [flag for flag in command if flag not in libraries]
        done = subprocess.run(
            [*ordered, "-o", str(built), str(source), *libraries], capture_output=True, timeout=_BUILD_S, check=False
        )
        if done.returncode:
            told = done.stderr.decode(errors="replace").strip()[-_TOLD_BYTES:]
            raise MissingToolError(f"{failure}. It said:\n{told}")
        os.replace(built, path)
