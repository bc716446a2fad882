"""NUMA nodes: zones looked up one by one, and the zones of this machine."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapcount.capture.nodes import parse_zones, read_nodes

ZONES = """\
Node 0, zone      DMA
  per-node stats
      nr_inactive_anon 2378
  pages free     3
        boost    0
        spanned  4095
        present  3998
        managed  3840
        protection: (0, 2991)
  pagesets
    cpu: 0
              count:    0
  node_unreclaimable:  0
  start_pfn:           1
Node 0, zone   Normal
        spanned  5504
        present  5504
  start_pfn:           4096
Node 0, zone  Movable
        spanned  0
        present  0
Node 13, zone   Normal
        spanned  700
        present  700
  start_pfn:           20011
"""


def test_zones_of_a_text():
    nodes = parse_zones(ZONES)

    assert list(zip(nodes.first.tolist(), nodes.end.tolist(), nodes.node.tolist(), strict=True)) == [
        (1, 4096, 0),
        (4096, 9600, 0),
        (20011, 20711, 13),
    ]
    assert nodes.of(np.array([0, 1, 9599, 9600, 20010, 20011, 20710, 20711])).tolist() == [
        -1, 0, 0, -1, -1, 13, 13, -1,
    ]  # fmt: skip


def test_without_zoneinfo_every_node_is_unknown(tmp_path):
    nodes = read_nodes(proc=str(tmp_path))

    assert nodes.of(np.array([0, 7, 1 << 40])).tolist() == [-1, -1, -1]


@given(
    st.lists(st.tuples(st.integers(1, 97), st.integers(0, 31), st.integers(0, 5)), max_size=7),
    st.lists(st.integers(0, 900), min_size=1, max_size=31),
)
def test_lookup_is_what_a_search_through_all_zones_finds(parts, pfns):
    zones, at = [], 0
    for size, gap, node in parts:
        zones.append((at + gap, at + gap + size, node))
        at += gap + size
    text = "".join(
        f"Node {node}, zone   Normal\n        spanned  {end - first}\n  start_pfn:           {first}\n"
        for first, end, node in zones
    )

    expected = [next((node for first, end, node in zones if first <= pfn < end), -1) for pfn in pfns]

    assert parse_zones(text).of(np.array(pfns, np.uint64)).tolist() == expected


@pytest.mark.skipif(not os.path.exists("/proc/zoneinfo"), reason="no /proc/zoneinfo here")
def test_zones_of_this_machine_span_its_memory():
    nodes = read_nodes()
    present = os.sysconf("SC_PHYS_PAGES")

    assert int((nodes.end - nodes.first).sum()) >= present
    assert (nodes.of(nodes.first) == nodes.node).all()
    assert (nodes.of(nodes.end - np.uint64(1)) == nodes.node).all()
