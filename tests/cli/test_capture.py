"""`mapcount capture`: what is written and said; the capture itself is replaced and tested elsewhere."""

from __future__ import annotations

import dataclasses
import io
import re
import sys
import tarfile

import pytest

from cli.conftest import small_machine
from mapcount.cli.capture import default_name
from mapcount.cli.progress import ProgressLine
from mapcount.cli.stream import read_tar, write_tar
from mapcount.errors import BadSnapshotError
from mapcount.mapping.snapshot import Snapshot


@pytest.fixture
def asked(monkeypatch):
    """Replace the capture; what it was asked for is noted in the list that this returns, what it answers is settable."""
    calls = []

    def capture(**options):
        calls.append(options)
        return calls_answer["snapshot"]

    calls_answer = {"snapshot": small_machine()}
    monkeypatch.setattr("mapcount.capture.session.capture", capture)
    monkeypatch.setattr(sys, "platform", "linux")
    return calls, calls_answer


def with_meta(**fields):
    snapshot = small_machine()
    return dataclasses.replace(snapshot, meta=dataclasses.replace(snapshot.meta, **fields))


def test_it_says_what_it_wrote_and_what_to_do_next(mapcount, asked, tmp_path):
    ran = mapcount("capture", "-o", "my shot.mapsnap")

    assert (ran.returncode, ran.stdout) == (0, "")
    wrote, following = ran.stderr.splitlines()
    assert re.fullmatch(r"Wrote my shot\.mapsnap \(13 folios, 14 runs, [\d.]+ KiB\)", wrote)
    assert following == "Next: mapcount report 'my shot.mapsnap'"
    assert len(Snapshot.load(tmp_path / "my shot.mapsnap").folios) == 13


def test_quiet_says_nothing(mapcount, asked):
    assert mapcount("capture", "-q", "-o", "a.mapsnap").stderr == ""


def test_the_default_name_tells_host_and_time(mapcount, asked, tmp_path):
    assert re.fullmatch(r"mapcount-[\w.-]+-\d{8}T\d{6}Z\.mapsnap", default_name())

    mapcount("capture")

    assert [re.sub(r"\d", "9", path.name)[-24:] for path in tmp_path.iterdir()] == ["99999999T999999Z.mapsnap"]


def test_options_reach_the_capture(mapcount, asked):
    mapcount(
        "capture",
        "-p",
        7,
        "--pid",
        11,
        "--keep-pfns",
        "--keep-small",
        "--redact",
        "--max-seconds",
        "2.5",
        "--max-cpu",
        3,
        "-o",
        "a",
    )

    assert asked[0] == [
        {
            "pids": [7, 11],
            "cgroup": None,
            "check_all": False,
            "keep_pfns": True,
            "keep_small": True,
            "redact": True,
            "max_seconds": 2.5,
            "max_cpu_s": 3.0,
            "freeze": False,
            "progress": None,
        }
    ]


def test_an_existing_output_is_refused_before_the_capture(mapcount, asked, snapshot):
    ran = mapcount("capture", "-o", snapshot)

    assert ran.returncode == 2 and "already exists" in ran.stderr
    assert asked[0] == []
    assert mapcount("capture", "-o", snapshot, "--force").returncode == 0


def test_freeze_warns_what_others_notice(mapcount, asked):
    ran = mapcount("capture", "-q", "--freeze", "-p", 7, "-o", "a.mapsnap")

    assert ran.returncode == 0
    for word in ("SIGCHLD", "EINTR", "cgroup.freeze"):
        assert word in ran.stderr
    assert asked[0][0]["freeze"] is True


def test_partial_snapshots_are_kept_and_strict_says_5(mapcount, asked, tmp_path):
    asked[1]["snapshot"] = with_meta(partial="interrupted")

    assert mapcount("capture", "-o", "a.mapsnap").returncode == 0
    strict = mapcount("capture", "--strict", "-o", "b.mapsnap")

    assert strict.returncode == 5
    assert "partial: interrupted" in strict.stderr
    assert Snapshot.load(tmp_path / "b.mapsnap").meta.partial == "interrupted"
    asked[1]["snapshot"] = small_machine()
    assert mapcount("capture", "--strict", "-o", "c.mapsnap").returncode == 0


def test_without_folios_it_says_so(mapcount, asked):
    asked[1]["snapshot"] = with_meta(tier="no-pfn")

    assert "mapcount: the snapshot holds no folios: " in mapcount("capture", "-o", "a.mapsnap").stderr


def test_other_systems_are_told(mapcount, asked, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")

    ran = mapcount("capture", "-o", "a.mapsnap")

    assert ran.returncode == 3 and "Linux" in ran.stderr


def test_a_stream_holds_the_same_snapshot_and_no_owner():
    stream = io.BytesIO()
    size = write_tar(small_machine(), stream, "a.mapsnap")

    stream.seek(0)
    with tarfile.open(fileobj=stream) as tar:
        members = tar.getmembers()
    assert {member.name.partition("/")[0] for member in members} == {"a.mapsnap"}
    assert {(member.mode, member.uid, member.mtime) for member in members if member.isreg()} == {(0o600, 0, 0)}
    assert sum(member.size for member in members) == size
    stream.seek(0)
    again = read_tar(stream)
    assert again.meta == small_machine().meta
    assert again.runs.address.tolist() == small_machine().runs.address.tolist()


def test_a_stream_can_write_nowhere_else(tmp_path):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, kind in (
            (f"{tmp_path}/evil", tarfile.REGTYPE),
            ("../evil", tarfile.REGTYPE),
            ("link", tarfile.SYMTYPE),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, str(tmp_path)
            tar.addfile(member)
    stream.seek(0)

    with pytest.raises((BadSnapshotError, FileExistsError)):
        read_tar(stream)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("junk", [b"", b"x" * 7_919])
def test_what_is_no_stream_is_refused(junk):
    with pytest.raises(BadSnapshotError):
        read_tar(io.BytesIO(junk))


def test_progress_is_one_line_that_goes_away_and_obeys_no_name():
    @dataclasses.dataclass(frozen=True)
    class Progress:
        done: int
        total: int = 41
        pid: int = 7
        comm: str = "evil\x1b[2J\n"
        pages: int = 1_234_567

    times = iter([0.0, 0.05, 0.2])
    stream = io.StringIO()
    line = ProgressLine(stream, lambda: next(times))
    for done in (1, 2, 3):
        line(Progress(done))
    line.close()

    assert stream.getvalue() == "".join(
        f"\r\x1b[K{text}"
        for text in ("Reading 1/41: 7 evil?[2J?, 1,234,567 pages", "Reading 3/41: 7 evil?[2J?, 1,234,567 pages", "")
    )
