"""What a page-faulting process feels while it is captured again and again."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from measure import BenchError
from scenes import python, require_memory

if TYPE_CHECKING:
    from scenes import Bench


def victim_phases(bench: Bench, seconds: float, resident_mib: int = 512) -> dict[str, Any]:
    """
    Return latencies per phase: idle before and after, beside a busy process, captured, watched by thpmaps.

    The busy process touches nothing of the victim's: what it costs is the share of the CPU and the scheduler.
    """
    require_memory(resident_mib / 1024)
    command = [bench.runner.program("victim"), str(resident_mib)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as victim:
        try:
            pid = str(json.loads(_read_line(victim))["pid"])
            companies = _companies(bench, seconds, pid)
            return {name: _phase(victim, company, seconds) for name, company in companies.items()}
        finally:
            victim.kill()


def _companies(bench: Bench, seconds: float, pid: str) -> dict[str, list[str]]:
    """Return what runs beside the victim in each phase."""
    spin = f"import time\nend = time.monotonic() + {seconds + 1}\nwhile time.monotonic() < end: pass"
    companies = {
        "idle": [],
        "beside a busy process": [sys.executable, "-c", spin],
        "captured by mapcount": python("capture_survey.py", "--for", str(seconds), pid),
        "captured with the whole machine": python("capture_survey.py", "--for", str(seconds)),
    }
    if bench.peers is not None:
        thpmaps = [sys.executable, str(bench.peers.thpmaps), "--pid", pid, "--rollup", "--periodic", "1"]
        companies["watched by thpmaps"] = thpmaps
    companies["idle again"] = []
    return companies


def _phase(victim: subprocess.Popen[str], company: list[str], seconds: float) -> dict[str, Any]:
    if not company:
        _end_phase(victim)
        time.sleep(seconds)
        return _end_phase(victim)
    counts_captures = "--for" in company
    stdout = subprocess.PIPE if counts_captures else subprocess.DEVNULL
    with subprocess.Popen(company, stdout=stdout, stderr=subprocess.DEVNULL, text=True) as other:
        try:
            if counts_captures:
                _read_line(other)  # it is ready
            else:
                time.sleep(0.5)
            _end_phase(victim)  # what came before is nobody's
            time.sleep(seconds)
            latencies = _end_phase(victim)
            return latencies | json.loads(_read_line(other)) if counts_captures else latencies
        finally:
            other.kill()


def _end_phase(victim: subprocess.Popen[str]) -> dict[str, Any]:
    assert victim.stdin is not None
    victim.stdin.write("\n")
    victim.stdin.flush()
    return dict(json.loads(_read_line(victim)))


def _read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise BenchError(f"{process.args!r} ended with status {process.wait()}")
    return line
