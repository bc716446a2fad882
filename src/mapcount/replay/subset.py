"""The restricted subset of Python that schemes are written in: a function's source, checked before anything is made of it.

The subset: integer locals, `if`, `while`, `for ... in range(...)`, `break`, `continue`, `return`, arithmetic, comparisons,
`and`, `or`, `not`, conditional expressions, calls to sibling functions and to the operations of schemes/ops.py. Everything
else is refused with file, line and reason.
"""

from __future__ import annotations

import ast
import functools
import inspect
import operator
import textwrap
from dataclasses import dataclass, replace
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, NoReturn, TypeGuard

from mapcount.errors import SchemeSourceError
from mapcount.schemes import ops
from mapcount.schemes.words import Word

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

BINARY: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
}
UNARY: dict[type[ast.unaryop], Callable[[int], int]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Invert: operator.invert,
    ast.Not: operator.not_,
}
COMPARISONS: dict[type[ast.cmpop], Callable[[int, int], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
"""The operators of the subset, and what they make of numbers."""


@dataclass(frozen=True)
class Source:
    """A function of a scheme, as read from its file."""

    name: str
    file: str
    parameters: tuple[str, ...]
    """Without the first, the memory."""
    memory: str
    body: list[ast.stmt]
    assigned: frozenset[str]
    returning: frozenset[ast.stmt]
    """The statements that are or contain a `return`."""
    names: Mapping[str, Any]
    """Its globals: constants of the variant, words, functions."""

    @property
    def locals(self) -> frozenset[str]:
        """Names that are not looked up among the globals."""
        return self.assigned | set(self.parameters)

    def refuse(self, node: ast.AST, reason: str) -> NoReturn:
        """Raise SchemeSourceError for a node."""
        raise SchemeSourceError(f"{self.file}, line {getattr(node, 'lineno', '?')}: {reason}")

    def outside(self, node: ast.AST) -> NoReturn:
        """Refuse a node because of what it is."""
        self.refuse(node, f"{type(node).__name__} is not part of the subset that can be compiled")

    def constant(self, node: ast.Name) -> int:
        """Return the value of a global constant."""
        value = self._global(node, node.id)
        if not isinstance(value, int):
            self.refuse(node, f"{node.id} is no integer, and no constant of the scheme")
        return self.fits(node, value)

    def fits(self, node: ast.AST, value: int) -> int:
        """Return an integer that 64 bits hold."""
        if not -(1 << 63) <= value < 1 << 63:
            self.refuse(node, f"{value} does not fit into 64 bits")
        return int(value)

    def callee(self, node: ast.Call) -> FunctionType:
        """Return the function that is called: it gets the memory first, and plain arguments."""
        if not isinstance(node.func, ast.Name):
            self.refuse(node, "only functions may be called, by their plain name")
        name = node.func.id
        called = None if name in self.locals else self._global(node, name)
        if not isinstance(called, FunctionType):
            self.refuse(node, f"{name} is no function of a scheme")
        first = node.args[0] if node.args else None
        if not isinstance(first, ast.Name) or first.id != self.memory:
            self.refuse(node, f"{name} must be given the memory first")
        if node.keywords or any(isinstance(argument, ast.Starred) for argument in node.args):
            self.refuse(node, f"{name} must be given plain positional arguments")
        return called

    def word_of(self, node: ast.Call, operation: str) -> tuple[Word | None, list[ast.expr]]:
        """Return the word that an operation is about, if it takes one, and the arguments that are left."""
        if operation not in ops.PRIMITIVES:
            self.refuse(node, f"{operation} is not in the table of operations")
        arguments = node.args[1:]
        if ops.PRIMITIVES[operation].effect in {"ask", "look", "tell", "barrier"}:
            return None, arguments
        named = arguments[0] if arguments else None
        word = self._global(node, named.id) if isinstance(named, ast.Name) and named.id not in self.locals else None
        if not isinstance(word, Word):
            self.refuse(node, f"{operation} must be given a word by its name")
        return word, arguments[1:]

    def _global(self, node: ast.AST, name: str) -> Any:
        if name not in self.names:
            self.refuse(node, f"{name} is not known here")
        return self.names[name]


def read_source(function: FunctionType) -> Source:
    """Read a function from its file. Raises SchemeSourceError if it has none, or is no plain function of parameters."""
    return replace(_read(function.__code__), names=function.__globals__)


@functools.cache
def _read(code: CodeType) -> Source:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(code)))
    except (OSError, TypeError, SyntaxError) as error:
        raise SchemeSourceError(
            f"{code.co_filename}, line {code.co_firstlineno}: the source of {code.co_name} cannot be read ({error}); "
            "write it in a file"
        ) from error
    ast.increment_lineno(tree, code.co_firstlineno - 1)
    definition = tree.body[0]
    if not isinstance(definition, ast.FunctionDef):
        raise SchemeSourceError(f"{code.co_filename}, line {code.co_firstlineno}: {code.co_name} is no plain function")
    parameters = [argument.arg for argument in definition.args.args]
    source = Source(
        definition.name,
        code.co_filename,
        tuple(parameters[1:]),
        parameters[0] if parameters else "",
        definition.body,
        frozenset(node.id for node in ast.walk(definition) if _is_stored(node)),
        frozenset(node for node in ast.walk(definition) if isinstance(node, ast.stmt) and _returns(node)),
        {},
    )
    other = definition.args
    if other.vararg or other.kwarg or other.kwonlyargs or other.defaults or other.posonlyargs or not parameters:
        source.refuse(definition, "only plain positional parameters are allowed, the memory first")
    if definition.decorator_list:
        source.refuse(definition, "decorators are not allowed")
    return source


def _is_stored(node: ast.AST) -> TypeGuard[ast.Name]:
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)


def _returns(node: ast.stmt) -> bool:
    return any(isinstance(inner, ast.Return) for inner in ast.walk(node))
