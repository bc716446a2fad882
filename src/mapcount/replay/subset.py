"""One function of a scheme, from its source to specialised source: the restricted subset of Python, constants in place.

The subset: integer locals, `if`, `while`, `for ... in range(...)`, arithmetic, comparisons, calls to sibling functions and
to the operations of schemes/ops.py. Everything else is refused with file, line and reason, before numba sees it.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from types import FunctionType
from typing import TYPE_CHECKING, Any, NoReturn

from mapcount.errors import SchemeSourceError
from mapcount.schemes import ops
from mapcount.schemes.words import Word

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_BINARY = (
    *(ast.Add, ast.Sub, ast.Mult, ast.FloorDiv, ast.Mod),
    *(ast.LShift, ast.RShift, ast.BitAnd, ast.BitOr, ast.BitXor),
)
_UNARY = (ast.USub, ast.UAdd, ast.Invert, ast.Not)
_COMPARISONS = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE)
_TRUTHS = (ast.Compare, ast.BoolOp, ast.IfExp)
INT = "_int64"
"""In emitted text: the type of every local."""


def specialise(
    function: FunctionType, helpers: Mapping[str, FunctionType], operation: Callable[[str, Word | None], str]
) -> str:
    """
    Return the function's source with constants as literals, dead branches, annotations and docstring left out.

    `helpers` are the functions that it may call. `operation` is told each operation used and its word, and names the
    function that stands in for it, which takes the same arguments without the word. Raises SchemeSourceError.
    """
    tree, file = _parse(function)
    return ast.unparse(_Specialiser(function, file, helpers, operation).function(tree))


def _parse(function: FunctionType) -> tuple[ast.FunctionDef, str]:
    code = function.__code__
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError) as error:
        raise SchemeSourceError(
            f"{code.co_filename}, line {code.co_firstlineno}: the source of {function.__name__} cannot be read ({error}); "
            "write it in a file"
        ) from error
    ast.increment_lineno(tree, code.co_firstlineno - 1)
    definition = tree.body[0]
    if not isinstance(definition, ast.FunctionDef):
        raise SchemeSourceError(f"{code.co_filename}, line {code.co_firstlineno}: {function.__name__} is no plain function")
    return definition, code.co_filename


class _Specialiser:
    """Rebuilds one function from what the subset allows: a node without a rule here is refused."""

    def __init__(
        self,
        function: FunctionType,
        file: str,
        helpers: Mapping[str, FunctionType],
        operation: Callable[[str, Word | None], str],
    ) -> None:
        self._globals = function.__globals__
        self._file = file
        self._helpers = helpers
        self._operation = operation
        self._locals: set[str] = set()
        self._memory = ""

    def function(self, tree: ast.FunctionDef) -> ast.FunctionDef:
        """Return the specialised definition."""
        arguments = tree.args
        if arguments.vararg or arguments.kwarg or arguments.kwonlyargs or arguments.defaults or arguments.posonlyargs:
            self._refuse(tree, "only plain positional parameters are allowed")
        if tree.decorator_list:
            self._refuse(tree, "decorators are not allowed")
        if not arguments.args:
            self._refuse(tree, "the first parameter must be the memory")
        self._memory, *_ = names = [argument.arg for argument in arguments.args]
        self._locals = set(names[1:]) | {
            node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        }
        plain = ast.arguments([], [ast.arg(name) for name in names], None, [], [], None, [])
        body = self._block(tree.body) or [ast.Pass()]
        return ast.fix_missing_locations(ast.FunctionDef(tree.name, plain, body, [], lineno=tree.lineno))

    def _block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        return [made for statement in statements for made in self._statement(statement)]

    def _statement(self, node: ast.stmt) -> list[ast.stmt]:
        match node:
            case ast.Expr(value=ast.Constant(value=str())) | ast.Pass():
                return []
            case ast.Expr(value=ast.Call() as call):
                return [ast.Expr(self._call(call))]
            case ast.Return(value=None) | ast.Break() | ast.Continue():
                return [node]
            case ast.Return(value=ast.expr() as value):
                return [ast.Return(self._value(value))]
            case ast.Assign(targets=[ast.Name() as target], value=value):
                return [ast.Assign([target], self._value(value))]
            case ast.AnnAssign(target=ast.Name() as target, value=ast.expr() as value):
                return [ast.Assign([target], self._value(value))]
            case ast.AugAssign(target=ast.Name() as target, op=operator, value=value):
                self._check(isinstance(operator, _BINARY), node, "this operator is not allowed")
                return [ast.AugAssign(target, operator, self._value(value))]
            case ast.If():
                return self._if(node)
            case ast.While(test=test, body=body, orelse=[]):
                return [ast.While(self._expression(test), self._block(body) or [ast.Pass()], [])]
            case ast.For(target=ast.Name() as target, iter=ast.Call(func=ast.Name(id="range")) as over, orelse=[]):
                self._check(not over.keywords, node, "range() takes plain arguments here")
                arguments = [self._value(argument) for argument in over.args]
                called = ast.Call(ast.Name("range", ast.Load()), arguments, [])
                return [ast.For(target, called, self._block(node.body) or [ast.Pass()], [])]
        self._refuse(node, f"{type(node).__name__} is not part of the subset that can be compiled")

    def _if(self, node: ast.If) -> list[ast.stmt]:
        test = self._expression(node.test)
        if isinstance(test, ast.Constant):
            return self._block(node.body if test.value else node.orelse)
        return [ast.If(test, self._block(node.body) or [ast.Pass()], self._block(node.orelse))]

    def _value(self, node: ast.expr) -> ast.expr:
        """An expression whose value is kept or passed on: an integer, also where Python has a bool."""
        made = self._expression(node)
        if isinstance(made, _TRUTHS) or (isinstance(made, ast.UnaryOp) and isinstance(made.op, ast.Not)):
            return ast.Call(ast.Name(INT, ast.Load()), [made], [])
        return made

    def _expression(self, node: ast.expr) -> ast.expr:
        match node:
            case ast.Constant(value=int() as value):
                return self._constant(node, value)
            case ast.Name(id=name):
                return node if name in self._locals else self._constant(node, self._global(node, name))
            case ast.BinOp(left=left, op=operator, right=right) if isinstance(operator, _BINARY):
                return self._folded(node, ast.BinOp(self._expression(left), operator, self._expression(right)))
            case ast.UnaryOp(op=operator, operand=operand) if isinstance(operator, _UNARY):
                return self._folded(node, ast.UnaryOp(operator, self._expression(operand)))
            case ast.Compare(left=left, ops=operators, comparators=others) if all(
                isinstance(operator, _COMPARISONS) for operator in operators
            ):
                others = [self._expression(other) for other in others]
                return self._folded(node, ast.Compare(self._expression(left), operators, others))
            case ast.BoolOp(op=operator, values=values):
                return self._junction(operator, [self._expression(value) for value in values])
            case ast.IfExp(test=test, body=body, orelse=orelse):
                chosen = self._expression(test)
                if isinstance(chosen, ast.Constant):
                    return self._expression(body if chosen.value else orelse)
                return ast.IfExp(chosen, self._value(body), self._value(orelse))
            case ast.Call():
                return self._call(node)
        self._refuse(node, f"{type(node).__name__} is not part of the subset that can be compiled")

    def _call(self, node: ast.Call) -> ast.expr:
        self._check(isinstance(node.func, ast.Name), node, "only functions may be called, by their plain name")
        assert isinstance(node.func, ast.Name)
        name = node.func.id
        self._check(name not in self._locals, node, f"{name} is a local variable here and is called")
        called = self._global(node, name)
        self._check(isinstance(called, FunctionType), node, f"{name} is no function of a scheme")
        first = node.args[0] if node.args else None
        self._check(isinstance(first, ast.Name) and first.id == self._memory, node, f"{name} must be given the memory first")
        self._check(
            not node.keywords and not any(isinstance(argument, ast.Starred) for argument in node.args),
            node,
            f"{name} must be given plain positional arguments",
        )
        if called.__module__ == ops.__name__:
            return self._operation_call(node, called.__name__)
        helper = self._helpers.get(called.__name__)
        self._check(helper is not None and helper.__code__ is called.__code__, node, f"{name} is no function of the scheme")
        return _call(called.__name__, self._memory, [self._value(argument) for argument in node.args[1:]])

    def _operation_call(self, node: ast.Call, name: str) -> ast.expr:
        self._check(name in ops.PRIMITIVES, node, f"{name} is not in the table of operations")
        arguments, word = node.args[1:], None
        if ops.PRIMITIVES[name].effect not in {"ask", "tell", "barrier"}:
            self._check(
                bool(arguments) and isinstance(arguments[0], ast.Name) and arguments[0].id not in self._locals,
                node,
                f"{name} must be given a word by its name",
            )
            assert isinstance(arguments[0], ast.Name)
            word = self._global(node, arguments[0].id)
            self._check(isinstance(word, Word), node, f"{arguments[0].id} is no word")
            arguments = arguments[1:]
        try:
            stand_in = self._operation(name, word)
        except ValueError as error:
            self._refuse(node, str(error))
        return _call(stand_in, self._memory, [self._value(argument) for argument in arguments])

    def _global(self, node: ast.expr, name: str) -> Any:
        if name not in self._globals:
            self._refuse(node, f"{name} is not known here")
        return self._globals[name]

    def _constant(self, node: ast.expr, value: Any) -> ast.Constant:
        self._check(isinstance(value, int), node, f"{ast.unparse(node)} is no integer, and no constant of the scheme")
        self._check(-(1 << 63) <= value < 1 << 63, node, f"{value} does not fit into 64 bits")
        return ast.Constant(int(value))

    def _folded(self, node: ast.expr, made: ast.expr) -> ast.expr:
        if not all(isinstance(child, ast.Constant) for child in ast.iter_child_nodes(made) if isinstance(child, ast.expr)):
            return made
        expression = ast.fix_missing_locations(ast.Expression(made))
        try:
            value = eval(compile(expression, self._file, "eval"), {})  # noqa: S307 (constants and operators alone)
        except (ArithmeticError, ValueError) as error:
            self._refuse(node, str(error))
        return self._constant(node, value)

    def _junction(self, operator: ast.boolop, values: list[ast.expr]) -> ast.expr:
        """`and`, `or`: a constant that decides ends it, one that does not is left out, unless it is the last."""
        kept: list[ast.expr] = []
        for number, value in enumerate(values):
            if isinstance(value, ast.Constant):
                if bool(value.value) == isinstance(operator, ast.Or):
                    kept.append(value)
                    break
                if number < len(values) - 1:
                    continue
            kept.append(value)
        return kept[0] if len(kept) == 1 else ast.BoolOp(operator, kept)

    def _check(self, good: bool, node: ast.AST, reason: str) -> None:  # noqa: FBT001
        if not good:
            self._refuse(node, reason)

    def _refuse(self, node: ast.AST, reason: str) -> NoReturn:
        raise SchemeSourceError(f"{self._file}, line {getattr(node, 'lineno', '?')}: {reason}")


def _call(name: str, memory: str, arguments: list[ast.expr]) -> ast.Call:
    return ast.Call(ast.Name(name, ast.Load()), [ast.Name(memory, ast.Load()), *arguments], [])
