"""SPIN on an exported model: `spin -a`, gcc, the verifier; and whether it found what explore() found.

The verifier is built with -DNOREDUCE (no partial-order reduction: every step here touches what others see, and every state is
to be counted), -DSAFETY (assertions only, no cycles), -DMEMLIM (so much memory, then it ends by itself) and -fwrapv (C's
integers wrap as the kernel's do). It is run with -A (an assertion that fails does not end the search; answers are told by
lines of their own), -E (whoever waits for ever is told by a line of its own), -n (no list of statements that were not
reached), -m and -w (room for so many steps in a row, and for a hash table of so many states), -Q (so much time).
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mapcount.check.interval import explained, values_of
from mapcount.check.promela import promela
from mapcount.errors import MissingToolError, SpinError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mapcount.check.explore import Answer, Explored

MIB = 1 << 20
_TOLD = 2000
"""Characters of a program's output that an error shows."""

Told = tuple[int, int, int, bool | None, int]
"""
A call's answer: thread, call, value; whether the reader's promise was kept, None if it claims nothing; and what was true
meanwhile, as bits.
"""


@dataclass(frozen=True)
class SpinRun:
    """What the verifier found, and what it took."""

    states: int
    """without the one before `init` has run"""
    transitions: int
    """without init's, and those that tell an ending"""
    complete: bool
    """nothing was left out for want of memory, depth or time"""
    answers: frozenset[Told]
    finals: Counter[tuple[int, ...]]
    """the words of each state in which every thread has done everything"""
    stuck: int
    """states in which some thread waits for ever"""
    vector_bytes: int
    """of a state, before the verifier packs it"""
    memory_bytes: int
    """for states and their hash table, without the stack of the search"""
    spin_s: float
    gcc_s: float
    pan_s: float
    search_s: float
    """of pan_s, by its own clock, to a hundredth"""

    @property
    def total_s(self) -> float:
        """Time to the verdict, compiling included."""
        return self.spin_s + self.gcc_s + self.pan_s


@dataclass(frozen=True)
class Agreement:
    """What SPIN found beside what we found; it agrees if there are no differences."""

    spin: SpinRun
    differences: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Whether both found the same."""
        return not self.differences


def cross_check(
    explored: Explored, *, memory_mib: int = 4096, timeout_s: float = 600.0, optimise: str = "-O2"
) -> Agreement:
    """
    Let SPIN go through the same model; compare states, steps, answers with their verdicts, final words and endless waits.

    Raises UsageError if `explored` is not complete or its model cannot be exported, MissingToolError without spin or gcc,
    SpinError if one of them fails, takes longer than `timeout_s` or more memory than `memory_mib`.
    """
    if not explored.complete:
        raise UsageError(f"{explored.extent}: there is nothing to compare with SPIN; raise the bound")
    if explored.steps.groups:
        raise UsageError("SPIN looks at every state: explore with symmetry=False to compare")
    run = run_spin(
        promela(explored.steps.model, telling=True),
        expected_states=explored.states,
        memory_mib=memory_mib,
        timeout_s=timeout_s,
        optimise=optimise,
    )
    if not run.complete:
        raise SpinError(f"SPIN left a part of the states out, {run.states:,} met: give it more memory")
    return Agreement(run, differences(explored, run))


def differences(explored: Explored, run: SpinRun) -> tuple[str, ...]:
    """Return in words where a verifier's run found something else."""
    steps = explored.steps
    pairs = [
        ("states", explored.states, run.states),
        ("steps", explored.transitions, run.transitions),
        ("states in which a thread waits for ever", len(explored.stuck), run.stuck),
    ]
    found = [f"{what}: {ours:,} here, {theirs:,} by SPIN" for what, ours, theirs in pairs if ours != theirs]
    ours = {_told(explored, one) for one in explored.observed}
    found += [f"only here: {_answer(explored, one)}" for one in sorted(ours - run.answers, key=str)]
    found += [f"only by SPIN: {_answer(explored, one)}" for one in sorted(run.answers - ours, key=str)]
    finals = Counter(steps.cells(state) for state in explored.finals)
    if finals != run.finals:
        found.append(f"final words: {len(finals)} kinds here, {len(run.finals)} by SPIN, and they are not the same")
    return tuple(found)


def _told(explored: Explored, answer: Answer) -> Told:
    """Return an answer of ours as SPIN tells it."""
    reader = explored.steps.reader(answer.thread, answer.call)
    assert reader is not None
    window = sum(1 << value for value in answer.attainable)
    return answer.thread, answer.call, answer.value, explained(reader, answer.value, window), window


def _answer(explored: Explored, told: Told) -> str:
    thread, call, value, kept, window = told
    verdict = {True: "explained", False: "not explained", None: "not judged"}[kept]
    meanwhile = ", ".join(map(str, values_of(window)))
    return f"{explored.steps.model.threads[thread][call]} returns {value}, {verdict} by {meanwhile or 'nothing'}"


def run_spin(
    text: str,
    *,
    expected_states: int = 1 << 20,
    memory_mib: int = 4096,
    timeout_s: float = 600.0,
    optimise: str = "-O2",
) -> SpinRun:
    """
    Verify a model that promela() exported with `telling`, in a temporary directory; everything that was started is ended.

    `expected_states` sizes the verifier's hash table and stack; `optimise` is gcc's option. Raises as cross_check().
    """
    spin, gcc = _tool("spin"), _tool("gcc")
    bits = max(16, expected_states.bit_length())
    depth = min(max(expected_states, 10_000), 2_000_000)
    with tempfile.TemporaryDirectory(prefix="mapcount-spin-") as name:
        directory, ends = Path(name), time.monotonic() + timeout_s
        (directory / "model.pml").write_text(text)
        _, spin_s = _run([spin, "-a", "model.pml"], directory, ends)
        flags = [optimise, "-fwrapv", "-w", "-DNOREDUCE", "-DSAFETY", f"-DMEMLIM={memory_mib}"]
        _, gcc_s = _run([gcc, *flags, "-o", "pan", "pan.c"], directory, ends)
        minutes = f"-Q{int(timeout_s / 60) + 1}"
        told, pan_s = _run(["./pan", "-A", "-E", "-n", f"-m{depth}", f"-w{bits}", minutes], directory, ends)
    return _parse(told, spin_s, gcc_s, pan_s)


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise MissingToolError(
            f"The cross-check runs SPIN and gcc, and there is no {name} here: apt-get install spin gcc libc6-dev"
        )
    return found


def _run(command: Sequence[str], directory: Path, ends: float) -> tuple[str, float]:
    """Run a program until `ends`, by the monotonic clock; return what it said and how long it took."""
    began = time.monotonic()
    name = os.path.basename(command[0])
    with subprocess.Popen(
        command,
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # gcc starts others, which end with it
    ) as process:
        try:
            output, _ = process.communicate(timeout=max(0.0, ends - began))
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise SpinError(f"{name} did not end in time: {' '.join(command)}") from error
            raise
    if process.returncode:
        raise SpinError(f"{' '.join(command)} failed; it said:\n{output.strip()[-_TOLD:]}")
    return output, time.monotonic() - began


def _parse(told: str, spin_s: float, gcc_s: float, pan_s: float) -> SpinRun:
    """Read what the verifier said: our own lines, then its summary."""
    answers: set[Told] = set()
    finals: Counter[tuple[int, ...]] = Counter()
    for kind, values in re.findall(r"^(answer|final):((?: -?\d+)*)$", told, re.MULTILINE):
        numbers = tuple(map(int, values.split()))
        if kind == "final":
            finals[numbers] += 1
        else:
            thread, call, value, kept, window = numbers
            answers.add((thread, call, value, None if kept < 0 else bool(kept), window))
    stuck = len(re.findall(r"^stuck$", told, re.MULTILINE))
    endings = finals.total() + stuck
    memory = _number(told, r"([\d.]+)\s+actual memory usage for states") + _number(
        told, r"([\d.]+)\s+memory used for hash table"
    )
    return SpinRun(
        states=int(_number(told, r"(\d+) states, stored")) - 1,
        transitions=int(_number(told, r"(\d+) transitions")) - 2 - endings,
        complete="Search not completed" not in told and "max search depth too small" not in told,
        answers=frozenset(answers),
        finals=finals,
        stuck=stuck,
        vector_bytes=int(_number(told, r"State-vector (\d+) byte")),
        memory_bytes=int(memory * MIB),
        spin_s=spin_s,
        gcc_s=gcc_s,
        pan_s=pan_s,
        search_s=_number(told, r"elapsed time ([\d.]+) seconds"),
    )


def _number(told: str, pattern: str) -> float:
    found = re.search(pattern, told)
    if found is None:
        raise SpinError(f"The verifier ended without a summary; it said:\n{told.strip()[-_TOLD:]}")
    return float(found[1])
