"""Which branches of a way of counting were taken while the model ran: each conditional jump of its functions, both ways."""

from __future__ import annotations

import dis
import linecache
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from types import FunctionType
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType, FrameType

    from mapcount.schemes.bind import BoundScheme

_LAST = {"RETURN_VALUE", "RETURN_CONST", "RAISE_VARARGS"}
FIRST = 8000
"""Calls of each function of a scheme that are traced in any case, for what shares a line with what is out of reach."""
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

    What the variant's constants rule out is no branch. Calls of the scheme's functions are traced as they run in plain Python,
    instruction by instruction (`f_trace_opcodes` of a frame), which takes tens of times as long. So after the FIRST calls only
    those are that may come to a branch that is waited for.
    """

    def __init__(
        self, scheme: BoundScheme, *, out_of_reach: Callable[[Branch], object] = lambda _branch: False
    ) -> None:
        """`out_of_reach` tells of a branch that it is not to be waited for; it counts if one of the first calls takes it."""
        self._functions = cast("dict[str, Callable[..., Any]]", scheme.functions)
        self._ways: dict[CodeType, dict[tuple[int, int], Branch]] = {}
        self._calls: dict[CodeType, set[CodeType]] = {}
        waiting = list(scheme.functions.values())
        while waiting:
            function = waiting.pop()
            assert isinstance(function, FunctionType)
            if function.__code__ not in self._ways:
                self._ways[function.__code__], names = _branches(function)
                called = [scheme.helpers[name] for name in names if name in scheme.helpers]
                self._calls[function.__code__] = {one.__code__ for one in called}
                waiting += called
        self.taken: set[Branch] = set()
        self._waited_for = {
            code: {branch for branch in ways.values() if not out_of_reach(branch)} for code, ways in self._ways.items()
        }
        self._looked_for = self._not_yet = {code: set(ways.values()) for code, ways in self._ways.items()}
        """What a traced call looks for: in the first ones whatever was not taken, then what is waited for."""

    @property
    def all(self) -> set[Branch]:
        """Every branch there is."""
        return {branch for ways in self._ways.values() for branch in ways.values()}

    def not_taken(self) -> list[Branch]:
        """Return what was never taken, by file and line."""
        return sorted(self.all - self.taken, key=lambda one: (one.file, one.line, one.offset, one.to_offset))

    @contextmanager
    def tracing(self) -> Iterator[None]:
        """Watch calls of the scheme's `functions`; who traced this thread before (a debugger) does so again afterwards."""
        before = dict(self._functions)
        self._functions.update({name: self._watched(function) for name, function in before.items()})
        try:
            yield
        finally:
            self._functions.update(before)

    def _watched(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that traces calls of another one: the first, then those that may come to what is waited for."""
        assert isinstance(function, FunctionType)
        waiting = [self._waited_for[code] for code in self._reached_from(function.__code__)]
        calls = 0

        @wraps(function)
        def call(*arguments: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > FIRST and not any(waiting):
                return function(*arguments)
            self._looked_for = self._waited_for if calls > FIRST else self._not_yet
            before = sys.gettrace()
            sys.settrace(self._call)
            try:
                return function(*arguments)
            finally:
                sys.settrace(before)

        return call

    def _reached_from(self, code: CodeType) -> set[CodeType]:
        reached, waiting = {code}, [code]
        while waiting:
            new = self._calls[waiting.pop()] - reached
            reached |= new
            waiting += new
        return reached

    def _call(self, frame: FrameType, _event: str, _arg: Any) -> Any:
        if not self._looked_for.get(frame.f_code):
            return None
        waited_for, not_yet = self._waited_for[frame.f_code], self._not_yet[frame.f_code]
        ways = self._ways[frame.f_code]
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        last = -1

        def local(frame: FrameType, event: str, _arg: Any) -> Any:
            nonlocal last
            if event == "opcode":
                branch = ways.get((last, frame.f_lasti))
                if branch is not None:
                    self.taken.add(branch)
                    waited_for.discard(branch)
                    not_yet.discard(branch)
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
