"""What may be asked of a reader, and what is asked at rest, as Markdown: from check/properties.py."""

from __future__ import annotations

from mapcount.check.properties import READER_PROPERTIES, REST_PROPERTIES


def properties_text() -> str:
    """Return two tables: properties of what a reader returns, and of the words themselves."""
    rows = ["| asked of a reader | means | who relies on it |", "|---|---|---|"]
    rows += [f"| `{one.id}` | {one.meaning} | {one.relies} |" for one in READER_PROPERTIES.values()]
    rows += ["", "| asked of the words | means | who relies on it |", "|---|---|---|"]
    rows += [f"| `{one.id}` | {one.meaning} | {one.relies} |" for one in REST_PROPERTIES.values()]
    return "\n".join([*rows, ""])
