"""What a guest is made of: its memory, the NUMA nodes that this belongs to, and pages set aside at boot."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mapcount.scenarios.scenario import Settings

MEMORY_MIB = 768
"""Below some 512 MiB of free memory a kernel switches transparent hugepages off at boot."""
SECOND_NODE_MIB = 256
"""Room for what is moved there. Nodes are told apart by sections of 128 MiB: SECTION_SIZE_BITS."""
ABOVE_MIB = 256
"""Above pages of 1 GiB: what a kernel takes from the end of memory first is not to lie among them."""
_ENABLED = 1
_PROCESSOR, _MEMORY = 0, 1


@dataclass(frozen=True)
class Hardware:
    """`memory_mib` of memory in one piece; the last `second_node_mib` of it are NUMA node 1, which has no processor."""

    memory_mib: int = MEMORY_MIB
    second_node_mib: int = 0
    gigantic_pages: int = 0
    """Pages of 1 GiB, set aside at boot. They have to begin at a multiple of 1 GiB."""

    @property
    def kernel_words(self) -> str:
        """What the kernel's command line has for it."""
        # ACPI is needed for nothing but their table, and takes a tenth of a boot.
        words = ["numa_balancing=disable"] if self.second_node_mib else ["acpi=off"]
        words += [f"hugepagesz=1G hugepages={self.gigantic_pages}"] if self.gigantic_pages else []
        return " ".join(words)

    @property
    def processor(self) -> str:
        """QEMU's name of it: the plainest that can do."""
        return "qemu64,+pdpe1gb" if self.gigantic_pages else "qemu64"


ORDINARY = Hardware()
"""What most scenarios run on."""


def hardware_for(settings: Settings) -> Hardware:
    """Return what a scenario needs: no more than others, unless its settings ask for it."""
    second = SECOND_NODE_MIB if settings.nodes > 1 else 0
    gigantic = settings.gigantic_pages
    first = (1 + gigantic) * 1024 + ABOVE_MIB if gigantic else MEMORY_MIB
    return Hardware(first + second, second, gigantic)


def srat(hardware: Hardware) -> bytes:
    """
    Return the ACPI table that tells which memory belongs to which node: processor 0 and all but the end to node 0.

    QEMU would make one itself, but not for memory that is a single file. It corrects the checksum. Source: ACPI 6.5, 5.2.16.
    """
    border, end = (hardware.memory_mib - hardware.second_node_mib) << 20, hardware.memory_mib << 20
    entries = struct.pack("<BBBBIBBHI", _PROCESSOR, 16, 0, 0, _ENABLED, 0, 0, 0, 0)
    for node, first, until in ((0, 0, border), (1, border, end)):
        entries += struct.pack("<BBIHQQIIQ", _MEMORY, 40, node, 0, first, until - first, 0, _ENABLED, 0)
    reserved = struct.pack("<IQ", 1, 0)
    length = 36 + len(reserved) + len(entries)
    header = struct.pack("<4sIBB6s8sI4sI", b"SRAT", length, 3, 0, b"MAPCNT", b"MAPCOUNT", 1, b"MAPC", 1)
    return header + reserved + entries
