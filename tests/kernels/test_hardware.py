"""What guests are made of: as usual unless a scenario asks, and a table of NUMA nodes as the ACPI specification has it."""

from __future__ import annotations

from mapcount.kernels.hardware import MEMORY_MIB, ORDINARY, Hardware, hardware_for, srat
from mapcount.scenarios.scenario import Settings


def number(table, at, nr_bytes):
    return int.from_bytes(table[at : at + nr_bytes], "little")


def structures(table):
    """Yield the structures of a System Resource Affinity Table: from byte 48 on, type and length first."""
    at = 48
    while at < len(table):
        length = table[at + 1]
        yield table[at : at + length]
        at += length
    assert at == len(table)


def test_memory_in_two_nodes_and_the_processor_in_the_first():
    table = srat(Hardware(memory_mib=13, second_node_mib=5))
    assert table[:4] == b"SRAT" and number(table, 4, 4) == len(table) and number(table, 36, 4) == 1
    processor, *memory = structures(table)
    assert (processor[0], len(processor), processor[2], processor[3], number(processor, 4, 4)) == (0, 16, 0, 0, 1)
    assert [(one[0], len(one), number(one, 28, 4)) for one in memory] == [(1, 40, 1), (1, 40, 1)]
    ranges = [(number(one, 2, 4), number(one, 8, 8), number(one, 16, 8)) for one in memory]
    assert ranges == [(0, 0, 8 << 20), (1, 8 << 20, 5 << 20)]


def test_node_0_has_no_less_than_a_guest_with_one_node():
    assert hardware_for(Settings()) == hardware_for(Settings(swap=True, hugetlb_pages=7)) == ORDINARY
    two = hardware_for(Settings(nodes=2))
    assert two.memory_mib - two.second_node_mib == MEMORY_MIB == ORDINARY.memory_mib
    gigantic = hardware_for(Settings(gigantic_pages=1))
    assert "hugepagesz=1G hugepages=1" in gigantic.kernel_words and "pdpe1gb" in gigantic.processor
    assert 2 << 10 < gigantic.memory_mib < 3 << 10, "all of the second GiB, below the hole for devices"
    assert "acpi" in ORDINARY.kernel_words and "acpi" not in two.kernel_words, "the table of nodes is ACPI's"
