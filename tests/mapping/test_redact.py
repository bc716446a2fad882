"""Redaction: no name survives in what is saved, equal names stay equal, and counts stay what they were."""

from __future__ import annotations

import dataclasses
import re
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from snapshot_strategies import metadata, names, simple_snapshot, snapshots, texts_as_objects

from mapcount.mapping.redact import redact
from mapcount.mapping.schema import SNAPSHOT_TABLES, ObservedStats
from mapcount.mapping.snapshot import Metadata, Snapshot

pytestmark = pytest.mark.usefixtures("no_waiting_for_disk")
quick = settings(suppress_health_check=[HealthCheck.too_slow])

slashed = st.lists(names, min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))
paths = st.one_of(
    st.sampled_from(["", "[heap]", "[stack]", "/dev/zero (deleted)"]),
    slashed,
    slashed.map("{} (deleted)".format),
    names.map("[anon:{}]".format),
    names.map("/memfd:{} (deleted)".format),
    names.map("/dev/shm/{}".format),
    names,
)
cgroups = st.one_of(slashed, st.just("/"), st.integers(10**6, 10**9).map("removed:{}".format))


@st.composite
def named_snapshots(draw) -> Snapshot:
    """Snapshots whose names are written in letters that nothing else uses, and whose sentences hold such names."""
    meta = metadata(names, sentence=st.just("3 pages moved."))
    snapshot = draw(snapshots(name=names, path=paths, cgroup=cgroups, meta=meta))
    known = [snapshot.meta.host, *snapshot.mms.comm, *snapshot.vmas.path, *snapshot.cgroups]
    sentences = st.sampled_from(known).map("Process 7 ({}) ended.".format)
    meta = dataclasses.replace(
        snapshot.meta,
        notes=[*snapshot.meta.notes, *draw(st.lists(sentences, max_size=3))],
        partial=draw(sentences),
        unreadable=[row | {"error": draw(sentences)} for row in snapshot.meta.unreadable],
    )
    return dataclasses.replace(snapshot, meta=meta)


named = named_snapshots()


def secrets_of(snapshot: Snapshot) -> set[str]:
    """Return all words of more than three characters in which a name is written: found by their letters."""
    meta = snapshot.meta
    texts = [*snapshot.mms.comm, *snapshot.mms.task_cgroup, *snapshot.vmas.path, *snapshot.cgroups]
    texts += [*snapshot.observed_stats.subject, meta.host, meta.boot_id, meta.command_line, meta.scope_detail]
    texts += [meta.partial, *meta.notes, *(row["comm"] for row in meta.unreadable), str(meta.unreadable)]
    return {word for text in texts for word in re.findall(r"[^\x00-\x7f]{4,}|(?<=removed:)\d+", text)}


@quick
@given(named)
def test_no_name_survives_in_what_is_saved(snapshot):
    with tempfile.TemporaryDirectory() as directory:
        redact(snapshot).save(f"{directory}/r")
        saved = Path(directory, "r", "meta.json").read_text()
        for table in SNAPSHOT_TABLES:
            frame = pl.read_parquet(f"{directory}/r/{table}.parquet")
            columns = frame.select(pl.col(pl.String), pl.col(pl.Enum).cast(pl.String)) if frame.width else frame
            saved += "".join(f"\n{text}" for series in columns for text in series)
            # Parquet's own strings (statistics, dictionaries) are compressed or not; those that are not can be seen.
            saved += Path(directory, "r", f"{table}.parquet").read_bytes().decode("utf-8", "ignore")
    assert {name for name in secrets_of(snapshot) if name in saved} == set()


@quick
@given(named)
def test_equal_names_stay_equal_and_others_differ(snapshot):
    hidden = redact(snapshot)
    assert hidden.meta.redacted

    def is_bijective(old, new):
        assert len(set(old)) == len(set(new)) == len(set(zip(old, new, strict=True)))

    is_bijective(
        [*snapshot.mms.comm, *(row["comm"] for row in snapshot.meta.unreadable)],
        [*hidden.mms.comm, *(row["comm"] for row in hidden.meta.unreadable)],
    )
    is_bijective(snapshot.vmas.path, hidden.vmas.path)
    is_bijective(snapshot.vmas.dev, hidden.vmas.dev)
    is_bijective(
        *([(d, i) if i else 0 for d, i in zip(s.vmas.dev, s.vmas.inode, strict=True)] for s in (snapshot, hidden))
    )

    def cgroups_of(s):
        charged = [s.cgroups[code] for table in (s.folios, s.small) for code in table.charge_cgroup]
        return [*s.mms.task_cgroup, *charged]

    is_bijective(cgroups_of(snapshot), cgroups_of(hidden))
    assert hidden.cgroups[0] == ""
    assert len(hidden.cgroups) == len(snapshot.cgroups)


@quick
@given(named)
def test_all_else_is_as_it_was(snapshot):
    hidden = redact(snapshot)
    secret = {"comm", "task_cgroup", "path", "dev", "inode", "charge_cgroup"}
    for name, kind in SNAPSHOT_TABLES.items():
        for field in dataclasses.fields(kind):
            before, after = (getattr(getattr(s, name), field.name) for s in (snapshot, hidden))
            if before is None:
                assert after is None
            elif name == "observed_stats":
                if field.name != "subject":
                    assert sorted(before) == sorted(after)
            elif field.name not in secret:
                assert list(before) == list(after)
            assert after is None or after.dtype == field.metadata["dtype"]
    with tempfile.TemporaryDirectory() as directory:
        hidden.save(f"{directory}/r")
        assert Snapshot.load(f"{directory}/r").meta == hidden.meta


def with_rows(paths=(), comms=(), **more) -> Snapshot:
    base = simple_snapshot()
    rows = np.zeros(max(len(paths), len(comms), 1), np.intp)
    ids = np.arange(len(rows), dtype=np.uint32)
    mms, vmas = base.mms.take(rows), base.vmas.take(rows)
    return dataclasses.replace(
        base,
        mms=dataclasses.replace(mms, mm_id=ids, comm=texts_as_objects(list(comms) or ["c"] * len(rows))),
        vmas=dataclasses.replace(vmas, vma_id=ids, path=texts_as_objects(list(paths) or [""] * len(rows))),
        **more,
    )


def test_kinds_of_paths_can_still_be_told():
    kept = ["", "[heap]", "[stack]", "[vdso]", "[vvar]", "/dev/zero (deleted)", "/anon_hugepage (deleted)"]
    assert redact(with_rows(kept)).vmas.path.tolist() == kept
    shown = {
        "/usr/lib/libsecret.so": r"path-N",
        "/home/ann/a b (deleted)": r"path-N (deleted)",
        "[anon:secret]": r"[anon:path-N]",
        "[anon_shmem:a]b]": r"[anon_shmem:path-N]",
        "/memfd:secret (deleted)": r"/memfd:path-N (deleted)",
        "/SYSV0000dead (deleted)": r"/SYSVpath-N (deleted)",
        "/dev/shm/secret": r"/dev/shm/path-N",
        "[heap]/x": "path-N",
        "relative": "path-N",
    }
    hidden = redact(with_rows(list(shown))).vmas.path
    assert [re.sub(r"\d+", "N", path) for path in hidden] == list(shown.values())


def test_a_deleted_file_has_the_number_of_the_file():
    first, second = redact(with_rows(["/a/b", "/a/b (deleted)"])).vmas.path
    assert second == f"{first} (deleted)"


def test_numbers_do_not_follow_the_alphabet():
    comms = [f"name{n:02}" for n in range(31)]
    orders = {tuple(redact(with_rows(comms=comms)).mms.comm) for _ in range(3)}
    assert len(orders) == 3
    assert all(set(order) == {f"comm-{n}" for n in range(1, 32)} for order in orders)


def test_lists_do_not_follow_the_alphabet():
    """Cgroups are walked and read in order of their names: neither codes nor rows may keep that order."""
    names = [f"/{n:02}" for n in range(31)]
    rows = [("meminfo", "", "MemTotal"), *(("memcg", name, key) for name in names for key in ("anon", "file"))]
    rows += [("mthp", "64kB", "nr_anon"), ("memcg", "/", "anon"), ("smaps_rollup", "mm 0", "Rss")]
    texts = [texts_as_objects(list(column)) for column in zip(*rows, strict=True)]
    values = np.arange(len(rows), dtype=np.int64)
    stats = ObservedStats(*texts, texts_as_objects(["bytes"] * len(rows)), values, values)
    base = with_rows(cgroups=("", *names), observed_stats=stats)
    hidden = redact(dataclasses.replace(base, mms=dataclasses.replace(base.mms, task_cgroup=texts_as_objects(["/07"]))))

    assert hidden.cgroups == ("", *(f"cgroup-{n}" for n in range(1, 32)))
    subjects = dict.fromkeys(hidden.observed_stats.subject)
    assert list(subjects) == ["", "/", *(f"cgroup-{n}" for n in range(1, 32)), "64kB", "mm 0"]
    # The rows of one cgroup stay together, in order.
    for subject in subjects:
        mine = hidden.observed_stats.subject == subject
        assert np.all(np.diff(hidden.observed_stats.before[mine]) > 0)


def test_cgroups_agree_everywhere():
    stats = ObservedStats(
        *map(texts_as_objects, (["memcg"], ["/a"], ["anon"], ["bytes"])), *[np.zeros(1, np.int64)] * 2
    )
    base = dataclasses.replace(simple_snapshot(), observed_stats=stats)
    hidden = redact(dataclasses.replace(base, cgroups=("", "/a", "/", "removed:77", "inode:78")))
    assert (
        hidden.cgroups[hidden.folios.charge_cgroup[0]] == hidden.mms.task_cgroup[0] == hidden.observed_stats.subject[0]
    )
    assert "/" in hidden.cgroups
    assert re.sub(r"\d+", "N", " ".join(sorted(hidden.cgroups))) == " / cgroup-N inode:cgroup-N removed:cgroup-N"


def test_metadata():
    meta = Metadata(
        host="db7",
        boot_id="4d1f",
        command_line="mapcount capture --cgroup /prod",
        scope="cgroup",
        scope_detail="/prod",
        partial="--max-seconds 5 was reached.",
        counts_probe="kpagecount of an own folio of 64 KiB, 3 of its 16 pages unmapped.",
        kernel_release="6.18.0",
        unreadable=[{"pid": 7, "comm": "c", "error": "Permission denied: /proc/7/maps", "cwd": "/home/ann"}],
        notes=[
            "5 processes were stopped.",
            "Process work was left alone.",
            "See /home/ann/x.",
            "c stopped.",
            "On db7.",
        ],
    )
    hidden = redact(dataclasses.replace(with_rows(comms=["work", "c"]), meta=meta))
    assert hidden.meta == dataclasses.replace(
        meta,
        redacted=True,
        host="redacted",
        boot_id="redacted",
        command_line="redacted",
        scope_detail="redacted",
        unreadable=[{"pid": 7, "comm": hidden.mms.comm[1], "error": "Permission denied: /proc/7/maps"}],
        notes=["5 processes were stopped.", "4 of the notes could hold names and were left out."],
    )


def test_empty_texts_stay_empty():
    meta = redact(dataclasses.replace(simple_snapshot(), meta=Metadata())).meta
    assert meta == Metadata(redacted=True)
