"""A difference: what is there now and by how much it changed; nothing where nothing changed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from builders import SnapshotBuilder
from mapcount.report import difference, terminal
from mapcount.report.table import View
from mapcount.survey.diff import diff


def machine(folios, comm="work"):
    builder = SnapshotBuilder()
    vma = builder.add_vma(builder.add_mm(comm=comm))
    for _ in range(folios):
        builder.map_pages(0, vma, builder.add_folio(4), 0, 13)
    return builder.build(boot_id="a", host="prime", kernel_release="6.18")


def shown(before, after):
    parts = difference.section(diff(before, after), before.meta, after.meta, View())
    return terminal.render(parts, width=80, colour=False)


def test_no_difference():
    assert "No difference." in shown(machine(7), machine(7))
    assert not difference.differs(diff(machine(7), machine(7)))


def test_counts_bytes_and_processes():
    before, after = machine(7), machine(18)
    text = shown(before, after)

    assert difference.differs(diff(before, after))
    # 11 folios of 64 KiB more, of each of which 3 pages are mapped by nobody.
    row = next(line for line in text.splitlines() if line.startswith("anon 64K"))
    assert " ".join(row.split()) == "anon 64K 18 +11 18 +11 1.1 MiB +704 KiB 216 KiB +132 KiB"
    row = next(line for line in text.splitlines() if "work" in line)
    assert " ".join(row.split()) == "100 work 936 KiB +572 KiB 936 KiB +572 KiB 216 KiB +132 KiB"
    assert max(map(len, text.splitlines())) <= 80


def test_a_process_that_went_is_a_difference():
    found = diff(machine(0), SnapshotBuilder().build(boot_id="a"))

    assert difference.differs(found)


@pytest.mark.parametrize(
    ("seconds", "words"), [(613, "10 min 13 s later"), (-7, "7.0 s earlier"), (183_600, "2 d 3 h later")]
)
def test_the_time_between_them(seconds, words):
    before, after = machine(7), machine(7)
    after = replace(after, meta=replace(after.meta, started_at=before.meta.started_at + seconds))

    assert shown(before, after).startswith(f"prime at 6.18, then prime at 6.18, {words}.")


def test_json_holds_the_records_and_both_metadata():
    before, after = machine(7), machine(18)
    document = json.loads(difference.document(diff(before, after), before.meta, after.meta))

    assert document["before"]["host"] == "prime"
    assert document["sizes"][-1]["values"]["folios"] == {"before": 7, "after": 18, "delta": 11}
