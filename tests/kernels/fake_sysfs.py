"""A directory tree with the settings of a kernel, as plain files: what is written is what is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

THP = "sys/kernel/mm/transparent_hugepage"
POOL = "sys/kernel/mm/hugepages/hugepages-2048kB"
FOUND = {
    f"{THP}/enabled": "always [madvise] never",
    f"{THP}/defrag": "always defer defer+madvise [madvise] never",
    f"{THP}/shmem_enabled": "always within_size [advise] never deny force",
    f"{THP}/use_zero_page": "1",
    f"{THP}/khugepaged/pages_to_scan": "4096",
    f"{THP}/khugepaged/defrag": "1",
    f"{THP}/khugepaged/max_ptes_none": "257",
    f"{THP}/khugepaged/scan_sleep_millisecs": "10000",
    f"{THP}/khugepaged/alloc_sleep_millisecs": "60000",
    f"{THP}/hugepages-64kB/enabled": "always inherit [madvise] never",
    f"{THP}/hugepages-64kB/shmem_enabled": "always inherit within_size advise [never]",
    f"{THP}/hugepages-8kB/shmem_enabled": "always inherit within_size [advise] never",
    f"{THP}/hugepages-2048kB/enabled": "always inherit madvise [never]",
    f"{THP}/hugepages-2048kB/shmem_enabled": "always [inherit] within_size advise never",
    f"{POOL}/nr_hugepages": "7",
    f"{POOL}/free_hugepages": "5",
    f"{POOL}/resv_hugepages": "2",
    f"{POOL}/nr_overcommit_hugepages": "11",
    "sys/kernel/mm/ksm/run": "1",
    "proc/sys/kernel/numa_balancing": "1",
    "proc/sys/vm/min_free_kbytes": "67584",
}


def make(top: Path) -> dict[str, str]:
    """Make the tree below `top`; return what each file holds, by its path below `top`."""
    for name, text in FOUND.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return values(top)


def values(top: Path) -> dict[str, str]:
    """Return the value of each setting: the word in brackets where there is one."""
    texts = {name: (top / name).read_text().strip() for name in FOUND if (top / name).exists()}
    return {name: text.split("[")[1].split("]")[0] if "[" in text else text for name, text in texts.items()}
