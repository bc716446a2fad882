"""A snapshot with order-0 folios as rows: surveys and differences say of it what they say of the same one without them."""

from dataclasses import replace

from builders import SnapshotBuilder
from mapcount.mapping.schema import Kind
from mapcount.survey.diff import diff
from mapcount.survey.run import survey, survey_folios, survey_vmas


def machine(*, rows):
    """Three mms with large folios of two sizes, and 5 + 3 + 2 order-0 folios, which are rows too if `rows`."""
    b = SnapshotBuilder()
    mms = [b.add_mm() for _ in range(3)]
    vmas = [b.add_vma(mm) for mm in mms]

    def small(of, nr, kind):
        b.add_small([vmas[mm] for mm in of], nr, kind, "/a")
        if rows:
            for _ in range(nr):
                folio = b.add_folio(0, kind, "/a")
                for mm in of:
                    b.map_pages(mms[mm], vmas[mm], folio)

    def large(order, kind, *pieces):
        folio = b.add_folio(order, kind, "/b")
        for mm, first, nr in pieces:
            b.map_pages(mms[mm], vmas[mm], folio, first, nr)
        return folio

    small([0], 5, Kind.ANON)
    large(4, Kind.ANON, (0, 0, 7), (1, 3, 11))
    small([0, 1], 3, Kind.FILE)
    b.add_unseen(large(2, Kind.FILE, (2, 1, 2)), 0, 4, 1)
    small([1, 1, 2], 2, Kind.SHMEM)
    large(4, Kind.ANON, (2, 2, 13))
    b.add_stat("meminfo", "", "AnonPages", 31 * 4096)
    return b.build()


def told(snapshot):
    found = survey(snapshot)
    return {name: getattr(found, name) for name in found.__dataclass_fields__ if name != "meta"}


def test_surveys_are_alike():
    with_rows, without = machine(rows=True), machine(rows=False)
    assert len(with_rows.folios) == len(without.folios) + 10
    mine, its = told(with_rows), told(without)
    assert mine == its
    # The builder's VMAs are longer with rows: these have addresses, aggregates have none.
    vmas = [[replace(row, end=0) for row in survey_vmas(snapshot)] for snapshot in (with_rows, without)]
    assert vmas[0] == vmas[1] and len(vmas[0]) == 3
    assert [row.wasted_bytes for row in survey_folios(with_rows)] == [
        row.wasted_bytes for row in survey_folios(without)
    ]
    assert len(survey_folios(with_rows)) == 3


def test_differences_are_none():
    rows = diff(machine(rows=True), machine(rows=False))
    for row in rows.sizes:
        assert all(value.delta == 0 for value in row.values.values())
