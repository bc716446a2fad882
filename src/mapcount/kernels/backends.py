"""The machine that `--on` names: the model, the kernel that runs here, or a kernel image in a guest."""

from __future__ import annotations

import platform
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mapcount.errors import UsageError
from mapcount.schemes.eras import FIRST, LAST_READ, parse_release

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mapcount.scenarios.observation import Backend

MODEL = "model"
HOST = "host"


@contextmanager
def open_backend(
    on: str, *, release: str = "", page_mapcount: bool | None = None, scheme_id: str = "", keeps_state: bool = False
) -> Iterator[Backend]:
    """
    Open a machine for scenarios and close it again.

    `on` is MODEL, HOST, or a kernel image: a series, a name or a path (images.py). `release`, `page_mapcount` and `scheme_id`
    say which kernel is modelled and how it counts (default: the one that runs here, as its release does). Raises UsageError
    if they are given for a real kernel, which is what it is, and what the machine itself raises. `keeps_state` is for many
    scenarios: a guest with each sort of hardware is booted once, and takes 100 MiB more.
    """
    if on == MODEL:
        from mapcount.machine.backend import ModelBackend

        yield ModelBackend(release or default_release(), page_mapcount=page_mapcount, scheme_id=scheme_id or None)
        return
    if release or scheme_id or page_mapcount is not None:
        raise UsageError(f"--era, --no-page-mapcount and --scheme are for the model, and {on!r} is a real kernel")
    if on == HOST:
        from mapcount.kernels.host_backend import HostBackend

        yield HostBackend()
        return
    from mapcount.kernels.guest_backend import GuestBackend
    from mapcount.kernels.images import find_image

    with GuestBackend(find_image(on), keeps_state=keeps_state) as guest:
        yield guest


def default_release() -> str:
    """Return the release of the running kernel; the last one whose source was read if this is no Linux, or an old one."""
    release = platform.release()
    try:
        known = platform.system() == "Linux" and parse_release(release) >= FIRST
    except UsageError:
        known = False
    return release if known else ".".join(map(str, LAST_READ))
