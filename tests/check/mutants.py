"""Mutants of a scheme's source: a step dropped, two steps swapped, an atomic step made of a load and a store."""

from __future__ import annotations

import ast
import importlib
import inspect
import itertools
from typing import NamedTuple

from check.tiny import load
from mapcount.schemes.catalogue import LOADED
from mapcount.schemes.ops import PRIMITIVES, Access

FUNCTIONS = ("map_ptes", "unmap_ptes", "map_pmd", "unmap_pmd", "dup_ptes")
PLAIN = {"atomic_inc": "+ 1", "atomic_dec": "- 1", "atomic_add": "+ {}", "atomic_sub": "- {}"}
_number = itertools.count()


class Mutant(NamedTuple):
    kind: str
    function: str
    says: str
    source: str


def mutants(scheme):
    """Yield every mutant of the operations in the scheme's own module."""
    source = inspect.getsource(importlib.import_module(scheme.module))
    for function in ast.parse(source).body:
        if isinstance(function, ast.FunctionDef) and function.name in FUNCTIONS:
            for block in _blocks(function):
                yield from _of_block(source, function.name, block)


def _blocks(node):
    for one in ast.walk(node):
        for name in ("body", "orelse"):
            block = getattr(one, name, None)
            if isinstance(block, list):
                yield block


def _called(statement):
    is_call = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)
    return statement.value.func.id if is_call and isinstance(statement.value.func, ast.Name) else ""


def _counts(statement):
    """Whether it changes a word, itself or by a helper; what is told of statistics or to the queue is not meant."""
    name = _called(statement)
    if name in PRIMITIVES:
        return PRIMITIVES[name].access in {Access.LOCKED, Access.STORE}
    return bool(name) and not name.startswith(("mod_", "queue_", "deferred_", "smp_"))


def _of_block(source, function, block):
    for statement in filter(_counts, block):
        told = ast.unparse(statement)
        yield Mutant("drop", function, f"without {told}", _replaced(source, [statement], ["pass"]))
        plain = _plain(statement)
        if plain:
            yield Mutant("not atomic", function, f"plain {told}", _replaced(source, [statement], [plain]))
    for one, other in itertools.pairwise(block):
        if _counts(one) and _counts(other):
            texts = [ast.unparse(other), ast.unparse(one)]
            yield Mutant("swap", function, " before ".join(texts), _replaced(source, [one, other], texts))


def _plain(statement):
    name = _called(statement)
    if name not in PLAIN:
        return ""
    _, word, index, *by = map(ast.unparse, statement.value.args)
    return f"store(m, {word}, {index}, read(m, {word}, {index}) {PLAIN[name].format(*by)})"


def _replaced(source, statements, texts):
    lines = source.splitlines(keepends=True)
    for statement, text in zip(reversed(statements), reversed(texts), strict=True):
        first = lines[statement.lineno - 1]
        lines[statement.lineno - 1 : statement.end_lineno] = [first[: statement.col_offset] + text + "\n"]
    return "".join(lines)


def loaded(path, scheme, mutant):
    """Load a mutant as a design of its own; return its id."""
    name = f"mutant-{next(_number)}"
    needed = "from mapcount.schemes.ops import read, store\n" if mutant.kind == "not atomic" else ""
    source = mutant.source.replace("if TYPE_CHECKING:", needed + "if TYPE_CHECKING:", 1)
    module = load(path, source.replace(f'id="{scheme.id}"', f'id="{name}"'), name.replace("-", "_"))
    LOADED[name] = module.SCHEME
    return name
