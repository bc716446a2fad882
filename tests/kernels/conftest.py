"""A cache of images in the test's own directory, and a signed archive with an apt that reads it."""

from __future__ import annotations

import pytest

from kernels import archive as archives
from mapcount.kernels.apt import Apt
from mapcount.kernels.apt_setup import Suite
from mapcount.kernels.deb import KernelFiles
from mapcount.kernels.image_record import StoredPackage
from mapcount.kernels.image_store import locked, put

COUNTS = archives.config()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The directory of the cache; it does not exist yet."""
    monkeypatch.setenv("MAPCOUNT_KERNELS", str(tmp_path / "kernels"))
    return tmp_path / "kernels"


@pytest.fixture
def put_kernel(cache, tmp_path):
    """Return a function that puts a kernel into the cache: of Debian's, or (no version) of one's own by that name."""

    def put_one(name, release, version="", *, text=COUNTS, modules=()):
        tree = tmp_path / "made" / release
        (tree / "modules").mkdir(parents=True, exist_ok=True)
        (tree / "vmlinuz").write_bytes(archives.boot_image(release, 4999))
        (tree / "config").write_text(text)
        for one in modules:
            (tree / "modules" / one).write_bytes(archives.module())
        files = KernelFiles(
            tree / "vmlinuz", tree / "config" if text else None, tuple(tree / "modules" / one for one in modules)
        )
        packages = [StoredPackage(f"linux-image-{release}", version, "0" * 64)] if version else []
        with locked(print) as root:
            return put(root, f"{release}_{version}" if version else name, name, release, files, "test", packages)

    return put_one


@pytest.fixture(scope="session")
def keys():
    """Two keys: of the archive, and of somebody else."""
    if archives.MISSING:
        pytest.skip(archives.WHY)
    with archives.new_key() as one, archives.new_key() as other:
        yield one, other


@pytest.fixture
def archive(tmp_path, keys):
    """An archive without packages."""
    return archives.Archive(tmp_path / "archive", keys[0])


@pytest.fixture
def apt(archive, cache, keys):
    """An apt of our own that reads the suite `old` and `new` of the archive, and trusts its key."""
    suites = [Suite(f"copy:{archive.root}", name) for name in ("old", "new")]
    cache.mkdir()
    return Apt(cache / "apt", suites, [keys[0].keyring])
