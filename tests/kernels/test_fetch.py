"""Kernels fetched: the newest, the next if it is gone, one at a time, and nothing half done."""

from __future__ import annotations

import http.server
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kernels.archive import boot_image, kernel_tree, module
from mapcount.errors import KernelImageError
from mapcount.kernels.fetch import fetch
from mapcount.kernels.images import find_image
from waiting import HANG_S

OLD, NEW, NEWEST = (f"6.13.{n}-cloud-amd64" for n in (3, 7, 11))


@pytest.fixture
def published(archive):
    """Three kernels of 6.13 in two suites, the newest in the second."""
    archive.add_kernel("old", OLD, "6.13.3-1")
    archive.add_kernel("old", NEW, "6.13.7-1")
    archive.add_kernel("new", NEWEST, "6.13.11-1~bpo1")
    archive.publish()
    return archive


def left_in(cache):
    """Return what is in the cache beside apt's own and the lock."""
    return sorted(path.name for path in cache.iterdir() if path.name not in {"apt", "lock"})


def damage(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_the_newest_of_a_series(published, apt, cache):
    said = []
    (image,) = fetch(apt, ["6.13"], said.append)

    assert image == find_image("6.13")
    assert (image.release, image.package_version) == (NEWEST, "6.13.11-1~bpo1")
    assert image.path.read_bytes() == boot_image(NEWEST)
    assert (image.modules / image.load_order[0]).read_bytes() == module()
    assert image.page_mapcount is True
    assert image.source.endswith(f"linux-image-{NEWEST}_6.13.11-1~bpo1.deb (new)")
    assert left_in(cache) == [f"{NEWEST}_6.13.11-1~bpo1"]
    assert sum("fetching" in words for words in said) == 1

    said.clear()
    assert fetch(apt, ["6.13"], said.append) == [image]
    assert said == []


@pytest.mark.parametrize("spoil", [Path.unlink, damage])
def test_one_that_is_gone_or_damaged_gives_way_to_the_next(published, apt, cache, spoil):
    spoil(published.files[f"linux-image-{NEWEST}"])
    said = []
    (image,) = fetch(apt, ["6.13"], said.append)
    assert image.release == NEW
    assert left_in(cache) == [f"{NEW}_6.13.7-1"]
    assert any(f"6.13: linux-image-{NEWEST} 6.13.11-1~bpo1: " in words for words in said)


def test_all_gone(published, apt, cache):
    for path in published.files.values():
        path.unlink()
    (error,) = fetch(apt, ["6.13"], print)
    assert "no image of Linux 6.13 can be had: 3 of 3 packages were tried" in str(error)
    assert left_in(cache) == []


def test_all_gone_but_one_is_cached(published, apt, put_kernel):
    kept = put_kernel("6.13", "6.13.2-x", "6.13.2-1")
    for path in published.files.values():
        path.unlink()
    said = []
    assert fetch(apt, ["6.13"], said.append) == [kept]
    assert "6.13.2-x, which is cached, serves" in said[-1]


def test_no_network_but_one_is_cached(archive, apt, put_kernel):
    kept = put_kernel("6.13", "6.13.2-x", "6.13.2-1")
    found = fetch(apt, ["6.13", "6.12"], print)
    assert found[0] == kept
    assert "no suite of Debian could be read" in str(found[1])
    with pytest.raises(KernelImageError, match="no suite of Debian could be read"):
        fetch(apt, [], print)


def test_a_series_that_nobody_has_names_the_nearest_and_the_suites(published, apt):
    published.add_kernel("old", "6.1.0-3-cloud-amd64", "6.1.7-1")
    published.publish()
    published.in_release("new").unlink()
    (error,) = fetch(apt, ["6.5"], print)
    assert "an image of Linux 6.5 (not read: new; mapcount kernels says why)" in str(error)
    assert str(error).endswith("they have 6.1, 6.13, the nearest being 6.1 and 6.13")


def test_every_series(published, apt):
    published.add_kernel("old", "6.1.0-3-cloud-amd64", "6.1.7-1")
    published.publish()
    assert [image.release for image in fetch(apt, [], print)] == ["6.1.0-3-cloud-amd64", NEWEST]


def test_a_kernel_in_parts(archive, apt):
    release = "7.3.4-cloud-amd64"
    parts = {
        "binary": {"with_config": False, "modules": {}},
        "base": {"image": False, "modules": {}},
        "modules": {"image": False, "with_config": False, "modules": {"brd.ko.xz": module()}},
    }
    for name, layout in parts.items():
        archive.add_package(
            "old",
            f"linux-{name}-{release}",
            "7.3.4-1",
            lambda tree, layout=layout: kernel_tree(tree, release, boot=False, **layout),
        )
    archive.publish()
    (image,) = fetch(apt, ["7.3"], print)
    assert (image.package, image.page_mapcount, image.load_order) == (f"linux-binary-{release}", True, ("brd.ko",))


def test_a_cached_image_that_was_changed_is_fetched_again(published, apt):
    (image,) = fetch(apt, ["6.13"], print)
    image.path.write_bytes(b"other")
    (again,) = fetch(apt, ["6.13"], print)
    assert again.path.read_bytes() == boot_image(NEWEST)


def test_two_at_once_fetch_once(published, apt, cache):
    said = []
    with ThreadPoolExecutor(2) as pool:
        one, other = [pool.submit(fetch, apt, ["6.13"], said.append) for _ in range(2)]
    assert one.result() == other.result() == [find_image("6.13")]
    assert sum("fetching" in words for words in said) == 1


class SlowArchive(http.server.SimpleHTTPRequestHandler):
    """Sends half a package and then nothing until it is told to."""

    began, end = threading.Event(), threading.Event()

    def copyfile(self, source, outputfile):
        if not self.path.endswith(".deb"):
            return super().copyfile(source, outputfile)
        content = source.read()
        outputfile.write(content[: len(content) // 2])
        outputfile.flush()
        self.began.set()
        return self.end.wait(HANG_S)

    def log_message(self, *_):
        pass


@pytest.fixture
def slow_archive(published):
    """The address of a server of the archive that never finishes a package."""
    SlowArchive.began.clear()
    SlowArchive.end.clear()

    def handler(*arguments):
        return SlowArchive(*arguments, directory=str(published.root))

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        SlowArchive.end.set()
        server.shutdown()
        thread.join(HANG_S)


def processes_that_name(words):
    """Return the command lines of processes that have `words` in them or in their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            text = (path / "cmdline").read_bytes() + (path / "environ").read_bytes()
        except OSError:
            continue
        if words.encode() in text and path.name != str(os.getpid()):
            found.append(text.partition(b"\0")[0])
    return found


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_fetch_that_is_ended_leaves_no_half_image(slow_archive, cache, keys, tmp_path, how):
    script = (
        "import signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a run in the background ignores it
        "from pathlib import Path\n"
        "from mapcount.cli import main\n"
        "from mapcount.kernels import apt\n"
        "from mapcount.kernels.apt_setup import Suite\n"
        f"apt.SUITES = [Suite('{slow_archive}', 'old'), Suite('{slow_archive}', 'new')]\n"
        f"apt.KEYRINGS = [Path('{keys[0].keyring}')]\n"
        "sys.exit(main(['kernels', 'fetch', '6.13']))\n"
    )
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    child = subprocess.Popen([sys.executable, "-c", script], env=environment, stderr=subprocess.PIPE, text=True)
    try:
        assert SlowArchive.began.wait(HANG_S), child.communicate(timeout=HANG_S)
        child.send_signal(how)
        _, err = child.communicate(timeout=HANG_S)
    finally:
        child.kill()
        child.wait()

    assert child.returncode == (130 if how == signal.SIGINT else -how), err
    assert "Traceback" not in err
    if how == signal.SIGINT:
        assert left_in(cache) == []
        assert processes_that_name(str(cache)) == []
    else:
        assert [name[:7] for name in left_in(cache)] == [".fetch-"]
        SlowArchive.end.set()
