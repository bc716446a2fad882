"""The pages about a report and a capture against the code: every self-check, every race, every verdict is described."""

from __future__ import annotations

import re

from builders import PAGE, SnapshotBuilder
from docs.pages import ROOT, plain, sections, table
from mapcount.mapping.schema import Consistency, Kind, Level
from mapcount.report import provenance
from mapcount.survey.run import survey

CAPTURE = sections(ROOT / "docs" / "reference" / "capture.md")


def checks_of_everything():
    """Return the names of the checks of a machine of which every number is there."""
    b = SnapshotBuilder()
    mm = b.add_mm(comm="some (program)")
    vma = b.add_vma(mm)
    b.map_pages(mm, vma, b.add_folio(4, cgroup="/a"), 0, 13)
    for kind in (Kind.ANON, Kind.SHMEM, Kind.FILE):
        b.map_pages(mm, vma, b.add_folio(9, kind), level=Level.PMD)
    for name in ("nr_anon", "nr_anon_partially_mapped"):
        b.add_stat("mthp", "64kB", name, 1, unit="folios")
    for name in ("AnonHugePages", "ShmemPmdMapped", "FilePmdMapped", "Shmem", "AnonPages"):
        b.add_stat("meminfo", "", name, 512 * PAGE)
    for name in ("Active(anon)", "Inactive(anon)"):
        b.add_stat("meminfo", "", name, 512 * PAGE)
    for name in ("active_anon", "inactive_anon", "shmem", "anon"):
        b.add_stat("memcg", "/a", name, 13 * PAGE)
    for name in ("Rss", "Pss"):
        b.add_stat("smaps_rollup", "mm 0", name, 13 * PAGE)
    return [check.name for check in survey(b.build()).checks]


def test_every_self_check_has_one_row_and_every_row_a_check():
    told = [
        plain(row[0]) for row in table(sections(ROOT / "docs" / "reference" / "reading-a-report.md")["Self-checks"])
    ]
    patterns = [re.compile(re.sub("SIZE|CGROUP|PID|NAME", ".+", re.escape(name))) for name in told]
    names = checks_of_everything()
    for name in names:
        assert len([pattern for pattern in patterns if pattern.fullmatch(name)]) == 1, name
    for pattern in patterns:
        assert any(pattern.fullmatch(name) for name in names), pattern


def test_every_verdict():
    assert [plain(row[0]) for row in table(CAPTURE["Verdicts"])] == [word.name.lower() for word in Consistency]


def test_every_race():
    """The names are written where they are counted: there is no list of them in the code."""
    sources = "".join((ROOT / "src/mapcount/capture" / name).read_text() for name in ("gather.py", "session.py"))
    counted = set(re.findall(r'_add\(gathered, "(\w+)"', sources)) | set(re.findall(r'"(pages_\w+)"', sources))
    assert {plain(row[0]) for row in table(CAPTURE["Races and second reads"])} == counted
    assert provenance._RACES.keys() == counted
