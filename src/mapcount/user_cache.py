"""Where things are kept that the next run needs again: directories in the user's cache that nobody else may write.

`XDG_CACHE_HOME`, else `~/.cache`; then mapcount/NAME/.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path


def cache_path(name: str) -> Path:
    """Return where a directory of the user's cache lies, whether or not it exists. Raises RuntimeError without a home."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    # The specification: a relative path is invalid and must be ignored.
    return (Path(home) if os.path.isabs(home) else Path("~/.cache").expanduser()) / "mapcount" / name


def cache_directory(name: str) -> Path:
    """
    Return a directory of the user's cache, which is made if it is not there.

    Raises what check_ours does, OSError if it cannot be made, RuntimeError if there is no home directory.
    """
    directory = cache_path(name)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    check_ours(directory)
    return directory


def check_ours(directory: Path) -> None:
    """Raise PermissionError if a directory is another user's or others may write it: what lies there is run."""
    about = directory.stat()
    if about.st_uid != os.geteuid() or about.st_mode & 0o022:
        raise PermissionError(errno.EPERM, "it belongs to another user, or others may write it", str(directory))
