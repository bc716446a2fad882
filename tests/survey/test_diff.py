"""Two snapshots: what is the same process, what is added up by name, and what the numbers are."""

from __future__ import annotations

import pytest

from builders import PAGE, SnapshotBuilder
from mapcount.survey.diff import Delta, diff


def snapshot(processes, boot="one", **meta):
    """Processes are (pid, start time, name, mapped pages of an order-4 folio)."""
    b = SnapshotBuilder()
    for pid, start, comm, nr in processes:
        mm = b.add_mm(pid=pid, comm=comm, start_time=start)
        b.map_pages(mm, b.add_vma(mm), b.add_folio(4), 0, nr)
    return b.build(boot_id=boot, **meta)


def test_a_process_is_known_by_pid_and_start_time():
    result = diff(
        snapshot([(7, 1, "work", 16), (8, 1, "work", 3)]),
        snapshot([(7, 1, "work", 5), (8, 2, "work", 7), (9, 3, "new", 1)]),
    )
    rows = {(row.comm, row.pid): row for row in result.processes}
    assert rows.keys() == {("work", 7), ("work", 0), ("new", 0)}
    assert rows["work", 7].values["rss_bytes"] == Delta(16 * PAGE, 5 * PAGE, -11 * PAGE)
    assert rows["work", 7].values["wasted_bytes"] == Delta(0, 11 * PAGE, 11 * PAGE)
    assert rows["work", 0].processes == Delta(1, 1, 0)
    assert rows["work", 0].values["rss_bytes"] == Delta(3 * PAGE, 7 * PAGE, 4 * PAGE)
    assert rows["new", 0].processes == Delta(0, 1, 1)
    assert [row.values["rss_bytes"].delta for row in result.processes] == [-11 * PAGE, 4 * PAGE, PAGE]


def test_across_boots_processes_are_added_up_by_name():
    result = diff(snapshot([(7, 1, "work", 16)]), snapshot([(7, 1, "work", 5), (8, 1, "work", 5)], boot="two"))
    (row,) = result.processes
    assert (row.pid, row.processes) == (0, Delta(1, 2, 1))
    assert not result.same_boot
    assert len(result.notes) == 1


@pytest.mark.parametrize(
    ("first", "second", "which"),
    [(True, False, "the first is"), (False, True, "the second is"), (True, True, "both are")],
)
def test_of_a_redacted_snapshot_the_boot_cannot_be_told(first, second, which):
    def taken(*, redacted):
        return snapshot([(7, 1, "work", 5)], boot="redacted" if redacted else "one", redacted=redacted)

    result = diff(taken(redacted=first), taken(redacted=second))
    assert not result.same_boot
    (note,) = result.notes
    assert f"cannot be told, because {which} redacted" in note
    assert "different boots" not in note


def test_sizes_of_either_snapshot_have_a_row():
    b = SnapshotBuilder()
    mm = b.add_mm()
    b.map_pages(mm, b.add_vma(mm), b.add_folio(2), 0, 3)
    result = diff(snapshot([(7, 1, "work", 13)]), b.build(boot_id="one"))
    rows = {row.order: row.values for row in result.sizes}
    assert rows[4]["folios"] == Delta(1, 0, -1)
    assert rows[2]["wasted_bytes"] == Delta(0, PAGE, PAGE)
    assert result.sizes[0].folio_bytes == 4 * PAGE


def test_what_makes_them_hard_to_compare_is_said():
    result = diff(snapshot([]), snapshot([], scope="pids", counts_are="average", partial="--max-seconds 1"))
    assert len(result.notes) == 3
    assert diff(snapshot([]), snapshot([])).notes == []
