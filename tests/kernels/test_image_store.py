"""The cache of images: whole or not at all, one writer at a time, verified byte by byte."""

from __future__ import annotations

import os
import threading

import pytest

from kernels.archive import boot_image, config
from mapcount.errors import KernelImageError, UsageError
from mapcount.kernels.deb import KernelFiles
from mapcount.kernels.image_store import add, locked, put, verify
from mapcount.kernels.images import find_image
from waiting import HANG_S


def own(tmp_path, release="7.3.4", text=""):
    (tmp_path / "vmlinuz-own").write_bytes(boot_image(release))
    if text:
        (tmp_path / "config-own").write_text(text)
    return tmp_path / "vmlinuz-own"


def test_an_image_of_ones_own(tmp_path, cache):
    path = own(tmp_path, text=config(page_mapcount=False))
    added = add(path, "7.3-no-page-mapcount", None, force=False, say=print)
    assert find_image("7.3-no-page-mapcount") == added
    assert (added.release, added.page_mapcount, added.source) == ("7.3.4", False, str(path))
    path.unlink()
    assert added.path.read_bytes() == boot_image("7.3.4")


def test_a_name_that_is_taken_needs_force(tmp_path, cache):
    add(own(tmp_path), "mine", None, force=False, say=print)
    with pytest.raises(UsageError, match="--force to replace it"):
        add(own(tmp_path, "7.3.5"), "mine", None, force=False, say=print)
    assert find_image("mine").release == "7.3.4"
    add(own(tmp_path, "7.3.5"), "mine", None, force=True, say=print)
    assert find_image("mine").release == "7.3.5"
    assert sorted(path.name for path in cache.iterdir()) == ["lock", "mine"]


@pytest.mark.parametrize("name", ["6.12", "", ".", "..", "../a", "a/b", ".new-a", "-a"])
def test_names_that_would_be_something_else(tmp_path, cache, name):
    with pytest.raises(UsageError, match="cannot be the name of an image"):
        add(own(tmp_path), name, None, force=True, say=print)


def test_what_fails_leaves_what_was_there(tmp_path, cache, put_kernel):
    image = put_kernel("6.12", "6.12.101-x", "6.12.101-1")
    gone = KernelFiles(tmp_path / "vmlinuz-gone", None, ())
    with locked(print) as root, pytest.raises(KernelImageError, match="cannot be written"):
        put(root, image.path.parent.name, "6.12", "6.12.101-x", gone, "test", [])
    assert find_image("6.12") == image
    assert not list(cache.glob(".*"))


def test_what_an_interrupted_run_left_is_cleared(cache):
    for name in (".new-a/image", ".fetch-b/root", "apt/.fetch-c/root"):
        (cache / name).mkdir(parents=True)
        (cache / name / "half").write_bytes(b"half")
    with locked(print):
        assert [path.name for path in cache.rglob("*") if path.is_file()] == ["lock"]


def test_verify_sees_a_flipped_bit_that_size_and_time_do_not_tell(put_kernel):
    put_kernel("6.1", "6.1.7-x", "6.1.7-1")
    path = put_kernel("6.12", "6.12.101-x", "6.12.101-1").path
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[3001] ^= 16
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert find_image("6.12").path == path
    by_name = {verdict.directory: verdict.problems for verdict in verify()}
    assert [len(problems) for problems in by_name.values()] == [0, 1]
    assert by_name[path.parent][0].startswith("vmlinuz has SHA-256")
    assert [verdict.directory for verdict in verify(["6.12"])] == [path.parent]


def test_verify_tells_a_damaged_record_and_an_unknown_name(put_kernel):
    directory = put_kernel("6.1", "6.1.7-x", "6.1.7-1").path.parent
    (directory / "record.json").write_text("{")
    (verdict,) = verify()
    assert "is damaged" in verdict.problems[0]
    with pytest.raises(KernelImageError, match=r"nothing cached is called 6\.2, x"):
        verify([directory.name, "6.2", "x"])


def test_the_second_writer_waits_and_says_so(cache):
    order, said = [], threading.Event()

    def second():
        with locked(lambda words: said.set()):
            order.append("second")

    with locked(print):
        thread = threading.Thread(target=second)
        thread.start()
        assert said.wait(HANG_S)
        order.append("first")
    thread.join(HANG_S)
    assert order == ["first", "second"]


def test_the_second_writer_does_not_wait_for_ever(cache):
    with (
        locked(print),
        pytest.raises(KernelImageError, match="another run has held"),
        locked(lambda _: None, timeout_s=0.1),
    ):
        pass


def test_what_the_disk_refuses_is_one_message(cache):
    with pytest.raises(KernelImageError, match="nowhere/file: No such file or directory"), locked(print) as root:
        (root / "nowhere" / "file").write_text("")


def test_a_cache_that_cannot_be_written_says_what_to_set(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MAPCOUNT_KERNELS", str(tmp_path / "file" / "kernels"))
    with pytest.raises(KernelImageError, match="set MAPCOUNT_KERNELS"), locked(print):
        pass
