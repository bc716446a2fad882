"""cpio archives: read back by an independent reader, and by cpio itself."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapcount.kernels.initramfs import build_initramfs


def read_back(archive):
    """Return {path: (mode, data)}, by the text of buffer-format.rst: hexadecimal fields, everything padded to four bytes."""
    found, at = {}, 0
    while True:
        assert archive[at : at + 6] == b"070701"
        fields = [int(archive[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        mode, nlink, size, name_size = fields[1], fields[4], fields[6], fields[11]
        name_at = at + 110
        name = archive[name_at : name_at + name_size]
        assert name.endswith(b"\0") and nlink == 1
        data_at = name_at + name_size + (-(name_at + name_size)) % 4
        data = archive[data_at : data_at + size]
        assert len(data) == size
        at = data_at + size + (-(data_at + size)) % 4
        if name == b"TRAILER!!!\0":
            assert at == len(archive)
            return found
        found[name[:-1].decode()] = mode, data


@given(
    st.dictionaries(
        st.text("abcdefgh-._/0123456789", min_size=1, max_size=23),
        st.none() | st.binary(max_size=67),
        max_size=7,
    )
)
def test_what_went_in_comes_out(files):
    back = read_back(build_initramfs(files))
    assert list(back) == list(files)
    for path, data in files.items():
        assert back[path] == ((0o40755, b"") if data is None else (0o100755, data))


@pytest.mark.skipif(not shutil.which("cpio"), reason="no cpio")
def test_cpio_takes_it(tmp_path):
    archive = build_initramfs({"proc": None, "init": b"\x7fELF" + b"x" * 101, "brd.ko": b"odd"})
    subprocess.run(["cpio", "-id", "--quiet"], input=archive, cwd=tmp_path, check=True)
    assert (tmp_path / "proc").is_dir()
    assert (tmp_path / "init").read_bytes() == b"\x7fELF" + b"x" * 101
    assert (tmp_path / "init").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "brd.ko").read_bytes() == b"odd"
