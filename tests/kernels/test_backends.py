"""The machine that --on names."""

from __future__ import annotations

import platform

import pytest

from mapcount.errors import KernelImageError, UsageError
from mapcount.kernels.backends import default_release, open_backend
from mapcount.kernels.host_backend import HostBackend


def test_the_model():
    with open_backend("model", release="6.12") as backend:
        assert (backend.name, backend.release, backend.page_mapcount) == ("model of 6.12", "6.12", True)
    with open_backend("model", release="7.3", page_mapcount=False) as backend:
        assert not backend.page_mapcount
    with open_backend("model", release="7.3", scheme_id="large-mapcount") as backend:
        assert "large-mapcount" in backend.name


def test_the_host():
    with open_backend("host") as backend:
        assert isinstance(backend, HostBackend)


def test_an_image_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv("MAPCOUNT_KERNELS", str(tmp_path))
    with pytest.raises(KernelImageError, match=r"mapcount kernels fetch 6\.99"), open_backend("6.99"):
        pass


@pytest.mark.parametrize("how", [{"release": "6.1"}, {"scheme_id": "mm-id"}, {"page_mapcount": False}])
def test_a_real_kernel_is_what_it_is(how):
    with pytest.raises(UsageError, match="--era"), open_backend("host", **how):
        pass


@pytest.mark.parametrize(
    ("system", "release", "taken"),
    [
        ("Linux", "6.12.107+deb12", "6.12.107+deb12"),
        ("Linux", "3.10.0", "7.3"),
        ("Darwin", "24.1.0", "7.3"),
        ("Linux", "?", "7.3"),
    ],
)
def test_default_release(system, release, taken, monkeypatch):
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "release", lambda: release)
    assert default_release() == taken
