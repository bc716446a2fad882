"""Which kernels an index lists."""

from __future__ import annotations

import pytest

from mapcount.kernels.packages import by_series, newest_keyring, parse_index

KERNEL = 13 << 20


def paragraph(name, version, size=KERNEL, **more):
    fields = {
        "Package": name,
        "Version": version,
        "Filename": f"pool/{name}.deb",
        "Size": size,
        "SHA256": "5" * 64,
    } | more
    return "".join(f"{key}: {value}\n" for key, value in fields.items() if value is not None)


def kernels(*paragraphs):
    return by_series(parse_index("\n".join(paragraphs).encode(), "http://archive/debian/", "suite"))


def test_newest_first_whatever_the_order_of_the_index():
    found = kernels(
        paragraph("linux-image-6.1.0-9-cloud-amd64", "6.1.27-1"),
        paragraph("linux-image-6.1.0-56-cloud-amd64", "6.1.192-2"),
        paragraph("linux-image-6.1.0-10-cloud-amd64", "6.1.38-1"),
        paragraph("linux-image-5.10.0-46-cloud-amd64", "5.10.262-1"),
        paragraph("linux-image-6.12.9-cloud-amd64", "6.12.9-1"),
    )
    assert list(found) == ["5.10", "6.1", "6.12"]
    assert [one.release for one in found["6.1"]] == [
        "6.1.0-56-cloud-amd64",
        "6.1.0-10-cloud-amd64",
        "6.1.0-9-cloud-amd64",
    ]
    assert found["5.10"][0].kernel.uri == "http://archive/debian/pool/linux-image-5.10.0-46-cloud-amd64.deb"
    assert found["5.10"][0].kernel.suite == "suite"


def test_a_kernel_in_parts_is_the_parts_of_its_version():
    found = kernels(
        paragraph("linux-image-7.3.4-cloud-amd64", "7.3.4-1", 1928),
        paragraph("linux-binary-7.3.4-cloud-amd64", "7.3.4-1"),
        paragraph("linux-modules-7.3.4-cloud-amd64", "7.3.4-1", 23),
        paragraph("linux-base-7.3.4-cloud-amd64", "7.3.4-1", 19),
        paragraph("linux-base-7.3.4-cloud-amd64", "7.3.4-2", 17),
        paragraph("linux-binary-7.0.13-cloud-amd64", "7.0.13-1"),
    )
    (candidate,) = found["7.3"]
    assert [package.name for package in candidate.packages] == [
        "linux-binary-7.3.4-cloud-amd64",
        "linux-base-7.3.4-cloud-amd64",
        "linux-modules-7.3.4-cloud-amd64",
    ]
    assert candidate.size_bytes == KERNEL + 23 + 19
    assert found["7.0"][0].companions == ()


@pytest.mark.parametrize(
    "other",
    [
        paragraph("linux-image-cloud-amd64", "6.1.192-2"),
        paragraph("linux-image-6.12-cloud-amd64", "6.12.117-1", 1400),
        paragraph("linux-image-6.1.0-56-amd64", "6.1.192-2"),
        paragraph("linux-image-6.1.0-56-cloud-amd64-dbg", "6.1.192-2"),
        paragraph("linux-binary-unsigned-7.3.4-cloud-amd64", "7.3.4-1"),
        paragraph("linux-image-6.1.0-56-cloud-amd64", "6.1.192-2", SHA256=None),
        paragraph("linux-image-6.1.0-56-cloud-amd64", "6.1.192-2", "much"),
        "Package",
        "",
    ],
)
def test_what_is_no_kernel_to_boot_is_left_out(other):
    assert kernels(other) == {}


def test_the_newest_keyring():
    text = "\n".join(
        paragraph("debian-archive-keyring", version, 17) for version in ("2023.3", "2025.1", "2023.3+deb12u2")
    )
    newest = newest_keyring(parse_index(text.encode(), "a", "s"))
    assert newest is not None and newest.version == "2025.1"
    assert newest_keyring([]) is None
