#!/usr/bin/env python3
"""Write what pages list from the code: tables of mapping/schema.py, designs, histories."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from mapcount.mapping.schema import SNAPSHOT_TABLES, Table
from mapcount.replay.histories import HISTORIES
from mapcount.scenarios.expectations import QUANTITIES
from mapcount.scenarios.values import Form
from mapcount.schemes.catalogue import SCHEMES

PAGE = Path(__file__).with_name("snapshot.md")
SCHEMES_PAGE = Path(__file__).with_name("schemes.md")
SCENARIOS_PAGE = Path(__file__).with_name("scenarios.md")
COMPARE_PAGE = Path(__file__).with_name("compare.md")
BEGIN = "<!-- Made by docs/generate_tables.py: do not edit by hand. -->\n"
END = "<!-- End of what is made. -->\n"


def tables_text() -> str:
    """Return one section per table: its name, what a row is, and its columns."""
    return "\n".join(_section(name, table) for name, table in SNAPSHOT_TABLES.items())


def schemes_text() -> str:
    """Return the table of all designs and variants, in the order of history."""
    rows = ["| scheme | is | in Linux | held against |", "|---|---|---|---|"]
    for scheme in SCHEMES:
        rows.append(f"| `{scheme.id}` | {scheme.title} | {scheme.when} | {scheme.referee} |")
        rows += [f"| `{scheme.id}:{name}` | {variant.says} | | |" for name, variant in scheme.variants.items()]
    return "\n".join([*rows, ""])


def histories_text() -> str:
    """Return the table of all pasts that are assumed of a snapshot."""
    rows = ["| past | assumes |", "|---|---|"]
    return "\n".join([*rows, *(f"| `{name}` | {history.says} |" for name, history in HISTORIES.items()), ""])


def expectations_text() -> str:
    """Return the table of all that can be expected of a page."""
    others = [
        ("result", Form.NUMBER, "what the step returned"),
        ("mapped", Form.YES_NO, "anything maps this page"),
    ]
    named = [(name, quantity.form, quantity.says) for name, quantity in QUANTITIES.items()]
    rows = ["| what | is | its value |", "|---|---|---|"]
    rows += [f"| `{name}` | {says} | {form.value} |" for name, form, says in [*others, *named]]
    word = "`_mapcount`, `_mm_id`, `PG_partially_mapped`, ..."
    return "\n".join([*rows, f"| {word} | the word of that name | {Form.STORED.value} |", ""])


def put_between(page: str, text: str) -> str:
    """Return the page with `text` in place of what is between the markers. ValueError if one of them is missing."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page lacks a marker: {BEGIN if not begin else END}")
    return f"{before}{begin}\n{text}\n{end}{after}"


def _section(name: str, table: type[Table]) -> str:
    about = " ".join((table.__doc__ or "").split())
    rows = [f"| `{field.name}` | {_type(field.metadata)} | {_meaning(field.metadata)} |" for field in fields(table)]  # type: ignore[arg-type]
    return "\n".join([f"### {name}", "", about, "", "| column | type | meaning |", "|---|---|---|", *rows, ""])


def _type(about: Any) -> str:
    if about["words"] or about["cgroup"] or about["dtype"].kind == "O":
        return "text"
    return str(about["dtype"])


def _meaning(about: Any) -> str:
    words = ", ".join(f"`{word.name.lower()}`" for word in about["words"] or ())
    return about["doc"] + (f": {words}" if words else "")


if __name__ == "__main__":
    made = {
        PAGE: tables_text(),
        SCHEMES_PAGE: schemes_text(),
        COMPARE_PAGE: histories_text(),
        SCENARIOS_PAGE: expectations_text(),
    }
    for path, text in made.items():
        path.write_text(put_between(path.read_text(), text))
