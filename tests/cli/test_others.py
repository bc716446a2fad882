"""`mapcount diff`, `doctor` and `completion`."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from cli.conftest import small_machine
from mapcount.capture.doctor import Finding

GOOD = [Finding("kernel", True, "Linux 6.18", "", ""), Finding("pfns", True, "shown", "", "")]
BAD = [Finding("pfns", False, "hidden", "folios cannot be told apart", "run it with sudo")]


def test_diff_exit_codes(mapcount, snapshot):
    small_machine(18).save("b.mapsnap")

    assert mapcount("diff", snapshot, "b.mapsnap").returncode == 0
    assert mapcount("diff", snapshot, "b.mapsnap", "--exit-code").returncode == 1
    assert mapcount("diff", snapshot, snapshot, "--exit-code").returncode == 0
    assert json.loads(mapcount("diff", snapshot, "b.mapsnap", "--json").stdout)["same_boot"] is True


@pytest.mark.parametrize(("findings", "code"), [(GOOD, 0), (GOOD + BAD, 3)])
def test_doctor_says_glyph_word_consequence_and_cure(mapcount, monkeypatch, findings, code):
    monkeypatch.setattr("mapcount.capture.doctor.examine", lambda: findings)

    ran = mapcount("doctor")

    assert ran.returncode == code
    assert "✓ ok  kernel  Linux 6.18" in ran.stdout
    assert ("✗ no  pfns" in ran.stdout) == (code == 3)
    assert ("So: folios cannot be told apart" in ran.stdout) == (code == 3)
    assert ("Cure: run it with sudo" in ran.stdout) == (code == 3)
    assert json.loads(mapcount("doctor", "--json").stdout)[-1]["ok"] is (code == 0)


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_is_a_script_of_that_shell(mapcount, shell):
    script = mapcount("completion", shell).stdout

    assert "capture" in script
    assert (
        shell == "tcsh" or "--keep-pfns" in script
    )  # shtab completes long options of sub-commands for the others alone
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed, so its completion was not parsed")
    subprocess.run([shell, "-n"], input=script, text=True, check=True, timeout=60)


def test_bash_completes_sub_commands_and_options(mapcount):
    script = mapcount("completion", "bash").stdout
    ask = "\nCOMP_WORDS=(mapcount report --by pro); COMP_CWORD=3; _shtab_mapcount; echo ${COMPREPLY[@]}\n"
    ran = subprocess.run(["bash", "-c", script + ask], capture_output=True, text=True, check=False, timeout=60)

    assert ran.stdout.split() == ["process", "program"]
