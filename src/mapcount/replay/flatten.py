"""Calls among a scheme's functions, flattened into one list of statements: constants folded, dead branches gone.

All functions that a driver reaches become part of it: what is translated needs no calls, and LLVM sees the whole. Each
function's locals get a number of their own; a parameter that is never assigned is replaced by what is passed; every operation
becomes a few statements in the order in which Python would have evaluated them; `return` becomes an assignment and a way
around the rest.
"""

from __future__ import annotations

import ast
import functools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn

from mapcount.replay.subset import BINARY, COMPARISONS, UNARY, Source, read_source
from mapcount.schemes import ops

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FunctionType

    from mapcount.schemes.words import Word

INT = "_int64"
"""In emitted text: makes an integer of what Python takes for one, a bool or a word."""


@dataclass(frozen=True)
class _Scope:
    """One call that is being flattened."""

    source: Source
    number: int
    bound: Mapping[str, ast.expr]
    """Parameters that stand for what was passed."""
    result: str
    flag: str = ""
    """Inside a loop that returns: the variable that says it did."""
    callers: tuple[str, ...] = ()

    def local(self, name: str) -> str:
        """Return the unique name of a local variable."""
        return f"{name}_{self.number}"


class Flattener:
    """
    Makes statements of calls.

    `helpers` are the functions that may be called. `operation` gives an operation's statements and the expression of its
    result (empty if it has none), for its name, word and arguments, which are names and numbers; ValueError if it cannot.
    `finish` may rewrite the statements of a call.
    """

    def __init__(
        self,
        helpers: Mapping[str, FunctionType],
        operation: Callable[[str, Word | None, list[str]], tuple[list[str], str]],
        finish: Callable[[list[ast.stmt]], list[ast.stmt]] = list,
    ) -> None:
        self._helpers = helpers
        self._finish = finish
        self._operation = operation
        self._sources: dict[str, Source] = {}
        self._count = 0

    def call(self, name: str, arguments: list[str]) -> tuple[list[str], str]:
        """
        Return the statements of a call with these arguments (names), and the name that holds its result then.

        Raises SchemeSourceError where the source leaves the subset.
        """
        out: list[ast.stmt] = []
        passed: list[ast.expr] = [ast.Name(argument, ast.Load()) for argument in arguments]
        result = self._inline(name, passed, (), out)
        lines = ast.unparse(ast.Module(self._finish(out), [])).splitlines()
        return lines, ast.unparse(result)

    # Functions.

    def _inline(self, name: str, arguments: list[ast.expr], callers: tuple[str, ...], out: list[ast.stmt]) -> ast.expr:
        if name not in self._sources:
            self._sources[name] = read_source(self._helpers[name])
        source = self._sources[name]
        self._count += 1
        scope = _Scope(source, self._count, {}, f"{name}_{self._count}", "", (*callers, name))
        bound = {}
        for parameter, argument in zip(source.parameters, arguments, strict=True):
            if parameter in source.assigned:
                out.append(_assign(scope.local(parameter), argument))
            else:
                bound[parameter] = argument
        out += self._block(source.body, replace(scope, bound=bound))
        return _name(scope.result)

    def _block(self, statements: list[ast.stmt], scope: _Scope) -> list[ast.stmt]:
        """Flatten statements, of which none after a `return` counts."""
        out: list[ast.stmt] = []
        for place, node in enumerate(statements):
            if isinstance(node, (ast.Return, ast.Break, ast.Continue)):
                self._leave(node, scope, out)
                return out
            if node in scope.source.returning and isinstance(node, ast.If) and not scope.flag:
                self._if(node, statements[place + 1 :], scope, out)
                return out
            if node in scope.source.returning and isinstance(node, (ast.For, ast.While)):
                self._loop_that_returns(node, statements[place + 1 :], scope, out)
                return out
            self._statement(node, scope, out)
        return out

    def _leave(self, node: ast.stmt, scope: _Scope, out: list[ast.stmt]) -> None:
        if not isinstance(node, ast.Return):
            out.append(node)
            return
        if node.value is not None:
            out.append(_assign(scope.result, self._expression(node.value, scope, out)))
        if scope.flag:
            out += [_assign(scope.flag, ast.Constant(1)), ast.Break()]

    def _if(self, node: ast.If, rest: list[ast.stmt], scope: _Scope, out: list[ast.stmt]) -> None:
        """What follows an `if` that returns belongs to the branches that do not."""
        test = self._expression(node.test, scope, out)
        if isinstance(test, ast.Constant):
            out += self._block((node.body if test.value else node.orelse) + rest, scope)
            return
        body, orelse = (self._block(branch + rest, scope) for branch in (node.body, node.orelse))
        out.append(ast.If(test, body or [ast.Pass()], orelse))

    def _loop_that_returns(
        self, node: ast.For | ast.While, rest: list[ast.stmt], scope: _Scope, out: list[ast.stmt]
    ) -> None:
        self._count += 1
        flag = f"returned_{self._count}"
        out.append(_assign(flag, ast.Constant(0)))
        self._loop(node, replace(scope, flag=flag), out)
        if scope.flag:  # it is inside another loop that returns
            out.append(ast.If(_name(flag), [_assign(scope.flag, ast.Constant(1)), ast.Break()], []))
            out += self._block(rest, scope)
            return
        after = self._block(rest, scope)
        if after:
            out.append(ast.If(ast.UnaryOp(ast.Not(), _name(flag)), after, []))

    # Statements.

    def _statement(self, node: ast.stmt, scope: _Scope, out: list[ast.stmt]) -> None:
        match node:
            case ast.Expr(value=ast.Constant(value=str())) | ast.Pass():
                pass
            case ast.Expr(value=ast.Call() as call):
                self._call(call, scope, out)
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                out.append(_assign(scope.local(name), self._expression(value, scope, out)))
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                out.append(_assign(scope.local(name), self._expression(value, scope, out)))
            case ast.AugAssign(target=ast.Name(id=name), op=operator, value=value) if type(operator) in BINARY:
                right = self._expression(value, scope, out)
                out.append(_assign(scope.local(name), ast.BinOp(_name(scope.local(name)), operator, right)))
            case ast.If():
                test = self._expression(node.test, scope, out)
                if isinstance(test, ast.Constant):
                    out += self._block(node.body if test.value else node.orelse, scope)
                else:
                    body, orelse = self._block(node.body, scope), self._block(node.orelse, scope)
                    out.append(ast.If(test, body or [ast.Pass()], orelse))
            case ast.For() | ast.While():
                self._loop(node, replace(scope, flag=""), out)
            case _:
                scope.source.outside(node)

    def _loop(self, node: ast.For | ast.While, scope: _Scope, out: list[ast.stmt]) -> None:
        if node.orelse:
            scope.source.refuse(node, "a loop with `else` cannot be compiled")
        if isinstance(node, ast.While):
            tests: list[ast.stmt] = []
            test = self._expression(node.test, scope, tests)
            leave: list[ast.stmt] = [ast.If(ast.UnaryOp(ast.Not(), test), [ast.Break()], [])]
            out.append(ast.While(ast.Constant(1), tests + leave + self._block(node.body, scope), []))
            return
        match node:
            case ast.For(target=ast.Name(id=name), iter=ast.Call(func=ast.Name(id="range"), keywords=[]) as over):
                bounds = [self._expression(argument, scope, out) for argument in over.args]
                called = ast.Call(_name("range"), bounds, [])
                body = self._block(node.body, scope) or [ast.Pass()]
                out.append(ast.For(ast.Name(scope.local(name), ast.Store()), called, body, [], lineno=0))
            case _:
                scope.source.refuse(node, "only `for NAME in range(...)` can be compiled")

    # Expressions: what is returned has no effect and may be evaluated later, until a local of this function changes.

    def _expression(self, node: ast.expr, scope: _Scope, out: list[ast.stmt]) -> ast.expr:  # noqa: PLR0911, RET503 (one a form; _outside raises)
        match node:
            case ast.Constant(value=int() as number):
                return ast.Constant(scope.source.fits(node, number))
            case ast.Name(id=name):
                if name in scope.bound:
                    return scope.bound[name]
                if name in scope.source.locals:
                    return _name(scope.local(name))
                return ast.Constant(scope.source.constant(node))
            case ast.BinOp(left=left, op=operator, right=right) if type(operator) in BINARY:
                operands = [self._expression(operand, scope, out) for operand in (left, right)]
                return self._folded(node, BINARY[type(operator)], operands, scope) or ast.BinOp(
                    operands[0], operator, operands[1]
                )
            case ast.UnaryOp(op=operator, operand=operand) if type(operator) in UNARY:
                [value] = operands = [self._expression(operand, scope, out)]
                return self._folded(node, UNARY[type(operator)], operands, scope) or ast.UnaryOp(operator, value)
            case ast.Compare(left=left, ops=[operator], comparators=[right]) if type(operator) in COMPARISONS:
                operands = [self._expression(operand, scope, out) for operand in (left, right)]
                return self._folded(node, COMPARISONS[type(operator)], operands, scope) or ast.Compare(
                    operands[0], [operator], operands[1:]
                )
            case ast.BoolOp(op=operator, values=[first, *others]):
                return self._junction(operator, first, others, scope, out)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self._choice(self._expression(test, scope, out), body, orelse, scope, out)
            case ast.Call():
                return self._call(node, scope, out)
        self._outside(node, scope)

    def _outside(self, node: ast.expr, scope: _Scope) -> NoReturn:
        if isinstance(node, ast.Compare) and len(node.ops) > 1:
            scope.source.refuse(node, "a comparison of more than two values cannot be compiled; use `and`")
        scope.source.outside(node)

    def _folded(
        self, node: ast.expr, compute: Callable[..., int], operands: list[ast.expr], scope: _Scope
    ) -> ast.Constant | None:
        """Return what an operator makes of numbers; None unless all operands are numbers."""
        values = [operand.value for operand in operands if isinstance(operand, ast.Constant)]
        if len(values) < len(operands):
            return None
        try:
            return ast.Constant(scope.source.fits(node, compute(*values)))
        except (ArithmeticError, ValueError) as error:
            scope.source.refuse(node, str(error))

    def _junction(
        self, operator: ast.boolop, first: ast.expr, others: list[ast.expr], scope: _Scope, out: list[ast.stmt]
    ) -> ast.expr:
        """`and`, `or`: the others are evaluated if the first does not decide."""
        value = self._expression(first, scope, out)
        if not others:
            return value
        ends = isinstance(operator, ast.Or)
        if isinstance(value, ast.Constant):
            return value if bool(value.value) == ends else self._junction(operator, others[0], others[1:], scope, out)
        work: list[ast.stmt] = []
        rest = self._junction(operator, others[0], others[1:], scope, work)
        if not work:
            return ast.BoolOp(operator, [value, rest])
        chosen = self._temporary(value, out)
        test = ast.UnaryOp(ast.Not(), chosen) if ends else chosen
        out.append(ast.If(test, [*work, _assign(chosen.id, rest)], []))
        return chosen

    def _choice(self, test: ast.expr, body: ast.expr, orelse: ast.expr, scope: _Scope, out: list[ast.stmt]) -> ast.expr:
        if isinstance(test, ast.Constant):
            return self._expression(body if test.value else orelse, scope, out)
        chosen = self._fresh()
        branches: list[list[ast.stmt]] = []
        for branch in (body, orelse):
            work: list[ast.stmt] = []
            value = self._expression(branch, scope, work)
            branches.append([*work, _assign(chosen, value)])
        out.append(ast.If(test, *branches))
        return _name(chosen)

    def _call(self, node: ast.Call, scope: _Scope, out: list[ast.stmt]) -> ast.expr:
        called = scope.source.callee(node)
        name = called.__name__
        if called.__module__ == ops.__name__:
            return self._operation_call(node, name, scope, out)
        helper = self._helpers.get(name)
        if helper is None or helper.__code__ is not called.__code__:
            scope.source.refuse(node, f"{name} is no function of the scheme")
        if name in scope.callers:
            scope.source.refuse(node, f"{name} calls itself; recursion cannot be compiled")
        if called.__code__.co_argcount != len(node.args):
            scope.source.refuse(node, f"{name} takes {called.__code__.co_argcount} arguments")
        return self._inline(name, self._arguments(node.args[1:], scope, out), scope.callers, out)

    def _operation_call(self, node: ast.Call, name: str, scope: _Scope, out: list[ast.stmt]) -> ast.expr:
        word, others = scope.source.word_of(node, name)
        arguments = [_text(argument) for argument in self._arguments(others, scope, out)]
        try:
            statements, result = self._operation(name, word, arguments)
        except (ValueError, IndexError) as error:
            scope.source.refuse(node, str(error) or f"{name} lacks an argument")
        out += _parsed("\n".join(statements)).body
        return self._temporary(_parsed(result).body[0].value, out) if result else ast.Constant(0)

    def _arguments(self, nodes: list[ast.expr], scope: _Scope, out: list[ast.stmt]) -> list[ast.expr]:
        """Evaluate arguments to names and numbers: where they are used, nothing is evaluated twice, or too late."""
        made = [self._expression(node, scope, out) for node in nodes]
        return [value if isinstance(value, (ast.Name, ast.Constant)) else self._temporary(value, out) for value in made]

    def _temporary(self, value: ast.expr, out: list[ast.stmt]) -> ast.Name:
        name = self._fresh()
        out.append(_assign(name, value))
        return _name(name)

    def _fresh(self) -> str:
        self._count += 1
        return f"t_{self._count}"


@functools.cache
def _parsed(text: str) -> Any:
    """Parse statements, or one expression as a statement. Nobody changes the nodes."""
    return ast.parse(text)


def _text(argument: ast.expr) -> str:
    return argument.id if isinstance(argument, ast.Name) else ast.unparse(argument)


def _name(name: str) -> ast.Name:
    return ast.Name(name, ast.Load())


def _assign(name: str, value: ast.expr) -> ast.stmt:
    """Assign an integer, also where Python would keep a bool."""
    truth = isinstance(value, (ast.Compare, ast.BoolOp)) or (
        isinstance(value, ast.UnaryOp) and isinstance(value.op, ast.Not)
    )
    kept = ast.Call(_name(INT), [value], []) if truth else value
    return ast.Assign([ast.Name(name, ast.Store())], kept, lineno=0)  # unparse asks for it
