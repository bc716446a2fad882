"""Data inside of a page: JSON that cannot end its script element, compressed where there is much, and CSP hashes."""

from __future__ import annotations

import base64
import hashlib
import zlib
from typing import Any

from mapcount.errors import MapcountError
from mapcount.report.encoding import encode
from mapcount.report.text import printable

_ESCAPED = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})
_ENDS_SCRIPT = ("</script", "<!--", "<script")


def script_json(value: Any) -> str:
    """
    Return a value as JSON for the inside of a script element of type application/json.

    Text is made printable first (report/text.py: a name may hold what turns the reading direction), and no character
    that HTML gives a meaning to is left.
    """
    return encode(visible(value)).decode().translate(_ESCAPED)


def packed(value: Any) -> str:
    """Return a value as JSON, compressed by zlib, in base64: a browser's DecompressionStream("deflate") reads it."""
    return base64.b64encode(zlib.compress(encode(visible(value)), 9)).decode()


def visible(value: Any) -> Any:
    """Return plain data with each text of it made printable."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {visible(key): visible(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [item if type(item) is int else visible(item) for item in value]
    return value


def csp_hash(text: str) -> str:
    """Return the source expression by which a Content-Security-Policy allows this script or style and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def check_script(name: str, text: str) -> str:
    """Return the text of a script of ours if a browser would read it to its end; raise MapcountError if not."""
    lower = text.lower()
    if found := next((word for word in _ENDS_SCRIPT if word in lower), None):
        raise MapcountError(f"{name} holds {found!r}, which would end the script inside of a page")
    if "\r" in text:
        raise MapcountError(f"{name} holds a carriage return, which a browser drops before it takes the hash")
    return text
