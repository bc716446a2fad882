"""Where things are kept that the next run needs again: directories in the user's cache that nobody else may write.

`XDG_CACHE_HOME`, else `~/.cache`; then mapcount/NAME/.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path


def cache_directory(name: str) -> Path:
    """
    Return a directory of the user's cache, which is made if it is not there.

    Raises PermissionError if it is another user's or others may write it: what lies there is run, perhaps by root. Raises
    OSError if it cannot be made, RuntimeError if there is no home directory.
    """
    home = os.environ.get("XDG_CACHE_HOME", "")
    # The specification: a relative path is invalid and must be ignored.
    directory = (Path(home) if os.path.isabs(home) else Path("~/.cache").expanduser()) / "mapcount" / name
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    about = directory.stat()
    if about.st_uid != os.geteuid() or about.st_mode & 0o022:
        raise PermissionError(errno.EPERM, "it belongs to another user, or others may write it", str(directory))
    return directory
