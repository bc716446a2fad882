"""--html: the file of each command, whole or not at all, for its owner alone, and never in place of another unasked."""

from __future__ import annotations

import json
import os
import stat

import pytest

from mapcount import errors
from report.test_public import no_pfn

COMMANDS = {
    "report": lambda snapshot: ["report", snapshot],
    "diff": lambda snapshot: ["diff", snapshot, snapshot],
    "compare": lambda snapshot: ["compare", snapshot, "--scheme", "mm-id"],
    "run": lambda _: ["run", "fork-partial-unmap-64k", "--era", "6.18"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_page_in_place_of_tables(name, mapcount, snapshot, tmp_path):
    ran = mapcount(*COMMANDS[name](snapshot), "--html", "page.html")
    assert (ran.returncode, ran.stdout) == (0, "")
    assert ran.stderr.splitlines()[-1].startswith("Wrote page.html (")
    text = (tmp_path / "page.html").read_text()
    assert text.startswith("<!DOCTYPE html>")
    assert f'<p class="brand">mapcount {name}</p>' in text
    assert stat.S_IMODE(os.stat(tmp_path / "page.html").st_mode) == 0o600


def test_another_file_is_left_alone_unless_forced(mapcount, snapshot, tmp_path):
    (tmp_path / "page.html").write_text("mine")
    ran = mapcount("report", snapshot, "--html", "page.html")
    assert ran.returncode == errors.EXIT_USAGE
    assert "give another name with --html, or --force" in ran.stderr
    assert (tmp_path / "page.html").read_text() == "mine"
    assert mapcount("report", snapshot, "--html", "page.html", "--force").returncode == 0
    assert "mine" not in (tmp_path / "page.html").read_text()[:5]


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        (".", errors.EXIT_BAD_INPUT, "is a directory; name a file with --html"),
        ("no/such/page.html", errors.EXIT_BAD_INPUT, "there is no directory"),
        ("other.json", errors.EXIT_USAGE, "-o and --html both name other.json"),
    ],
)
def test_what_could_not_be_written_is_refused_before_any_work(path, code, words, mapcount):
    ran = mapcount("report", "absent.mapsnap", "-o", "other.json", "--html", path)
    assert ran.returncode == code
    assert words in ran.stderr


def test_with_json_both(mapcount, snapshot, tmp_path):
    ran = mapcount("report", snapshot, "--html", "page.html", "--json")
    assert json.loads(ran.stdout)["schema_version"] == 1
    assert (tmp_path / "page.html").exists()


def test_with_o_both(mapcount, snapshot, tmp_path):
    ran = mapcount("diff", snapshot, snapshot, "--html", "page.html", "-o", "text")
    assert (ran.returncode, ran.stdout) == (0, "")
    assert "No difference." in (tmp_path / "text").read_text()
    assert "No difference." in (tmp_path / "page.html").read_text()


def test_exit_code_of_diff_is_the_same(mapcount, snapshot, tmp_path):
    from cli.conftest import small_machine

    small_machine(7).save(tmp_path / "b.mapsnap")
    ran = mapcount("diff", snapshot, "b.mapsnap", "--html", "page.html", "--exit-code")
    assert ran.returncode == errors.EXIT_FINDING


def test_with_by_the_table_too(mapcount, snapshot):
    ran = mapcount("report", snapshot, "--html", "page.html", "--by", "program")
    assert ran.stdout.startswith("program")


def test_without_privilege_a_page_of_what_may_be_seen(mapcount, monkeypatch, tmp_path):
    monkeypatch.setattr("mapcount.capture.session.capture", lambda **options: no_pfn())
    monkeypatch.setattr(os, "geteuid", lambda: 65_534)
    ran = mapcount("report", "--html", "page.html")
    assert (ran.returncode, ran.stdout) == (0, "")
    assert "folios may not, so no sizes and no sharing" in (tmp_path / "page.html").read_text()


def test_quiet_says_nothing(mapcount, snapshot):
    assert mapcount("report", snapshot, "--html", "page.html", "-q").stderr == ""


@pytest.mark.parametrize("option", ["--list", "--emit-c"])
def test_what_runs_nothing_has_no_page(option, mapcount):
    ran = mapcount("run", *([] if option == "--list" else ["cow-64k"]), option, "--html", "page.html")
    assert ran.returncode == errors.EXIT_USAGE
    assert option in ran.stderr
