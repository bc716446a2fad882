"""Changes of a JSON document as a JSON document: merge patches as in RFC 7396, where null takes a member away."""

from __future__ import annotations

from typing import Any, TypeAlias

Document: TypeAlias = dict[str, Any]


def difference(before: Document, after: Document) -> Document:
    """Return the patch that makes `after` of `before`. No member of either may be None."""
    patch: Document = {name: None for name in before if name not in after}
    for name, value in after.items():
        old = before.get(name)
        if not isinstance(value, dict):
            if old != value:
                patch[name] = value
            continue
        inner = difference(old if isinstance(old, dict) else {}, value)
        if inner or not isinstance(old, dict):
            patch[name] = inner
    return patch


def merged(document: Document, patch: Document) -> Document:
    """Return the patched document; what did not change is shared with `document`."""
    after = dict(document)
    for name, value in patch.items():
        if value is None:
            after.pop(name, None)
        elif isinstance(value, dict):
            old = after.get(name)
            after[name] = merged(old if isinstance(old, dict) else {}, value)
        else:
            after[name] = value
    return after
