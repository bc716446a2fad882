"""`mapcount capture --guest`: which options go together, and what is asked of a guest; a machine of pages is in its place."""

from __future__ import annotations

import dataclasses
import re
from types import SimpleNamespace

import pytest

from cli.conftest import small_machine
from mapcount.mapping.snapshot import Snapshot
from scenarios.page_machine import PageMachine

TEXT = "p: mmap a 16k\np: touch a[0:3]\np: fork c\np: exit\nc: exit\n"


@pytest.fixture
def guests(monkeypatch):
    """Replace guests; what was asked of them is noted in the list that this returns."""
    asked = []

    class Guest(PageMachine):
        def __init__(self, image):
            super().__init__()
            asked.append(image.release)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            asked.append("closed")

        def snapshot(self, note, *, command_line, keep_pfns):
            asked.append(
                (sorted({row.process for row in self.observe(0).mappings}) if hasattr(self, "mms") else [], keep_pfns)
            )
            snapshot = small_machine()
            meta = dataclasses.replace(snapshot.meta, notes=[note], command_line=command_line)
            return dataclasses.replace(snapshot, meta=meta)

    monkeypatch.setattr("mapcount.kernels.guest_backend.GuestBackend", Guest)
    monkeypatch.setattr("mapcount.kernels.images.find_image", lambda name: SimpleNamespace(release=f"{name}.99"))
    return asked


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--scenario", "prefork-2M"], "name its kernel with --guest"),
        (["--steps", "3"], "name its kernel with --guest"),
        (["--guest", "6.12", "--steps", "3"], "name one with --scenario"),
        (["--guest", "6.12", "--pid", "1"], "--pid is for processes of this machine"),
        (["--guest", "6.12", "--freeze"], "--freeze is for processes of this machine"),
        (["--guest", "6.12", "--max-cpu", "1"], "--max-cpu is for processes of this machine"),
        (["--guest", "6.12", "--check-all"], "--check-all is for processes of this machine"),
    ],
)
def test_options_that_do_not_go_together(mapcount, guests, options, message):
    ran = mapcount("capture", *options)
    assert ran.returncode == 2 and message in ran.stderr
    assert guests == []


def test_after_a_scenario(mapcount, guests, tmp_path):
    (tmp_path / "mine.scenario").write_text(TEXT)
    ran = mapcount("capture", "--guest", "6.12", "--scenario", "mine.scenario", "-o", "a.mapsnap")
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.splitlines()[0] == "Booting 6.12.99"
    assert guests == ["6.12.99", (["c"], False), "closed"]
    [note] = Snapshot.load(tmp_path / "a.mapsnap").meta.notes
    assert note.endswith("after step 4 of 5 of mine, `p: exit`.")


def test_after_some_steps_and_redacted(mapcount, guests, tmp_path):
    (tmp_path / "mine.scenario").write_text(TEXT)
    steps = ("--scenario", "mine.scenario", "--steps", "3")
    assert mapcount("capture", "--guest", "6.12", *steps, "--redact", "--keep-pfns", "-o", "a.mapsnap").returncode == 0
    assert guests[1] == (["c", "p"], True)
    snapshot = Snapshot.load(tmp_path / "a.mapsnap")
    assert snapshot.meta.redacted and "parent" not in snapshot.mms.comm


def test_after_its_boot_and_the_default_name(mapcount, guests, tmp_path):
    assert mapcount("capture", "--guest", "boot/bzImage").returncode == 0
    [path] = tmp_path.iterdir()
    assert re.fullmatch(r"mapcount-guest-bzImage-\d{8}T\d{6}Z\.mapsnap", path.name)
    assert "after it booted" in Snapshot.load(path).meta.notes[0]
