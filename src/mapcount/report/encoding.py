"""Records as JSON bytes. Names that are not UTF-8 come out as text with backslash escapes, as in a .mapsnap."""

from __future__ import annotations

from typing import Any

import msgspec


def encode(value: Any) -> bytes:
    """Return a record, or lists and dictionaries of records, as compact JSON."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(utf8(msgspec.to_builtins(value)))


def indented(value: Any) -> bytes:
    """Return the same, indented and with a final newline."""
    return msgspec.json.format(encode(value), indent=2) + b"\n"


def utf8(value: Any) -> Any:
    """Return a JSON value, or a text, without the lone surrogates that stand for bytes which are not UTF-8."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, list):
        return [utf8(item) for item in value]
    if isinstance(value, dict):
        return {utf8(key): utf8(item) for key, item in value.items()}
    return value
