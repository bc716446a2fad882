"""What a bzImage and a .config say."""

from __future__ import annotations

import pytest

from kernels.archive import boot_image, config
from mapcount.errors import KernelImageError, UsageError
from mapcount.kernels.boot_image import page_mapcount_of, read_release, series_of


def test_the_release_is_in_the_boot_header(tmp_path):
    (tmp_path / "image").write_bytes(boot_image("6.13.7-prime"))
    assert read_release(tmp_path / "image") == "6.13.7-prime"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no kernel image for x86"),
        (b"\x7fELF" + bytes(2000), "no kernel image for x86"),
        (boot_image("")[:0x600], "does not say which kernel release"),
        (boot_image("6.13.7")[:0x270], "does not say which kernel release"),
    ],
    ids=["empty", "ELF", "no version", "cut off"],
)
def test_what_is_no_image_says_so(tmp_path, content, says):
    (tmp_path / "image").write_bytes(content)
    with pytest.raises(KernelImageError, match=says):
        read_release(tmp_path / "image")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(KernelImageError, match="No such file"):
        read_release(tmp_path / "image")


@pytest.mark.parametrize(
    ("release", "text", "counts"),
    [
        ("6.14.11", None, True),
        ("6.15.0", None, None),
        ("6.15.0", config(), True),
        ("7.3.4", config(page_mapcount=False), False),
        ("7.3.4", "# CONFIG_NO_PAGE_MAPCOUNT=y\n", True),
    ],
)
def test_page_mapcount(release, text, counts):
    assert page_mapcount_of(release, text) is counts


def test_series():
    assert series_of("6.12.107+deb12-cloud-amd64") == "6.12"
    with pytest.raises(UsageError):
        series_of("vmlinuz")
