"""Which branches of a way of counting were taken while the model ran: each conditional jump of its functions, both ways."""

from __future__ import annotations

import dis
import linecache
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from types import FunctionType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, FrameType

    from mapcount.schemes.bind import BoundScheme

_LAST = {"RETURN_VALUE", "RETURN_CONST", "RAISE_VARARGS"}
_JUMPS = {*dis.hasjrel, *dis.hasjabs}


@dataclass(frozen=True)
class Branch:
    """One way that a conditional jump of a function can go: to line `to_line`, which may be its own."""

    file: str
    line: int
    function: str
    to_line: int
    offset: int
    """Of the jump, in the bytecode of the function."""
    to_offset: int

    @property
    def source(self) -> str:
        """The line, for people."""
        return linecache.getline(self.file, self.line).split("#")[0].strip()


class BranchTrace:
    """
    The branches of a scheme in its variant, and those that were taken while `tracing`.

    What the variant's constants rule out is no branch. The functions are traced as they run in plain Python, instruction by
    instruction (`f_trace_opcodes` of a frame); any other call costs one look-up.
    """

    def __init__(self, scheme: BoundScheme) -> None:
        self._ways: dict[CodeType, dict[tuple[int, int], Branch]] = {}
        waiting = list(scheme.functions.values())
        while waiting:
            function = waiting.pop()
            assert isinstance(function, FunctionType)
            if function.__code__ not in self._ways:
                self._ways[function.__code__], called = _branches(function)
                waiting += [scheme.helpers[name] for name in called if name in scheme.helpers]
        self.taken: set[Branch] = set()

    @property
    def all(self) -> set[Branch]:
        """Every branch there is."""
        return {branch for ways in self._ways.values() for branch in ways.values()}

    def not_taken(self) -> list[Branch]:
        """Return what was never taken, by file and line."""
        return sorted(self.all - self.taken, key=lambda one: (one.file, one.line, one.offset, one.to_offset))

    @contextmanager
    def tracing(self) -> Iterator[None]:
        """Watch this thread; who traced it before (a debugger) does so again afterwards."""
        before = sys.gettrace()
        sys.settrace(self._call)
        try:
            yield
        finally:
            sys.settrace(before)

    def _call(self, frame: FrameType, _event: str, _arg: Any) -> Any:
        ways = self._ways.get(frame.f_code)
        if ways is None:
            return None
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        last = -1

        def local(frame: FrameType, event: str, _arg: Any) -> Any:
            nonlocal last
            if event == "opcode":
                branch = ways.get((last, frame.f_lasti))
                if branch is not None:
                    self.taken.add(branch)
                last = frame.f_lasti
            return local

        return local


def _branches(function: FunctionType) -> tuple[dict[tuple[int, int], Branch], set[str]]:
    """
    Return the ways of conditional jumps that the constants allow, and the names that are loaded on the way.

    The key of a way is the offset of the jump and that of what comes next.
    """
    instructions = list(dis.get_instructions(function.__code__))
    at = {one.offset: number for number, one in enumerate(instructions)}
    lines = _lines(instructions)
    found: dict[tuple[int, int], Branch] = {}
    names: set[str] = set()
    waiting, seen = [0], set[int]()
    while waiting:
        number = waiting.pop()
        if number in seen:
            continue
        seen.add(number)
        one = instructions[number]
        if one.opname == "LOAD_GLOBAL":
            names.add(one.argval)
        if one.opname in _LAST:
            continue
        if one.opcode not in _JUMPS:
            waiting.append(number + 1)
            continue
        targets = [at[one.argval]]
        if "_IF_" in one.opname or one.opname == "FOR_ITER":
            constant = _constant(instructions[number - 1], function)
            if constant is None:
                targets.append(number + 1)
                code = function.__code__
                for target in targets:
                    to = instructions[target].offset
                    branch = Branch(code.co_filename, lines[number], code.co_name, lines[target], one.offset, to)
                    found[one.offset, to] = branch
            elif constant != ("TRUE" in one.opname):
                targets = [number + 1]
        waiting += targets
    return found, names


def _constant(before: dis.Instruction, function: FunctionType) -> bool | None:
    """Tell whether the constant of the variant that a jump asks for is set; None if it asks for something else."""
    if before.opname != "LOAD_GLOBAL" or not before.argval.isupper():
        return None
    return bool(function.__globals__[before.argval])


def _lines(instructions: list[dis.Instruction]) -> list[int]:
    lines, line = [], 0
    for one in instructions:
        # 3.13: starts_line became a bool, and the number has a name of its own.
        line = getattr(one, "line_number", one.starts_line) or line
        lines.append(line)
    return lines
