"""Every number a user can read: sizes in IEC units, counts, shares, durations, addresses."""

from __future__ import annotations

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
_STEPS = (("KiB", KIB), ("MiB", MIB), ("GiB", GIB), ("TiB", 1024 * GIB))


def format_bytes(size_bytes: int) -> str:
    """Format a size with three significant digits and an IEC unit: `1536` is `1.5 KiB`, `0` is `0`."""
    if size_bytes == 0:
        return "0"
    sign, size = ("-", -size_bytes) if size_bytes < 0 else ("", size_bytes)
    if size < KIB:
        return f"{sign}{size} B"
    for unit, step in _STEPS:
        if size < 1000 * step or unit == "TiB":
            value = size / step
            text = f"{value:.0f}" if value >= 100 or size % step == 0 else f"{value:.1f}"
            return f"{sign}{text} {unit}"
    raise AssertionError(size_bytes)


def format_kib(size_bytes: int) -> str:
    """Format a size as whole KiB with thousands separated: the unit in which the kernel reports."""
    return f"{size_bytes // KIB:,}"


def format_folio_size(order: int, page_size: int = 4096) -> str:
    """Format the size of a folio of `order` without a blank and as the kernel names it: `64K`, `2M`, `1G`."""
    size = page_size << order
    for unit, step in (("G", GIB), ("M", MIB)):
        if size >= step:
            return f"{size // step}{unit}"
    return f"{size // KIB}K"


def parse_folio_size(text: str, page_size: int = 4096) -> int:
    """Return the order of a folio size such as `64K` or `2M`; ValueError if it is no power of two of pages."""
    scale = {"K": KIB, "M": MIB, "G": GIB}.get(text[-1:].upper())
    if scale is None or not text[:-1].isdigit():
        raise ValueError(f"{text!r} is not a folio size such as 64K or 2M")
    pages, rest = divmod(int(text[:-1]) * scale, page_size)
    if rest or pages == 0 or pages & (pages - 1):
        raise ValueError(f"{text!r} is not a power of two of {page_size}-byte pages")
    return pages.bit_length() - 1


def format_count(count: int) -> str:
    """Format a count with thousands separated: `1,048,576`."""
    return f"{count:,}"


def format_share(part: float, whole: float) -> str:
    """Format `part` of `whole` as a percentage with one decimal; `-` if there is no whole."""
    return f"{100 * part / whole:.1f}%" if whole else "-"


def format_seconds(elapsed_s: float) -> str:
    """Format a duration: `0.8 ms`, `340 ms`, `12.5 s`, `3 min 20 s`."""
    if elapsed_s < 0.01:
        return f"{elapsed_s * 1e3:.1f} ms"
    if elapsed_s < 1:
        return f"{elapsed_s * 1e3:.0f} ms"
    if elapsed_s < 120:
        return f"{elapsed_s:.1f} s"
    return f"{int(elapsed_s // 60)} min {int(elapsed_s % 60)} s"


def format_address(address: int) -> str:
    """Format an address in hexadecimal, unpadded: `0x7f0012345000`."""
    return f"0x{address:x}"
