"""`mapcount report` of this machine: with sudo, without, off Linux; the capture and sudo are replaced."""

from __future__ import annotations

import dataclasses
import json
import os
import sys

import pytest

from cli.conftest import small_machine
from mapcount.cli import live
from report.json_schema import faults
from report.test_public import no_pfn

SUDO = """#!{python}
import os, sys
words = sys.argv[1:]
with open({log!r}, "w") as log:
    print(*words, file=log)
if {code}:
    sys.exit({code})
from cli.conftest import small_machine
from mapcount.cli.stream import write_tar
write_tar(small_machine(), sys.stdout.buffer, "a.mapsnap")
"""


@pytest.fixture
def user(monkeypatch, tmp_path):
    """Be an ordinary user on Linux, without an example; return a function that installs a sudo which ends with a code."""
    monkeypatch.setattr("mapcount.capture.session.capture", lambda **options: no_pfn())
    monkeypatch.setattr("mapcount.cli.live.load_example", lambda: None)
    monkeypatch.setattr(os, "geteuid", lambda: 65_534)
    empty = tmp_path / "bin"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))

    def sudo(code=0):
        log = tmp_path / "log"
        script = empty / "sudo"
        script.write_text(SUDO.format(python=sys.executable, code=code, log=str(log)))
        script.chmod(0o700)
        return log

    return sudo


def test_sudo_runs_the_capture_alone_isolated_and_without_bytecode(mapcount, user, monkeypatch):
    log = user()
    monkeypatch.setattr("mapcount.capture.session.capture", lambda **options: pytest.fail("captured without sudo"))

    ran = mapcount("report", "--sudo", "-p", 7, "--cgroup", "/a b")

    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith("2.7 MiB in 12 large anon folios;")
    command = f"{sys.executable} -B -I -m mapcount capture -o - --pid 7 --cgroup /a b"
    assert log.read_text() == f"-n -- {command}\n"


@pytest.mark.parametrize("code", [None, 1])
def test_without_sudo_one_line_and_what_may_be_seen(mapcount, user, code):
    if code:
        user(code)

    ran = mapcount("report", "--sudo", "-q")

    assert ran.returncode == 0
    assert ran.stderr.count("\n") == 1
    assert "so folios cannot be seen: " in ran.stderr
    assert "sudo cannot be run" in ran.stderr if code is None else "exit code 1" in ran.stderr
    assert "This machine, as far as it may be seen without privilege" in ran.stdout


def test_what_the_child_refused_is_not_tried_again(mapcount, user, monkeypatch):
    user(code=2)
    monkeypatch.setattr("mapcount.capture.session.capture", lambda **options: pytest.fail("tried again"))

    assert mapcount("report", "--sudo").returncode == 2


def test_ctrl_c_in_the_child_ends_the_command(mapcount, user):
    user(code=130)

    assert mapcount("report", "--sudo").returncode == 130


def test_the_example_is_labelled(mapcount, user, monkeypatch):
    monkeypatch.setattr("mapcount.cli.live.load_example", small_machine)

    ran = mapcount("report")

    assert ran.stderr.count("\n") == 1 and ran.stderr.startswith("mapcount: folios cannot be seen: ")
    here, label, there = ran.stdout.partition("EXAMPLE: another machine")
    assert label
    assert "may be seen without privilege" in here and "large anon folio" not in here
    assert "2.7 MiB in 12 large anon folios" in there


def test_programs_get_no_example(mapcount, user, monkeypatch):
    monkeypatch.setattr("mapcount.cli.live.load_example", lambda: pytest.fail("example in JSON"))

    ran = mapcount("report", "--json")

    document = json.loads(ran.stdout)
    schema = json.loads(mapcount("report", "--json-schema").stdout)
    assert faults(document, schema, schema) == []
    assert document["meta"]["tier"] == "no-pfn"
    # What was not seen is not shown as zero.
    assert document["sizes"] == document["processes"] == document["checks"] == []
    assert {row["comm"]: row["rss_bytes"] for row in document["visible"]} == {
        "large": 4_099 << 10,
        "small": 11 << 10,
        "gone": -1,
    }


def test_a_saved_snapshot_of_that_tier_shows_what_was_visible(mapcount):
    no_pfn().save("v.mapsnap")

    for options in ((), ("--by", "folio")):
        shown = mapcount("report", "v.mapsnap", *options).stdout
        assert "as far as it may be seen without privilege" in shown
        assert "How this was obtained" in shown
    lines = mapcount("report", "v.mapsnap", "--format", "ndjson").stdout.splitlines()
    assert [json.loads(line)["row"] for line in lines].count("visible") == 3
    assert mapcount("report", "v.mapsnap", "--format", "csv", "--by", "process").stdout.count("\n") == 4


def test_root_needs_no_sudo(mapcount, user, monkeypatch):
    user(code=1)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr("mapcount.capture.session.capture", lambda **options: small_machine())

    ran = mapcount("report", "--sudo")

    assert (ran.returncode, ran.stderr) == (0, "")


def test_off_linux_one_line_and_the_example(mapcount, user, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert mapcount("report").returncode == 3

    monkeypatch.setattr("mapcount.cli.live.load_example", small_machine)
    ran = mapcount("report")

    assert ran.returncode == 0
    assert ran.stderr.count("\n") == 1 and "darwin" in ran.stderr and "example" in ran.stderr
    assert ran.stdout.startswith("2.7 MiB in 12 large anon folios")


def test_partial_captures_are_reported_as_such(mapcount, monkeypatch):
    part = small_machine()
    part = dataclasses.replace(part, meta=dataclasses.replace(part.meta, partial="interrupted"))
    monkeypatch.setattr("mapcount.capture.session.capture", lambda **options: part)

    assert "PARTIAL: the capture ended before it saw everything (interrupted)." in mapcount("report").stdout


def test_a_missing_example_is_none(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.resources.files", lambda package: tmp_path)
    assert live.load_example() is None

    small_machine().save((tmp_path / "data").mkdir() or tmp_path / "data" / "example.mapsnap")
    assert live.load_example().meta.host == "prime"
