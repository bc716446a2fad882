"""Pages that a loop touches one after the other, noted once as a range: exact costs without a list, and without the time.

A loop over `range(a, b)` that in every turn touches a word of the page of its own number touches all pages of [a, b); one
over `range(b - 1, a - 1, -1)` does so as well. Other touches of that page in a turn change nothing. A loop that may leave
early, or changes what its bounds are made of, stays as it is.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

TOUCH = "low, high, gap = touch(low, high, gap, {0})"
"""Notes that a word of a page was touched."""
TOUCH_RANGE = "low, high, gap = touch_range(low, high, gap, {0}, {1})"
"""Notes the same of the pages [first, end)."""


def with_ranges(statements: Iterable[ast.stmt]) -> list[ast.stmt]:
    """Return the statements with the touches of such loops behind them. The nodes given stay as they are."""
    made: list[ast.stmt] = []
    for node in statements:
        match node:
            case ast.For(target=ast.Name(id=page), iter=ast.Call(args=[first, end]), body=body):
                made += _loop(node, page, first, end, with_ranges(body))
            case ast.For(target=ast.Name(id=page), iter=ast.Call(args=[last, before, step]), body=body) if _is_down(
                step
            ):
                first, end = (ast.BinOp(bound, ast.Add(), ast.Constant(1)) for bound in (before, last))
                made += _loop(node, page, first, end, with_ranges(body))
            case ast.For():
                made.append(ast.For(node.target, node.iter, with_ranges(node.body), [], lineno=0))
            case ast.While():
                made.append(ast.While(node.test, with_ranges(node.body), []))
            case ast.If():
                made.append(ast.If(node.test, with_ranges(node.body), with_ranges(node.orelse)))
            case _:
                made.append(node)
    return made


def _loop(node: ast.For, page: str, first: ast.expr, end: ast.expr, body: list[ast.stmt]) -> list[ast.stmt]:
    every = [inner for statement in body for inner in ast.walk(statement)]
    changed = {inner.id for inner in every if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store)}
    used = {inner.id for bound in (first, end) for inner in ast.walk(bound) if isinstance(inner, ast.Name)}
    leaves = any(isinstance(inner, (ast.Break, ast.Continue)) for inner in every)
    if leaves or page in changed or used & changed or not any(_touches(statement, page) for statement in body):
        return [ast.For(node.target, node.iter, body, [], lineno=0)]
    noted = ast.parse(TOUCH_RANGE.format(ast.unparse(first), ast.unparse(end))).body
    return [ast.For(node.target, node.iter, _without(body, page) or [ast.Pass()], [], lineno=0), *noted]


def _without(body: list[ast.stmt], page: str) -> list[ast.stmt]:
    """Leave out the touches of a page, also those under conditions."""
    made: list[ast.stmt] = []
    for node in body:
        if isinstance(node, ast.If):
            made.append(ast.If(node.test, _without(node.body, page) or [ast.Pass()], _without(node.orelse, page)))
        elif not _touches(node, page):
            made.append(node)
    return made


def _is_down(step: ast.expr) -> bool:
    """Tell whether a step is -1."""
    return ast.unparse(step) == "-1"


def _touches(node: ast.stmt, page: str) -> bool:
    match node:
        case ast.Assign(value=ast.Call(func=ast.Name(id="touch"), args=[*_, ast.Name(id=touched)])):
            return touched == page
    return False
