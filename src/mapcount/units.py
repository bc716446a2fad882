"""Every number a user can read: sizes in IEC units, counts, shares, durations, addresses."""

from __future__ import annotations

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
_STEPS = (("KiB", KIB), ("MiB", MIB), ("GiB", GIB), ("TiB", 1024 * GIB))


def format_bytes(size_bytes: int) -> str:
    """
    Format a size with an IEC unit: `776 KiB`, `6.0 MiB`, `353 MiB`; `0` is `0`.

    KiB have no decimal; larger units have one below 100 and none from there on.
    """
    if size_bytes == 0:
        return "0"
    sign, size = ("-", -size_bytes) if size_bytes < 0 else ("", size_bytes)
    if size < KIB:
        return f"{sign}{size} B"
    for unit, step in _STEPS:
        # 999.5 would round to a fourth digit, 99.95 to a decimal that is one too many.
        if size < 999.5 * step or unit == "TiB":
            value = size / step
            decimals = 1 if value < 99.95 and step > KIB else 0
            return f"{sign}{value:.{decimals}f} {unit}"
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


def format_kernel_size(text: str) -> str:
    """Format a size as hugepages-*/ spells it (`2048kB`) like a folio size (`2M`); other texts stay as they are."""
    kib = text.removesuffix("kB")
    return format_folio_size(0, int(kib) * KIB) if kib != text and kib.isdecimal() else text


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
    """Format a duration: `0.8 ms`, `340 ms`, `12.5 s`, `3 min 20 s`, `26 h 5 min`, `3 d 4 h`."""
    if elapsed_s < 0.01:
        return f"{elapsed_s * 1e3:.1f} ms"
    if elapsed_s < 1:
        return f"{elapsed_s * 1e3:.0f} ms"
    if elapsed_s < 120:
        return f"{elapsed_s:.1f} s"
    minutes, seconds = divmod(int(elapsed_s), 60)
    hours, minutes_left = divmod(minutes, 60)
    if hours < 2:
        return f"{minutes} min {seconds} s"
    return f"{hours} h {minutes_left} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def format_address(address: int) -> str:
    """Format an address in hexadecimal, unpadded: `0x7f0012345000`."""
    return f"0x{address:x}"
