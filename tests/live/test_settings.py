"""The settings that tests change are put back: after the test, on SIGTERM, and by the next run after SIGKILL."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from live.settings import Settings, read_setting

CHANGE = """
import signal, sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # a run in the background ignores it
sys.path.insert(0, sys.argv[1])
from live.settings import Settings
Settings(Path(sys.argv[2])).set(Path(sys.argv[3]), "madvise")
print("changed", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def setting(tmp_path):
    path = tmp_path / "enabled"
    path.write_text("always inherit madvise [never]\n")
    return path


def change(tmp_path, setting):
    tests = Path(__file__).parent.parent
    command = [sys.executable, "-c", CHANGE, str(tests), str(tmp_path / "lock"), str(setting)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "changed\n"
    assert read_setting(setting) == "madvise"
    return process


@pytest.mark.parametrize("how", [None, signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_put_back_when_it_ends(how, tmp_path, setting):
    with change(tmp_path, setting) as process:
        if how:
            process.send_signal(how)
        process.stdin.close()
        process.wait(30)
    assert read_setting(setting) == "never"
    assert how is None or process.returncode == -how


def test_put_back_by_the_next_run_after_sigkill(tmp_path, setting):
    with change(tmp_path, setting) as process:
        process.kill()
        process.wait(30)
    assert read_setting(setting) == "madvise"
    Settings(tmp_path / "lock").close()
    assert read_setting(setting) == "never"


def test_second_run_waits(tmp_path, setting, monkeypatch):
    monkeypatch.setattr("live.settings.WAIT_S", 0.01)
    with change(tmp_path, setting) as process:
        with pytest.raises(TimeoutError, match="held by another test run"):
            Settings(tmp_path / "lock")
        process.stdin.close()
        process.wait(30)
    Settings(tmp_path / "lock").close()
