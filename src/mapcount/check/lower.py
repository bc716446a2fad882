"""Lowers a scheme's functions to the bytecode of one thread: statements, and the bodies of functions that are called.

The subset: integer variables; `if`, `while`, `for ... in range(...)`, `break`, `continue`, `return`; integer arithmetic, one
comparison at a time, `and`, `or`, `not`; calls of operations of ops.py and of other functions of the scheme, the memory
first. Everything else is refused with file, line and column. Functions are put in place of their calls, so recursion is
refused as well. Arguments of a thread's calls are numbers, so what follows from them is reckoned here and what cannot
happen is left out.
"""

from __future__ import annotations

import ast
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from mapcount.check.assembler import Assembler
from mapcount.check.bytecode import Code, Frame, Operand, Program, Register
from mapcount.check.expressions import MEMORY, Expressions, Value, frame
from mapcount.check.source import definition, refused
from mapcount.check.surroundings import VMAS_STATISTIC
from mapcount.schemes.looked import Looked

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import FunctionType

    from mapcount.schemes.memory import Memory

DEEPEST = 16
"""Functions that may be inside each other; more is taken for recursion."""


@dataclass(frozen=True)
class Entry:
    """
    One call of a thread: a function of a bound scheme or of a caller, and its arguments after the memory.

    `holds` are locks (locks.py) that are held around it; from the first to the last where several are pieces of one call.
    """

    function: FunctionType
    arguments: tuple[int, ...]
    holds: tuple[int, ...] = ()
    looked: Looked = Looked()
    """What look-ups find in it, but for lookup_vmas, which others change."""
    goes_on: bool = False
    """It is a piece, and not the first."""
    is_continued: bool = False
    """It is a piece, and not the last."""
    vmas: int = 0
    """By how many the VMAs that map the folio change: 1 as it ends, -1 as it begins."""


def lower(entries: Iterable[Entry], memory: Memory, *, statistics: bool = False) -> Program:
    """
    Return the program of a thread that makes these calls one after the other.

    `memory` tells what does not change (kind, pins, orders); it is not kept. Statistics are left out unless wanted.
    Raises SchemeSourceError for what is not in the subset.
    """
    assembler = Assembler()
    looked = memory.looked[0]
    for number, entry in enumerate(entries):
        memory.looked[0] = entry.looked
        assembler.position = (frame(entry.function, definition(entry.function)),)
        assembler.emit(Code.BEGIN, jump=number)
        for lock in () if entry.goes_on else entry.holds:
            assembler.emit(Code.HOLD, lock)
        if entry.vmas < 0:
            assembler.emit(Code.STATISTIC, VMAS_STATISTIC, entry.vmas)
        body = _Body(assembler, entry.function, memory, statistics=statistics, outer=())
        result = body.lower([MEMORY, *entry.arguments], wanted=False)
        assembler.position = (frame(entry.function, definition(entry.function)),)
        if entry.vmas > 0:
            refused = [assembler.emit(Code.JUMP_UNLESS_ZERO, result)] if isinstance(result, Register) else []
            assembler.emit(Code.STATISTIC, VMAS_STATISTIC, entry.vmas)
            assembler.land(refused)
        for lock in () if entry.is_continued else entry.holds:
            assembler.emit(Code.RELEASE, lock)
        assembler.emit(Code.END, result, jump=number)
    memory.looked[0] = looked
    return assembler.finish()


@functools.cache
def _assigned_names(node: ast.AST) -> frozenset[str]:
    return frozenset(one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store))


class _Loop(NamedTuple):
    breaks: list[int]
    continues: list[int]


class _Body(Expressions):
    """The body of one function, put where it is called; `outer` are the lines of the calls around it."""

    def __init__(
        self,
        assembler: Assembler,
        function: FunctionType,
        memory: Memory,
        *,
        statistics: bool,
        outer: tuple[Frame, ...],
    ) -> None:
        super().__init__(assembler, function, memory, statistics=statistics, outer=outer)
        self._definition = definition(function)
        self._assigned = _assigned_names(self._definition)
        self._loops: list[_Loop] = []
        self._returns: list[int] = []
        self._result = assembler.register(f"the value of {function.__name__}")
        self._valued = False
        """it returns a value somewhere"""
        self._bare = False
        """it returns without a value somewhere"""

    def lower(self, arguments: Sequence[Value], *, wanted: bool) -> Operand:
        """Lower the body; return what the function returns, 0 if it is no value."""
        node = self._definition
        self._bind(node, arguments)
        falls_through = self._block(node.body)
        if (falls_through or self._bare) and (wanted or self._valued):
            raise self.refuse(node, f"{node.name} may end without a value, though it returns one or its value is used")
        self.assembler.land(self._returns)
        return self._result if self._valued else 0

    def _bind(self, node: ast.FunctionDef, arguments: Sequence[Value]) -> None:
        given = node.args
        if given.posonlyargs or given.kwonlyargs or given.vararg or given.kwarg or given.defaults:
            raise self.refuse(node, "parameters are plain: no defaults, no stars, no keywords")
        if len(given.args) != len(arguments):
            raise self.refuse(node, f"{node.name} takes {len(given.args)} arguments, not {len(arguments)}")
        for parameter, value in zip(given.args, arguments, strict=True):
            self.names[parameter.arg] = value
            if parameter.arg in self._assigned:
                if not isinstance(value, int | Register):
                    raise self.refuse(parameter, f"{parameter.arg} is assigned, and is no number")
                self.names[parameter.arg] = own = self.assembler.register(parameter.arg)
                self.assembler.emit(Code.MOVE, value, target=own)

    def call_sibling(
        self, node: ast.Call, function: FunctionType, arguments: Sequence[Value], *, wanted: bool
    ) -> Operand:
        """Lower the body of another function in place of its call."""
        here = self.assembler.position
        if len(here) > DEEPEST:
            raise self.refuse(node, f"{function.__name__} is called {DEEPEST} deep: recursion is not in the subset")
        body = _Body(self.assembler, function, self.memory, statistics=self.statistics, outer=here)
        result = body.lower(arguments, wanted=wanted)
        self.assembler.position = here
        return result

    def _block(self, statements: Sequence[ast.stmt]) -> bool:
        """Lower statements; return whether what follows them can be reached."""
        return all(self._statement(statement) for statement in statements)

    def _statement(self, node: ast.stmt) -> bool:
        self.at(node)
        match node:
            case ast.Assign(targets=[ast.Name(id=name)]):
                self._assign(name, self.operand(node.value))
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                self._assign(name, self.operand(value))
            case ast.AugAssign(target=ast.Name(id=name)):
                code = self.binary_code(node.op, node)
                before = self.operand(ast.copy_location(ast.Name(name, ast.Load()), node.target))
                self._assign(name, self.arithmetic(code, before, self.operand(node.value), node))
            case ast.Expr(value=ast.Call() as call):
                self.call(call, wanted=False)
            case ast.Expr(value=ast.Constant(value=str())) | ast.Pass():
                pass
            case ast.If():
                return self._if(node)
            case ast.While(orelse=[]):
                return self._while(node)
            case ast.For(target=ast.Name(), orelse=[]):
                self._for(node)
            case ast.Return():
                self._return(node)
                return False
            case ast.Break():
                self._loops[-1].breaks.append(self.assembler.emit(Code.JUMP))
                return False
            case ast.Continue():
                self._loops[-1].continues.append(self.assembler.emit(Code.JUMP))
                return False
            case _:
                raise self.refuse(
                    node, f"{type(node).__name__} is not in the subset: {ast.unparse(node).splitlines()[0]}"
                )
        return True

    def _assign(self, name: str, value: Operand) -> None:
        variable = self.names.get(name)
        if not isinstance(variable, Register):
            self.names[name] = variable = self.assembler.register(name)
        self.assembler.emit(Code.MOVE, value, target=variable)

    def _return(self, node: ast.Return) -> None:
        if node.value is None:
            self._bare = True
        else:
            self._valued = True
            self.assembler.emit(Code.MOVE, self.operand(node.value), target=self._result)
        self._returns.append(self.assembler.emit(Code.JUMP))

    def _if(self, node: ast.If) -> bool:
        test = self.operand(node.test)
        if isinstance(test, int):
            return self._block(node.body if test else node.orelse)
        otherwise = self.assembler.emit(Code.JUMP_IF_ZERO, test)
        goes_on = self._block(node.body)
        if not node.orelse:
            self.assembler.land([otherwise])
            return True
        end = [self.assembler.emit(Code.JUMP)] if goes_on else []
        self.assembler.land([otherwise])
        goes_on |= self._block(node.orelse)
        self.assembler.land(end)
        return goes_on

    def _while(self, node: ast.While) -> bool:
        """Lower a loop; what follows a `while True` is reached by break alone."""
        start = self.assembler.here
        test = self.operand(node.test)
        if isinstance(test, int) and not test:
            return True
        ends = [] if isinstance(test, int) else [self.assembler.emit(Code.JUMP_IF_ZERO, test)]
        loop = self._loop_body(node.body)
        self.assembler.land(loop.continues)
        self.assembler.emit(Code.JUMP, jump=start)
        self.assembler.land(ends + loop.breaks)
        return bool(ends or loop.breaks)

    def _for(self, node: ast.For) -> None:
        """Lower a loop over a range, whose bounds are taken once. Its variable is the counter: it ends with the loop."""
        first, end, step = self._range(node)
        assert isinstance(node.target, ast.Name)
        name = node.target.id
        if any(name in _assigned_names(statement) for statement in node.body):
            raise self.refuse(node, f"{name} is the loop's variable and is assigned inside the loop")
        counter = self.assembler.register(name)
        self.assembler.emit(Code.MOVE, first, target=counter)
        if isinstance(end, Register):
            end, bound = self.assembler.register(), end
            self.assembler.emit(Code.MOVE, bound, target=end)
        start = self.assembler.here
        more = (
            self.arithmetic(Code.LT, counter, end, node) if step > 0 else self.arithmetic(Code.LT, end, counter, node)
        )
        out = self.assembler.emit(Code.JUMP_IF_ZERO, more)
        self.names[name] = counter
        loop = self._loop_body(node.body)
        self.assembler.land(loop.continues)
        self.assembler.emit(Code.ADD, counter, step, target=counter)
        self.assembler.emit(Code.JUMP, jump=start)
        self.assembler.land([out, *loop.breaks])
        del self.names[name]

    def _loop_body(self, statements: Sequence[ast.stmt]) -> _Loop:
        loop = _Loop([], [])
        self._loops.append(loop)
        self._block(statements)
        self._loops.pop()
        return loop

    def _range(self, node: ast.For) -> tuple[Operand, Operand, int]:
        call = node.iter
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "range"):
            raise self.refuse(node.iter, "a loop goes over range(...) only")
        if call.keywords or not 1 <= len(call.args) <= 3:
            raise refused(self.file, call, "range takes one to three numbers")
        given = [self.operand(argument) for argument in call.args]
        step = given[2] if len(given) == 3 else 1
        if not isinstance(step, int) or step == 0:
            raise self.refuse(call, "the step of a range is a constant other than 0")
        return (0, given[0], step) if len(given) == 1 else (given[0], given[1], step)
