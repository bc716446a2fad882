"""The THP and mTHP settings of this kernel, and the facts about it that go into the metadata of a snapshot."""

from __future__ import annotations

import os
import re

from mapcount.record import record

SETTINGS_DIR = "kernel/mm/transparent_hugepage"
"""Below /sys."""
READ_BYTES = 1 << 16
# Files beside the settings that count what happened (Documentation/admin-guide/mm/transhuge.rst, "khugepaged").
_COUNTERS = frozenset({"khugepaged/pages_collapsed", "khugepaged/full_scans"})
_CHOSEN = re.compile(r"\[([^\]]+)\]")


@record(frozen=True)
class KernelFacts:
    """What the metadata says about the machine; the fields are named as in `Metadata`."""

    host: str
    kernel_release: str
    kernel_version: str
    machine: str
    page_size: int
    """Bytes."""
    pmd_order: int
    """A PMD entry maps 2^pmd_order pages."""
    boot_id: str
    """Empty if it could not be read."""
    mem_total_bytes: int
    """0 if it could not be read."""


def read_text(path: str, errors: str = "replace") -> str | None:
    """
    Return the text of a small file, or None if it cannot be read (absent, forbidden, its process gone).

    A capture reads hundreds of files of a few bytes: without the layers of open() each costs a third.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    parts = []
    try:
        while data := os.read(fd, READ_BYTES):
            parts.append(data)
    except OSError:
        return None
    finally:
        os.close(fd)
    return b"".join(parts).decode("utf-8", errors)


def chosen_word(text: str) -> str:
    """Return the chosen word of a setting: `madvise` of `always [madvise] never`; else the stripped text."""
    found = _CHOSEN.search(text)
    return found[1] if found else text.strip()


def read_settings(*, sys: str = "/sys") -> dict[str, str]:
    """
    Return every THP and mTHP setting by its path below /sys/kernel/mm/transparent_hugepage, sorted by that path.

    Of a setting that lists its choices the chosen word is returned (`enabled`: `madvise`). Counters are no settings:
    they are left out, and so is what is missing or unreadable. No privilege is needed.
    """
    top = os.path.join(sys, SETTINGS_DIR)
    settings = {}
    for folder, children, names in os.walk(top):
        children[:] = [name for name in children if name != "stats"]
        for name in names:
            path = os.path.join(folder, name)
            key = os.path.relpath(path, top)
            text = None if key in _COUNTERS else read_text(path)
            if text is not None:
                settings[key] = chosen_word(text)
    return dict(sorted(settings.items()))


def pmd_order_of(page_size: int, pmd_bytes: str) -> int:
    """
    Return the order of what one PMD entry maps, from `hpage_pmd_size` (bytes, as text; empty: kernel without THP).

    Without THP: a page table is one page of 8-byte entries, so a PMD entry spans page_size / 8 pages.
    """
    pages = int(pmd_bytes) // page_size if pmd_bytes.isdigit() else page_size // 8
    return max(pages, 1).bit_length() - 1


def read_kernel_facts(*, proc: str = "/proc", sys: str = "/sys") -> KernelFacts:
    """Return the facts about this machine that the metadata holds. No privilege is needed; nothing is raised."""
    name = os.uname()
    page_size = os.sysconf("SC_PAGE_SIZE")
    pmd_bytes = read_text(os.path.join(sys, SETTINGS_DIR, "hpage_pmd_size")) or ""
    total = re.search(r"^MemTotal:\s+(\d+) kB", read_text(os.path.join(proc, "meminfo")) or "", re.MULTILINE)
    return KernelFacts(
        host=name.nodename,
        kernel_release=name.release,
        kernel_version=name.version,
        machine=name.machine,
        page_size=page_size,
        pmd_order=pmd_order_of(page_size, pmd_bytes.strip()),
        boot_id=(read_text(os.path.join(proc, "sys/kernel/random/boot_id")) or "").strip(),
        mem_total_bytes=int(total[1]) * 1024 if total else 0,
    )
