"""What is not compared when two machines are, and why: what nobody looks at, and what only one of them can have."""

from __future__ import annotations

UNSEEN = {
    "frame numbers": "they differ from run to run; folios are matched by the addresses at which they are mapped",
    "other flags of pages": "whether a page is dirty, young or on an LRU list depends on time",
    "_pincount": "no step of a scenario pins a page",
    "entries that map nothing": "swap and migration entries are seen by what a later step makes of them",
    "counters of the machine": "meminfo, vmstat and memory cgroups count what others do, too",
}
"""Of no machine."""
_CLEAN = "what is clean or dirty is not modelled; the sums are compared as Shared and Private"
_OF_VMA = "a fact of the VMA, whatever is mapped"
ONE_SIDED = {
    "Size": _OF_VMA,
    "KernelPageSize": _OF_VMA,
    "MMUPageSize": _OF_VMA,
    "Locked": _OF_VMA,
    "Shared_Clean": _CLEAN,
    "Shared_Dirty": _CLEAN,
    "Private_Clean": _CLEAN,
    "Private_Dirty": _CLEAN,
    "Pss_Dirty": "what is clean or dirty is not modelled",
    "LazyFree": "what is clean or dirty is not modelled",
    "Referenced": "which pages were accessed is not modelled",
    "Swap": "what is swapped out is seen when it comes back",
    "SwapPss": "what is swapped out is seen when it comes back",
}
"""By field: why only one of the two machines has it, where that is known."""


def why_one_sided(field: str, only: str) -> str:
    """Return why a field that only the machine `only` has was not compared."""
    return ONE_SIDED.get(field, f"only {only} has it")
