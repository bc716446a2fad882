"""NUMA nodes of this host: lists of processors, and a node that is not there."""

from __future__ import annotations

import pytest

from mapcount.errors import KernelFeatureError
from mapcount.kernels import host_nodes
from mapcount.kernels.host_nodes import check_nodes, parse_list


@pytest.mark.parametrize(("text", "numbers"), [("0\n", {0}), ("0-2,5\n", {0, 1, 2, 5}), ("3,7-8", {3, 7, 8})])
def test_a_list_of_processors(text, numbers):
    assert parse_list(text) == numbers


def test_a_node_that_is_missing_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(host_nodes, "NODES", tmp_path)
    check_nodes(1)
    for node in (0, 1):
        (tmp_path / f"node{node}").mkdir()
        (tmp_path / f"node{node}" / "meminfo").touch()
    check_nodes(2)
    (tmp_path / "node1" / "meminfo").unlink()
    with pytest.raises(KernelFeatureError, match=r"between 2 NUMA nodes, and this host has no .*node1"):
        check_nodes(2)
