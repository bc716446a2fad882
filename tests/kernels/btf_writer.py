"""Writes BTF, for tests: types are appended one after another, each by its number from 1 on. Documentation/bpf/btf.rst."""

from __future__ import annotations

import struct

INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF, CONST, ENUM64 = 1, 2, 3, 4, 5, 6, 7, 8, 10, 19


class BtfWriter:
    """Types so far."""

    def __init__(self) -> None:
        self.strings = b"\0"
        self.types = b""
        self.count = 0

    def text(self, name):
        """Return where a string lies."""
        if not name:
            return 0
        at = len(self.strings)
        self.strings += name.encode() + b"\0"
        return at

    def add(self, kind, name, size_or_type, tail=b"", *, vlen=0, flag=False):
        """Append a type; return its number."""
        self.types += struct.pack("<III", self.text(name), kind << 24 | vlen | flag << 31, size_or_type) + tail
        self.count += 1
        return self.count

    def integer(self, name, size):
        """Append an integer of so many bytes."""
        return self.add(INT, name, size, struct.pack("<I", size * 8))

    def array(self, element, length):
        """Append an array."""
        return self.add(ARRAY, "", 0, struct.pack("<III", element, element, length))

    def pointer(self, to=0):
        """Append a pointer."""
        return self.add(PTR, "", to)

    def members(self, kind, name, size, rows, *, flag=False):
        """Append a struct or union; rows are (name, type, offset in bits)."""
        tail = b"".join(struct.pack("<III", self.text(one), number, bit) for one, number, bit in rows)
        return self.add(kind, name, size, tail, vlen=len(rows), flag=flag)

    def enum(self, name, values, *, kind=ENUM):
        """Append an enum, or a 64-bit one."""
        if kind == ENUM:
            tail = b"".join(struct.pack("<Ii", self.text(one), value) for one, value in values.items())
        else:
            tail = b"".join(struct.pack("<Iq", self.text(one), value) for one, value in values.items())
        return self.add(kind, name, 4 if kind == ENUM else 8, tail, vlen=len(values))

    def data(self):
        """Return all of it."""
        header = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(self.types), len(self.types), len(self.strings))
        return header + self.types + self.strings
