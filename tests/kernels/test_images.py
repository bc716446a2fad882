"""How an image is found, and that one which was changed is not used."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kernels.archive import boot_image, config, module, sha256
from mapcount.errors import KernelImageError
from mapcount.kernels.image_record import RECORD_NAME
from mapcount.kernels.images import cache_directory, find_image


def test_where_the_cache_is(monkeypatch):
    monkeypatch.setenv("MAPCOUNT_KERNELS", "/a/b")
    assert cache_directory() == Path("/a/b")
    monkeypatch.delenv("MAPCOUNT_KERNELS")
    monkeypatch.setenv("XDG_CACHE_HOME", "/c")
    assert cache_directory() == Path("/c/mapcount/kernels")
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    monkeypatch.setenv("HOME", "/d")
    assert cache_directory() == Path("/d/.cache/mapcount/kernels")


def test_a_series_is_its_newest_image(put_kernel):
    put_kernel("6.12", "6.12.101-x", "6.12.101-1", modules=["low.ko", "brd.ko"])
    put_kernel("6.12", "6.12.9-x", "6.12.9-1")
    put_kernel("6.12-mine", "6.12.997", "")

    image = find_image("6.12")
    assert (image.series, image.release, image.package_version) == ("6.12", "6.12.101-x", "6.12.101-1")
    assert image.path.read_bytes() == boot_image("6.12.101-x", 4999)
    assert image.sha256 == sha256(image.path)
    assert image.load_order == ("low.ko", "brd.ko")
    assert image.modules is not None
    assert (image.modules / "brd.ko").read_bytes() == module()
    assert find_image("6.12.9-x").release == "6.12.9-x"
    assert find_image("6.12.9-x").modules is None
    assert find_image("6.12-mine").release == "6.12.997"


def test_an_image_by_path_takes_the_config_beside_it(tmp_path, monkeypatch, cache):
    (tmp_path / "vmlinuz-a").write_bytes(boot_image("7.3.4"))
    assert find_image(str(tmp_path / "vmlinuz-a")).page_mapcount is None
    (tmp_path / "config-a").write_text(config(page_mapcount=False))
    assert find_image(str(tmp_path / "vmlinuz-a")).page_mapcount is False
    monkeypatch.chdir(tmp_path)
    assert find_image("vmlinuz-a").path == tmp_path / "vmlinuz-a"


def test_an_image_in_its_build_tree_takes_the_config_of_it(tmp_path, cache):
    built = tmp_path / "arch/x86/boot"
    built.mkdir(parents=True)
    (built / "bzImage").write_bytes(boot_image("7.3.4"))
    (tmp_path / ".config").write_text(config())
    image = find_image(str(built / "bzImage"))
    assert (image.page_mapcount, image.config) == (True, tmp_path / ".config")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("6.12", "mapcount kernels fetch 6.12"),
        ("7.3-no-page-mapcount", "mapcount kernels add PATH --name 7.3-no-page-mapcount"),
        ("./7.3", "cannot be read: No such file"),
    ],
)
def test_what_is_missing_is_said_with_the_command_that_gets_it(cache, name, says):
    with pytest.raises(KernelImageError, match=says):
        find_image(name)


@pytest.mark.parametrize("name", ["vmlinuz", "config", "modules/brd.ko"])
def test_a_touched_file_is_noticed(put_kernel, name):
    put_kernel("6.12", "6.12.101-x", "6.12.101-1", modules=["brd.ko"])
    path = find_image("6.12").path.parent / name
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 1))
    with pytest.raises(KernelImageError, match=f"{name} was changed after it was put there; remove the directory"):
        find_image("6.12")
    path.unlink()
    with pytest.raises(KernelImageError, match=f"{name} cannot be read"):
        find_image("6.12")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema_version": 1}'])
def test_a_damaged_record_hides_no_other_image(put_kernel, text):
    broken = put_kernel("6.1", "6.1.7-x", "6.1.7-1").path.parent
    put_kernel("6.12", "6.12.101-x", "6.12.101-1")
    (broken / RECORD_NAME).write_text(text)
    assert find_image("6.12").release == "6.12.101-x"
    with pytest.raises(KernelImageError, match="is damaged"):
        find_image(broken.name)


def test_a_record_of_a_newer_version_is_not_guessed_at(put_kernel):
    directory = put_kernel("6.1", "6.1.7-x", "6.1.7-1").path.parent
    record = directory / RECORD_NAME
    record.write_text(record.read_text().replace('"schema_version": 1', '"schema_version": 2'))
    with pytest.raises(KernelImageError, match="has version 2, this mapcount reads 1"):
        find_image(directory.name)
