"""What is taken out of packages: files as Debian lays them out, and modules in the order in which they load."""

from __future__ import annotations

import lzma

import pytest

from kernels.archive import kernel_tree, module
from mapcount.errors import KernelImageError
from mapcount.kernels.deb import find_kernel, read_module

RELEASE = "6.13.7-cloud-amd64"


@pytest.mark.parametrize("boot", [True, False])
def test_both_layouts(tmp_path, boot):
    kernel_tree(tmp_path, RELEASE, boot=boot)
    found = find_kernel(tmp_path, RELEASE)
    assert found.vmlinuz.is_file()
    assert found.config is not None and found.config.is_file()
    assert [path.name for path in found.modules] == ["brd.ko"]


def test_a_module_comes_after_what_it_needs_and_others_not_at_all(tmp_path):
    modules = {
        "brd.ko.xz": module(["middle_one", "low"]),
        "middle-one.ko": module(["low", "brd"]),
        "low.ko.xz": module(["built_in"]),
        "loop.ko": module(),
    }
    kernel_tree(tmp_path, RELEASE, modules=modules)
    names = [path.name for path in find_kernel(tmp_path, RELEASE).modules]
    assert names == ["low.ko.xz", "middle-one.ko", "brd.ko.xz"]


def test_parts_that_are_missing(tmp_path):
    kernel_tree(tmp_path, RELEASE, with_config=False, modules={})
    found = find_kernel(tmp_path, RELEASE)
    assert (found.config, found.modules) == (None, ())
    with pytest.raises(KernelImageError, match="hold no vmlinuz"):
        find_kernel(tmp_path, "6.13.8-cloud-amd64")


def test_modules_are_unpacked(tmp_path):
    (tmp_path / "a.ko.xz").write_bytes(lzma.compress(module(["b"])))
    assert read_module(tmp_path / "a.ko.xz") == module(["b"])
    (tmp_path / "a.ko.zst").write_bytes(b"\x28\xb5\x2f\xfd")
    with pytest.raises(KernelImageError, match=r"a\.ko\.zst is no kernel module that can be read here"):
        read_module(tmp_path / "a.ko.zst")
