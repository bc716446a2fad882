"""Layouts: of a made-up kernel that has all fields, of one that has few, and what is cached of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernels.boot_files import bzimage, elf, gzipped
from kernels.btf_writer import STRUCT, BtfWriter
from mapcount.errors import KernelImageError
from mapcount.kernels import layout as module
from mapcount.kernels.btf import Btf
from mapcount.kernels.images import Image
from mapcount.kernels.layout import layout_of, read_layout

PAGE = {"flags": 0, "compound_head": 8, "mapping": 24, "_mapcount": 48, "_refcount": 52}
TASK, MM = {"tasks": 1208, "pid": 1400, "mm": 1288}, {"pgd": 72}


def kernel_btf(page=PAGE, page_size=64, folio=None, task=TASK, mm=MM, flags=("locked", "head", "anon_exclusive")):
    """Return BTF with these fields at these offsets; every field has 8 bytes, an array [0] and [1] of 4."""
    writer = BtfWriter()
    word, pair = writer.integer("long", 8), writer.array(writer.integer("int", 4), 2)
    for name, size, fields in (
        ("page", page_size, page),
        ("folio", 256, folio),
        ("task_struct", 9000, task),
        ("mm_struct", 900, mm),
    ):
        if fields is not None:
            rows = [(one, pair if one == "_mm_id_mapcount" else word, at * 8) for one, at in fields.items()]
            writer.members(STRUCT, name, size, rows)
    writer.enum("pageflags", {f"PG_{one}": bit for bit, one in enumerate(flags)})
    return writer.data()


def image(tmp_path, data, sha256="0" * 64):
    path = tmp_path / "vmlinuz"
    path.write_bytes(bzimage(gzipped(elf({".BTF": data}))))
    return Image("own", "6.12", "6.12.0", path, sha256, page_mapcount=True)


def test_words_of_a_kernel_before_folios_lie_in_the_second_and_third_page():
    layout = read_layout(Btf(kernel_btf({**PAGE, "compound_mapcount": 20, "compound_order": 17, "deferred_list": 24})))
    assert layout.folio == {"compound_mapcount": 84, "compound_order": 81, "deferred_list": 152}
    assert layout.page == PAGE
    assert layout.flags == {"locked": 0, "head": 1, "anon_exclusive": 2}
    assert (layout.task, layout.mm) == (TASK, MM)


def test_words_of_a_folio_are_where_its_struct_says():
    folio = {
        "_entire_mapcount": 88,
        "_nr_pages_mapped": 84,
        "_mm_id_mapcount": 96,
        "_mm_ids": 104,
        "_deferred_list": 144,
    }
    layout = read_layout(Btf(kernel_btf(folio=folio, mm={**MM, "mm_id": 16})))
    del folio["_mm_id_mapcount"]
    assert layout.folio == {**folio, "_mm_id_mapcount[0]": 96, "_mm_id_mapcount[1]": 100}
    assert layout.mm["mm_id"] == 16


def test_another_struct_page_is_refused():
    with pytest.raises(KernelImageError, match="struct page has 56 bytes"):
        read_layout(Btf(kernel_btf(page_size=56)))


def test_the_second_time_it_comes_from_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    first = layout_of(image(tmp_path, kernel_btf()))
    assert first.page == PAGE
    (cached,) = (tmp_path / "cache/mapcount/layouts").iterdir()
    assert cached.name.startswith("0" * 64)

    def nobody_reads(*_):
        raise AssertionError

    with monkeypatch.context() as patch:
        patch.setattr(module, "read_section", nobody_reads)
        assert layout_of(image(tmp_path, b"other")) == first
    other = layout_of(image(tmp_path, kernel_btf({**PAGE, "_refcount": 40}), "1" * 64))
    assert other.page["_refcount"] == 40


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"page": 3'])
def test_a_damaged_cache_is_made_anew(tmp_path, monkeypatch, text):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    whole = layout_of(image(tmp_path, kernel_btf()))
    (cached,) = (tmp_path / "cache/mapcount/layouts").iterdir()
    cached.write_text(text)
    assert layout_of(image(tmp_path, kernel_btf())) == whole
    assert cached.read_text() != text


def test_without_a_cache_it_works_all_the_same(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert layout_of(image(tmp_path, kernel_btf())).page == PAGE
    monkeypatch.delenv("XDG_CACHE_HOME")

    def homeless(_):
        raise RuntimeError("no home")

    monkeypatch.setattr(Path, "expanduser", homeless)
    assert layout_of(image(tmp_path, kernel_btf())).page == PAGE
