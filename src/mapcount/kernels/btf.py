"""BTF, the kernel's own description of its types: where a field lies, how large a type is, what an enumerator is worth.

Source: Documentation/bpf/btf.rst.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from mapcount.errors import KernelImageError

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAGIC = 0xEB9F
_INT, _PTR, _ARRAY, _STRUCT, _UNION, _ENUM, _TYPEDEF, _VOLATILE, _CONST, _RESTRICT = 1, 2, 3, 4, 5, 6, 8, 9, 10, 11
_FUNC_PROTO, _VAR, _DATASEC, _DECL_TAG, _TYPE_TAG, _ENUM64 = 13, 14, 15, 17, 18, 19
_KINDS = range(1, 20)
_TAIL = {_INT: (4, 0), _ARRAY: (12, 0), _VAR: (4, 0), _DECL_TAG: (4, 0)}
_TAIL |= {_STRUCT: (0, 12), _UNION: (0, 12), _ENUM: (0, 8), _FUNC_PROTO: (0, 8), _DATASEC: (0, 12), _ENUM64: (0, 12)}
"""What follows a type: bytes, and bytes for each of its `vlen` members."""
_MODIFIERS = frozenset({_TYPEDEF, _VOLATILE, _CONST, _RESTRICT, _TYPE_TAG})
_POINTER_BYTES = 8


class _Type(NamedTuple):
    name: int
    kind: int
    by_bits: bool
    """kind_flag: offsets of members hold the widths of bit fields, too"""
    size_or_type: int
    at: int
    """where its tail begins"""
    vlen: int


class Member(NamedTuple):
    """A field that was found: where it lies in the struct, in bits, and how many it has if it is a bit field, else 0."""

    bit: int
    type_id: int
    bits: int


@dataclass(frozen=True)
class _Field:
    name: str
    type_id: int
    bit: int
    bits: int


class Btf:
    """
    The types of one kernel. Structs are asked for by their names, fields by paths through anonymous members: `a.b[2].c`.

    Raises KernelImageError for data that is no BTF of version 1.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        try:
            magic, version, _, header, types, nr_types, strings, nr_strings = struct.unpack_from("<HBBIIIII", data)
            if magic != _MAGIC or version != 1:
                raise KernelImageError(
                    f"the kernel's type information begins with {data[:4].hex()}: no BTF of version 1"
                )
            self._strings = data[header + strings :][:nr_strings]
            self._types = [_Type(0, 0, False, 0, 0, 0), *self._read(header + types, nr_types)]
            self._named = {
                (self._text(one.name), one.kind): number
                for number, one in reversed(list(enumerate(self._types)))
                if one.name and one.kind in {_STRUCT, _ENUM, _ENUM64}
            }
        except (struct.error, ValueError) as error:
            raise KernelImageError(f"the kernel's BTF ends too early: {error}") from error

    def has(self, struct_name: str, path: str) -> bool:
        """Tell whether a struct has a field."""
        return self.find(struct_name, path) is not None

    def offset(self, struct_name: str, path: str) -> int:
        """Return the byte at which a field begins. Raises KernelImageError if there is no such field."""
        return self._member(struct_name, path).bit // 8

    def size(self, struct_name: str, path: str = "") -> int:
        """Return the bytes of a struct, or of one of its fields."""
        return self._size(self._member(struct_name, path).type_id if path else self._struct(struct_name))

    @cache  # noqa: B019 - there are a few of these in a process, and they live as long as it does
    def find(self, struct_name: str, path: str) -> Member | None:
        """Return where a field lies; None if there is no such struct or field."""
        number = self._named.get((struct_name, _STRUCT))
        return None if number is None else self._find(number, path, 0)

    def enumerators(self, name: str) -> dict[str, int]:
        """Return the names and values of an enum. Raises KernelImageError if there is none."""
        number = self._named.get((name, _ENUM)) or self._named.get((name, _ENUM64))
        if number is None:
            raise KernelImageError(f"this kernel's BTF has no enum {name}")
        one = self._types[number]
        size, form = (8, "<Ii") if one.kind == _ENUM else (12, "<Iq")
        values = (struct.unpack_from(form, self._data, one.at + size * i) for i in range(one.vlen))
        return {self._text(text): value for text, value in values}

    def _read(self, at: int, nr_bytes: int) -> Iterator[_Type]:
        end = at + nr_bytes
        while at < end:
            name, info, size_or_type = struct.unpack_from("<III", self._data, at)
            kind, vlen = info >> 24 & 31, info & 0xFFFF
            if kind not in _KINDS:
                raise KernelImageError(f"the kernel's BTF has a type of kind {kind}, which is newer than this program")
            yield _Type(name, kind, bool(info >> 31), size_or_type, at + 12, vlen)
            once, each = _TAIL.get(kind, (0, 0))
            at += 12 + once + each * vlen

    def _text(self, at: int) -> str:
        return self._strings[at : self._strings.index(b"\0", at)].decode("latin-1")

    def _struct(self, name: str) -> int:
        if (name, _STRUCT) not in self._named:
            raise KernelImageError(f"this kernel's BTF has no struct {name}")
        return self._named[name, _STRUCT]

    def _member(self, struct_name: str, path: str) -> Member:
        found = self.find(struct_name, path)
        if found is None:
            raise KernelImageError(f"this kernel's struct {struct_name} has no {path}")
        return found

    def _plain(self, number: int) -> int:
        while self._types[number].kind in _MODIFIERS:
            number = self._types[number].size_or_type
        return number

    def _size(self, number: int) -> int:
        one = self._types[self._plain(number)]
        if one.kind == _PTR:
            return _POINTER_BYTES
        if one.kind == _ARRAY:
            element, _, length = struct.unpack_from("<III", self._data, one.at)
            return self._size(element) * int(length)
        return one.size_or_type

    def _fields(self, number: int) -> Iterator[_Field]:
        one = self._types[self._plain(number)]
        if one.kind not in {_STRUCT, _UNION}:
            return
        for i in range(one.vlen):
            name, type_id, offset = struct.unpack_from("<III", self._data, one.at + 12 * i)
            bit, bits = (offset & 0xFFFFFF, offset >> 24) if one.by_bits else (offset, 0)
            yield _Field(self._text(name), type_id, bit, bits)

    def _find(self, number: int, path: str, base: int) -> Member | None:
        first, _, rest = path.partition(".")
        name, _, index = first.partition("[")
        for one in self._fields(number):
            bit, type_id, found = base + one.bit, one.type_id, None
            if one.name == name:
                if index:
                    element = struct.unpack_from("<III", self._data, self._types[self._plain(type_id)].at)[0]
                    bit, type_id = bit + 8 * int(index[:-1]) * self._size(element), element
                found = self._find(type_id, rest, bit) if rest else Member(bit, type_id, one.bits)
            elif not one.name:
                found = self._find(type_id, path, bit)
            if found:
                return found
        return None
