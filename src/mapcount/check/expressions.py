"""Lowers the expressions of one function: integers, comparisons, and/or with their short cuts, and calls of operations."""

from __future__ import annotations

import ast
from types import FunctionType
from typing import TYPE_CHECKING, TypeAlias

from mapcount.check import locks
from mapcount.check.bytecode import ARITHMETIC, Code, Frame, Operand, Register
from mapcount.check.effects import TAKES_ARGUMENT, is_known
from mapcount.check.source import refused
from mapcount.check.surroundings import constant_answer, is_queued, shared_access
from mapcount.schemes import ops
from mapcount.schemes.ops import PRIMITIVES, Access, Primitive
from mapcount.schemes.words import Word

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mapcount.check.assembler import Assembler
    from mapcount.errors import SchemeSourceError
    from mapcount.schemes.memory import Memory


def frame(function: FunctionType, node: ast.AST) -> Frame:
    """Return the line of a function that `node` is on."""
    return Frame(function.__name__, function.__code__.co_filename, getattr(node, "lineno", 0))


class TheMemory:
    """Stands for the memory `m`, the first argument of every call."""


MEMORY = TheMemory()
Value: TypeAlias = "Operand | Word | TheMemory"
"""What a name may stand for; only operands can be reckoned with."""

_BINARY: dict[type[ast.operator], Code] = {
    ast.Add: Code.ADD,
    ast.Sub: Code.SUB,
    ast.Mult: Code.MUL,
    ast.FloorDiv: Code.FLOORDIV,
    ast.Mod: Code.MOD,
    ast.BitAnd: Code.AND,
    ast.BitOr: Code.OR,
    ast.BitXor: Code.XOR,
    ast.LShift: Code.LSHIFT,
    ast.RShift: Code.RSHIFT,
}
_COMPARISONS: dict[type[ast.cmpop], tuple[Code, bool]] = {
    ast.Lt: (Code.LT, False),
    ast.LtE: (Code.LE, False),
    ast.Gt: (Code.LT, True),
    ast.GtE: (Code.LE, True),
    ast.Eq: (Code.EQ, False),
    ast.NotEq: (Code.NE, False),
}
"""The instruction, and whether its operands change places."""


class Expressions:
    """
    Expressions of one function. `names` maps its variables to what they stand for now.

    With `statistics` a change of a statistic is an instruction, else it is left out. `memory` answers what is constant.
    `outer` are the lines of the calls around the function.
    """

    def __init__(
        self,
        assembler: Assembler,
        function: FunctionType,
        memory: Memory,
        *,
        statistics: bool,
        outer: tuple[Frame, ...],
    ) -> None:
        self.assembler = assembler
        self.function = function
        self.file = function.__code__.co_filename
        self.memory = memory
        self.statistics = statistics
        self.outer = outer
        self.names: dict[str, Value] = {}

    def refuse(self, node: ast.AST, reason: str) -> SchemeSourceError:
        """Return the error for a piece of this function."""
        return refused(self.file, node, f"{reason} (in {self.function.__name__})")

    def at(self, node: ast.AST) -> None:
        """Let what is emitted next come from the line of `node`."""
        self.assembler.position = (*self.outer, frame(self.function, node))

    def call_sibling(
        self, node: ast.Call, function: FunctionType, arguments: Sequence[Value], *, wanted: bool
    ) -> Operand:
        """Lower the body of a function in place of its call."""
        raise NotImplementedError

    def operand(self, node: ast.expr) -> Operand:
        """Lower an expression that must be a number."""
        value = self.value(node)
        if isinstance(value, int | Register):
            return value
        raise self.refuse(node, f"{ast.unparse(node)} is no number: a scheme reckons with integers")

    def value(self, node: ast.expr) -> Value:
        """Lower an expression; constants are folded."""
        lowered: Value | None = None
        match node:
            case ast.Constant(value=bool() | int() as number):
                lowered = int(number)
            case ast.Name():
                lowered = self._name(node)
            case ast.BinOp():
                lowered = self._binary(node)
            case ast.UnaryOp():
                lowered = self._unary(node)
            case ast.Compare():
                lowered = self._compare(node)
            case ast.BoolOp():
                lowered = self._and_or(node)
            case ast.IfExp():
                lowered = self._choice(node)
            case ast.Call():
                lowered = self.call(node, wanted=True)
        if lowered is None:
            raise self.refuse(node, f"{type(node).__name__} is not in the subset: {ast.unparse(node)}")
        return lowered

    def arithmetic(self, code: Code, a: Operand, b: Operand, node: ast.AST) -> Operand:
        """Reckon now if both are constants, else when the thread runs."""
        if isinstance(a, Register) or isinstance(b, Register):
            target = self.assembler.register()
            self.assembler.emit(code, a, b, target=target)
            return target
        try:
            return ARITHMETIC[code](a, b)
        except (ArithmeticError, ValueError) as error:
            raise self.refuse(node, f"{ast.unparse(node)}: {error}") from error

    def binary_code(self, operator: ast.operator, node: ast.AST) -> Code:
        """Return the instruction of an operator."""
        code = _BINARY.get(type(operator))
        if code is None:
            raise self.refuse(node, f"the operator {type(operator).__name__} is not in the subset")
        return code

    def _name(self, node: ast.Name) -> Value:
        if node.id in self.names:
            return self.names[node.id]
        if node.id in self.function.__code__.co_varnames:
            raise self.refuse(node, f"{node.id} is not assigned here (a loop's variable ends with its loop)")
        value = self.function.__globals__.get(node.id)
        if isinstance(value, int):
            return int(value)
        if isinstance(value, Word):
            return value
        raise self.refuse(node, f"{node.id} is neither a variable, an integer constant nor a word")

    def _binary(self, node: ast.BinOp) -> Operand:
        code = self.binary_code(node.op, node)
        left = self.operand(node.left)
        return self.arithmetic(code, left, self.operand(node.right), node)

    def _unary(self, node: ast.UnaryOp) -> Operand:
        value = self.operand(node.operand)
        match node.op:
            case ast.USub():
                return self.arithmetic(Code.SUB, 0, value, node)
            case ast.UAdd():
                return value
            case ast.Invert():
                return self.arithmetic(Code.XOR, value, -1, node)
            case ast.Not():
                return self.arithmetic(Code.EQ, value, 0, node)
        raise self.refuse(node, "this operator is not in the subset")

    def _compare(self, node: ast.Compare) -> Operand:
        if len(node.ops) != 1 or type(node.ops[0]) not in _COMPARISONS:
            raise self.refuse(node, "only one comparison at a time, of two numbers")
        code, swapped = _COMPARISONS[type(node.ops[0])]
        left = self.operand(node.left)
        right = self.operand(node.comparators[0])
        return self.arithmetic(code, right, left, node) if swapped else self.arithmetic(code, left, right, node)

    def _and_or(self, node: ast.BoolOp) -> Operand:
        """Lower and/or: what follows the value that decides is not run, so its accesses do not happen."""
        decided = isinstance(node.op, ast.Or)
        skip = Code.JUMP_UNLESS_ZERO if decided else Code.JUMP_IF_ZERO
        target, jumps = self.assembler.register(), []
        last: Operand = 0
        for number, part in enumerate(node.values):
            last = self.operand(part)
            final = number == len(node.values) - 1
            if isinstance(last, int) and bool(last) is not decided and not final:
                continue
            if final or isinstance(last, int):
                break
            self.assembler.emit(Code.MOVE, last, target=target)
            jumps.append(self.assembler.emit(skip, target))
        if not jumps:
            return last
        self.assembler.emit(Code.MOVE, last, target=target)
        self.assembler.land(jumps)
        return target

    def _choice(self, node: ast.IfExp) -> Operand:
        test = self.operand(node.test)
        if isinstance(test, int):
            return self.operand(node.body if test else node.orelse)
        target = self.assembler.register()
        otherwise = self.assembler.emit(Code.JUMP_IF_ZERO, test)
        self.assembler.emit(Code.MOVE, self.operand(node.body), target=target)
        end = self.assembler.emit(Code.JUMP)
        self.assembler.land([otherwise])
        self.assembler.emit(Code.MOVE, self.operand(node.orelse), target=target)
        self.assembler.land([end])
        return target

    def call(self, node: ast.Call, *, wanted: bool) -> Operand:
        """Lower a call of an operation of ops.py or of a sibling; `wanted` says whether its value is used."""
        function = self.function.__globals__.get(node.func.id) if isinstance(node.func, ast.Name) else None
        if not isinstance(function, FunctionType):
            raise self.refuse(
                node, f"{ast.unparse(node.func)} is neither an operation of ops nor a function of the scheme"
            )
        if node.keywords:
            raise self.refuse(node, "arguments are given by position")
        arguments = [self.value(argument) for argument in node.args]
        if not arguments or arguments[0] is not MEMORY:
            raise self.refuse(node, "the first argument of every call is the memory m")
        self.at(node)
        if function.__module__ == ops.__name__:
            return self._primitive(node, function.__name__, arguments[1:])
        if function.__module__ == locks.__name__:
            return self._lock(node, function.__name__, arguments[1:])
        return self.call_sibling(node, function, arguments, wanted=wanted)

    def _primitive(self, node: ast.Call, name: str, arguments: Sequence[Value]) -> Operand:
        primitive = PRIMITIVES.get(name)
        if primitive is None:
            raise self.refuse(node, f"{name} has no row in ops.PRIMITIVES")
        if primitive.access is not Access.NONE:
            return self._access(node, primitive, arguments)
        if primitive.effect == "barrier":
            self.assembler.emit(Code.BARRIER, primitive=primitive)
            return 0
        return self._surroundings(node, name, arguments)

    def _access(self, node: ast.Call, primitive: Primitive, arguments: Sequence[Value]) -> Operand:
        """Lower an access to a word: (word, index) or (word, index, argument)."""
        if not is_known(primitive):
            raise self.refuse(
                node, f"the checker knows no effect {primitive.effect!r} with the result {primitive.result!r}"
            )
        expected = 3 if primitive.effect in TAKES_ARGUMENT else 2
        if len(arguments) != expected:
            raise self.refuse(node, f"{primitive.name} takes {expected} arguments after m, not {len(arguments)}")
        word, index, argument = arguments[0], arguments[1], arguments[2] if expected == 3 else 0
        if (
            not isinstance(word, Word)
            or not isinstance(index, int | Register)
            or not isinstance(argument, int | Register)
        ):
            raise self.refuse(node, f"{primitive.name} takes a word, an index and numbers")
        return self._emit_access(primitive, word, index, argument)

    def _emit_access(self, primitive: Primitive, word: Word, index: Operand, argument: Operand) -> Operand:
        target = None if primitive.result == "none" else self.assembler.register()
        self.assembler.emit(Code.ACCESS, index, argument, target=target, primitive=primitive, word=word)
        return 0 if target is None else target

    def _surroundings(self, node: ast.Call, name: str, arguments: Sequence[Value]) -> Operand:
        constant = constant_answer(name, self.memory)
        if constant is not None:
            return constant
        if name == "mod_stat":
            return self._statistic(node, arguments)
        access = shared_access(name)
        if access is None:
            raise self.refuse(node, f"the checker does not know what {name} asks or tells")
        if name == "deferred_split_folio" and not is_queued(self.memory):
            return 0
        return self._emit_access(*access, 0, 0)

    def _lock(self, node: ast.Call, name: str, arguments: Sequence[Value]) -> Operand:
        if len(arguments) != 1 or not isinstance(arguments[0], int):
            raise self.refuse(node, f"{name} takes the number of a lock, a constant")
        if name == "release":
            self.assembler.emit(Code.RELEASE, arguments[0])
        else:
            self.assembler.emit(Code.HOLD, arguments[0], int(name == "hold_shared"))
        return 0

    def _statistic(self, node: ast.Call, arguments: Sequence[Value]) -> Operand:
        if len(arguments) != 3 or not isinstance(arguments[1], int) or not isinstance(arguments[2], int | Register):
            raise self.refuse(node, "mod_stat takes a folio, a constant number of a statistic, and pages")
        if self.statistics:
            self.assembler.emit(Code.STATISTIC, arguments[1], arguments[2])
        return 0
