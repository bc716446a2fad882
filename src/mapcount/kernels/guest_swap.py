"""A swap device for a guest: a RAM disk (brd.ko of the kernel's package), with a header as mkswap writes it."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from mapcount.errors import GuestError, KernelFeatureError

if TYPE_CHECKING:
    from mapcount.kernels.agent import Channel
    from mapcount.kernels.guest_files import GuestFiles
    from mapcount.kernels.images import Image

_OPEN, _CLOSE, _SWAPON, _SWAPOFF, _FINIT_MODULE = 2, 3, 167, 168, 313
_DISK = "/dev/ram0"
_SIZE_KIB = 128 << 10
_PAGES = _SIZE_KIB // 4
_HEADER_AT, _MAGIC_AT, _MAGIC = 1024, 4086, b"SWAPSPACE2"
"""union swap_header, include/linux/swap.h: version, last page, bad pages after 1024 bytes of boot block."""


class GuestSwap:
    """The swap of one guest: made at the first use, then switched on and off."""

    def __init__(self, image: Image, files: GuestFiles, channel: Channel) -> None:
        self._image, self._files, self._channel = image, files, channel
        self._is_made = self._is_on = False

    def switch(self, *, on: bool) -> None:
        """Switch it on or off. Raises KernelFeatureError if there is no RAM disk to be had, GuestError if that fails."""
        if on == self._is_on:
            return
        if on and not self._is_made:
            self._make()
        number, arguments = (_SWAPON, (_DISK, 0)) if on else (_SWAPOFF, (_DISK,))
        result = self._channel.call(0, number, *arguments)
        if result:
            raise GuestError(f"swap{'on' if on else 'off'} in the guest returned {result}")
        self._is_on = on

    def _make(self) -> None:
        for module in self._image.load_order:
            self._load(module)
        if not self._files.exists(_DISK):
            raise KernelFeatureError(
                f"{self._image.name} has no RAM disk (brd) to swap to: neither built in nor among its modules"
            )
        header = struct.pack("<III", 1, _PAGES - 1, 0)
        for at, data in ((_HEADER_AT, header), (_MAGIC_AT, _MAGIC)):
            self._files.write_bytes(_DISK, at, data)
        # What comes back brings no neighbours along.
        self._files.write("/proc/sys/vm/page-cluster", "0")
        self._is_made = True

    def _load(self, module: str) -> None:
        descriptor = self._channel.call(0, _OPEN, f"/{module}", 0)
        # A second parameter would need a blank, which a text for the agent cannot have: the other disks stay empty.
        parameters = f"rd_size={_SIZE_KIB}" if module.startswith("brd") else "none="
        result = self._channel.call(0, _FINIT_MODULE, descriptor, parameters, 0)
        self._channel.call(0, _CLOSE, descriptor)
        if result:
            raise GuestError(f"The guest's kernel does not load {module} ({result})")
