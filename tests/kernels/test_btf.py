"""BTF: offsets against a brute-force layout, against gcc, and data that is none."""

from __future__ import annotations

import shutil
import struct
import subprocess
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.btf_writer import CONST, ENUM64, STRUCT, TYPEDEF, UNION, BtfWriter
from mapcount.errors import KernelImageError
from mapcount.kernels.btf import Btf

# A type as a test sees it: bytes of an integer, ("array", type, length), or ("struct"|"union", [(is named, type)]).
types = st.recursive(
    st.sampled_from([1, 2, 4, 8]),
    lambda inner: st.one_of(
        st.tuples(st.just("array"), inner, st.integers(1, 5)),
        st.tuples(
            st.sampled_from(["struct", "union"]), st.lists(st.tuples(st.booleans(), inner), min_size=1, max_size=5)
        ),
    ),
    max_leaves=17,
)


class Layout:
    """Lays a type out packed, member after member; writes it, and notes where each path must be found."""

    def __init__(self):
        self.writer = BtfWriter()
        self.names = count()

    def write(self, about):
        """Return the number, the size, and {path: (byte, size)} of a type."""
        if isinstance(about, int):
            return self.writer.integer(f"int{about}", about), about, {}
        if about[0] == "array":
            number, size, paths = self.write(about[1])
            inside = {"": (0, size), **paths}
            found = {
                f"[{i}]" + (f".{path}" if path and not path.startswith("[") else path): (i * size + at, nr)
                for i in range(about[2])
                for path, (at, nr) in inside.items()
                if not path.startswith("[")  # an index of an index is not in the language of paths
            }
            return self.writer.array(number, about[2]), size * about[2], found
        return self.members(*about)

    def members(self, kind, members):
        rows, found, at, total = [], {}, 0, 0
        for named, about in members:
            number, size, paths = self.write(about)
            # Only a struct or union can be anonymous.
            name = f"m{next(self.names)}" if named or isinstance(about, int) or about[0] == "array" else ""
            number = self.writer.add(TYPEDEF, "t", self.writer.add(CONST, "", number)) if name else number
            rows.append((name, number, at * 8))
            if name:
                found[name] = (at, size)
            for path, (offset, nr) in paths.items():
                found[name + path if path.startswith("[") else f"{name}.{path}".lstrip(".")] = (at + offset, nr)
            total = max(total, at + size)
            at = 0 if kind == "union" else at + size
        return self.writer.members(STRUCT if kind == "struct" else UNION, "", total, rows), total, found


@given(types)
def test_every_path_is_where_the_layout_put_it(about):
    layout = Layout()
    number, size, paths = layout.write(about)
    layout.writer.members(
        STRUCT, "top", size, [("it", layout.writer.pointer(), 0), ("", number, 0), ("its", number, 0)]
    )
    btf = Btf(layout.writer.data())
    assert btf.size("top") == size
    assert btf.size("top", "it") == 8
    assert btf.size("top", "its") == size
    for path, (at, nr_bytes) in paths.items():
        below = f"its{path}" if path.startswith("[") else f"its.{path}"
        assert (btf.offset("top", below), btf.size("top", below)) == (at, nr_bytes), below
        if not path.startswith("["):
            assert btf.offset("top", path) == at, path
    assert not btf.has("top", "its.nothing")
    assert not btf.has("nothing", "its")


ZOO = """
    struct zoo {
        char first;
        union { long wide; struct { short low; struct { int deep; char pad[3]; } in[2]; }; };
        unsigned a : 3, b : 7, c : 13;
        const struct zoo *next[5];
        enum { MINUS = -11, PLUS = 13 } what;
        __extension__ union { int u; volatile double d; } named;
    };
    enum flags { FIRST, SECOND = 17, LAST = 0x7fffffff };
    enum signs { NEGATIVE = -5, POSITIVE = 7 };
"""
FIELDS = (
    "first",
    "wide",
    "low",
    "in",
    "in[1]",
    "in[1].deep",
    "in[0].pad",
    "in[1].pad[2]",
    "next",
    "next[3]",
    "what",
    "named.u",
    "named.d",
)


@pytest.mark.skipif(not (shutil.which("gcc") and shutil.which("objcopy")), reason="no gcc, or no objcopy")
def test_gcc_writes_what_offsetof_says(tmp_path):
    lines = [f'printf("%zu %zu\\n", offsetof(struct zoo, {one}), sizeof ((struct zoo *)0)->{one});' for one in FIELDS]
    main = f'int main(void) {{ printf("%zu\\n", sizeof(struct zoo)); {"".join(lines)} return 0; }}'
    program = "#include <stddef.h>\n#include <stdio.h>\n" + ZOO
    (tmp_path / "p.c").write_text(program + "struct zoo z; enum flags f; enum signs s;\n" + main)
    made = subprocess.run(["gcc", "-gbtf", "-o", "p", "p.c"], cwd=tmp_path, capture_output=True, check=False)
    if made.returncode:
        pytest.skip(f"this gcc writes no BTF: {made.stderr.decode()[:200]}")
    # Of an object file: the linker would leave it as it is, too, but may drop the section.
    subprocess.run(["gcc", "-gbtf", "-c", "p.c"], cwd=tmp_path, check=True)
    subprocess.run(
        ["objcopy", "-O", "binary", "--only-section=.BTF", "--set-section-flags=.BTF=alloc", "p.o", "btf"],
        cwd=tmp_path,
        check=True,
    )
    said = subprocess.run(["./p"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout.splitlines()
    btf = Btf((tmp_path / "btf").read_bytes())
    assert btf.size("zoo") == int(said[0])
    for field, line in zip(FIELDS, said[1:], strict=True):
        assert f"{btf.offset('zoo', field)} {btf.size('zoo', field)}" == line, field
    assert btf.enumerators("flags") == {"FIRST": 0, "SECOND": 17, "LAST": 0x7FFFFFFF}
    assert btf.enumerators("signs") == {"NEGATIVE": -5, "POSITIVE": 7}
    widths = [btf.find("zoo", name).bits for name in "abc"]
    assert widths == [3, 7, 13]
    # Packed one after another in one word.
    assert btf.find("zoo", "b").bit - btf.find("zoo", "a").bit == 3
    assert btf.find("zoo", "c").bit - btf.find("zoo", "b").bit == 7


def test_bit_fields_have_their_widths_only_where_the_type_says_so():
    writer = BtfWriter()
    number = writer.integer("int", 4)
    writer.members(STRUCT, "with", 8, [("x", number, 37), ("y", number, 5 << 24 | 41)], flag=True)
    writer.members(STRUCT, "without", 8, [("x", number, 32)])
    btf = Btf(writer.data())
    assert btf.find("with", "x")[0::2] == (37, 0)
    assert btf.find("with", "y")[0::2] == (41, 5)
    assert btf.find("without", "x")[0::2] == (32, 0)
    assert btf.offset("with", "y") == 5


def test_of_two_types_of_one_name_the_first_counts():
    writer = BtfWriter()
    number = writer.integer("int", 4)
    writer.members(STRUCT, "twice", 4, [("x", number, 0)])
    writer.members(STRUCT, "twice", 12, [("x", number, 64)])
    assert Btf(writer.data()).size("twice") == 4


def test_enums():
    writer = BtfWriter()
    writer.enum("small", {"A": -3, "B": 2**31 - 1})
    writer.enum("wide", {"C": 2**40 + 11, "D": -7}, kind=ENUM64)
    btf = Btf(writer.data())
    assert btf.enumerators("small") == {"A": -3, "B": 2**31 - 1}
    assert btf.enumerators("wide") == {"C": 2**40 + 11, "D": -7}
    with pytest.raises(KernelImageError, match="no enum other"):
        btf.enumerators("other")


def test_what_is_not_there_is_named():
    writer = BtfWriter()
    writer.members(STRUCT, "page", 64, [("flags", writer.integer("long", 8), 0)])
    btf = Btf(writer.data())
    with pytest.raises(KernelImageError, match="struct page has no _mapcount"):
        btf.offset("page", "_mapcount")
    with pytest.raises(KernelImageError, match="no struct folio"):
        btf.size("folio")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: b"", "too early"),
        (lambda data: data[:11], "too early"),
        (lambda data: b"\x00" * 64, "no BTF of version 1"),
        (lambda data: data[:2] + b"\x02" + data[3:], "no BTF of version 1"),
        (lambda data: data[:30], "too early"),
        (lambda data: data[:24] + struct.pack("<III", 0, 27 << 24, 0) + data[36:], "kind 27"),
    ],
)
def test_what_is_no_btf_is_said(damage, said):
    writer = BtfWriter()
    writer.members(STRUCT, "s", 4, [("x", writer.integer("int", 4), 0)])
    with pytest.raises(KernelImageError, match=said):
        Btf(damage(writer.data()))


@given(st.data())
def test_of_data_that_was_cut_nothing_is_taken(data):
    writer = BtfWriter()
    writer.enum("e", {"A": 1})
    writer.members(STRUCT, "s", 8, [("x", writer.array(writer.integer("int", 4), 2), 0)])
    whole = writer.data()
    Btf(whole)
    with pytest.raises(KernelImageError, match="BTF"):
        Btf(whole[: data.draw(st.integers(0, len(whole) - 1))])
