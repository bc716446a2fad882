"""The source of a scheme's function, and how to refuse a piece of it by file, line and column."""

from __future__ import annotations

import ast
import functools
import linecache
from typing import TYPE_CHECKING

from mapcount.errors import SchemeSourceError

if TYPE_CHECKING:
    from types import FunctionType


def definition(function: FunctionType) -> ast.FunctionDef:
    """Return the syntax tree of a function, with the lines and columns of its file. SchemeSourceError if there is none."""
    file, line = function.__code__.co_filename, function.__code__.co_firstlineno
    found = _definitions(file, "".join(linecache.getlines(file, function.__globals__))).get(line)
    if found is None:
        raise SchemeSourceError(f"{file}:{line}: {function.__name__} has no source that could be lowered")
    return found


@functools.lru_cache(maxsize=64)
def _definitions(file: str, text: str) -> dict[int, ast.FunctionDef]:
    """Return all plain functions of a file by the line that their code object names."""
    return {
        min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)]): node
        for node in ast.walk(ast.parse(text, file))
        if isinstance(node, ast.FunctionDef)
    }


def refused(file: str, node: ast.AST, reason: str) -> SchemeSourceError:
    """Return the error for a piece of source that the checker cannot lower."""
    line, column = getattr(node, "lineno", 0), getattr(node, "col_offset", 0) + 1
    return SchemeSourceError(f"{file}:{line}:{column}: {reason}")
