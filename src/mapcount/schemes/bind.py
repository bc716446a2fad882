"""A scheme in one variant, ready to be called: functions with the variant's constants in place of the module's."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from types import FunctionType
from typing import TYPE_CHECKING, Any

from mapcount.errors import UsageError
from mapcount.schemes import dispatch, ops
from mapcount.schemes.memory import Memory
from mapcount.schemes.scheme import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mapcount.schemes.scheme import Scheme


@dataclass(frozen=True)
class BoundScheme:
    """
    A scheme in one variant: the variant's words and invariants are the scheme's here.

    `functions` are its operations and readers by name, and `apply` (dispatch.py), which chooses among them; `helpers` are
    these and all functions they call. Constants of the variant are in place; `constants` lists those that differ from the
    modules' own.
    """

    scheme: Scheme
    variant: str
    constants: Mapping[str, int]
    functions: Mapping[str, Callable[..., Any]]
    helpers: Mapping[str, FunctionType]

    @property
    def id(self) -> str:
        """`name` or `name:variant`."""
        return f"{self.scheme.id}:{self.variant}" if self.variant else self.scheme.id

    @property
    def lookups(self) -> frozenset[str]:
        """The questions about who maps the folio that it asks its surroundings: of ops.LOOKUPS."""
        return ops.LOOKUPS.intersection(name for one in self.helpers.values() for name in one.__code__.co_names)

    def memory(self, orders: Sequence[int], kinds: Sequence[int], *, record: bool = False) -> Memory:
        """Return plain-Python memory for folios of these orders and kinds, none of them mapped."""
        return Memory(self.scheme.places, orders, kinds, record=record)


def bind(scheme: Scheme, variant: str = "", constants: Mapping[str, int] | None = None) -> BoundScheme:
    """
    Return the functions of a scheme in a variant, with `constants` (a checker's small ones) over the variant's.

    Raises UsageError for an unknown variant or a constant that none of its functions has.
    """
    if variant and variant not in scheme.variants:
        known = ", ".join(scheme.variants) or "none"
        raise UsageError(f"{scheme.id} has no variant {variant!r}; it has: {known}")
    wanted: dict[str, int] = {}
    if variant:
        chosen = scheme.variants[variant]
        wanted |= chosen.constants
        scheme = replace(
            scheme, places=chosen.places or scheme.places, invariants=chosen.invariants or scheme.invariants
        )
    wanted |= constants or {}
    entries = {name: scheme.function(name) for name in (*OPERATIONS, *(reader.name for reader in scheme.readers))}
    found = {name: function for name, function in entries.items() if isinstance(function, FunctionType)}
    lacking = [name for name in OPERATIONS if name not in found]
    if lacking:
        raise UsageError(f"scheme {scheme.id} has no operation {lacking[0]}: {scheme.module} must define it")
    alias = next((name for name, function in found.items() if function.__name__ != name), None)
    if alias:
        raise UsageError(
            f"scheme {scheme.id}: {alias} is {found[alias].__name__} under another name; give it a function of its own"
        )
    closure = functions_called([*found.values(), dispatch.apply], instead=found)
    globals_of = [function.__globals__ for function in closure.values()]
    missing = [name for name in wanted if not any(name in names for names in globals_of)]
    if missing:
        raise UsageError(f"{scheme.id} has no constant {missing[0]!r}")
    rebound: dict[str, FunctionType] = {}
    for name, function in closure.items():
        names = {**function.__globals__, **wanted}
        rebound[name] = copy = FunctionType(function.__code__, names, name, function.__defaults__)
        copy.__module__, copy.__doc__ = function.__module__, function.__doc__
    for copy in rebound.values():
        copy.__globals__.update({name: other for name, other in rebound.items() if name in copy.__code__.co_names})
    functions = {name: rebound[name] for name in (*found, "apply")}
    return BoundScheme(scheme, variant, wanted, functions, rebound)


def functions_called(entries: Any, instead: Mapping[str, FunctionType]) -> dict[str, FunctionType]:
    """
    Return `entries` and all functions that they call, by name, operations of ops.py left out.

    Where dispatch.py calls an operation, it is the one of `instead`. Raises UsageError if two functions share a name: a
    scheme's functions become one flat module.
    """
    found: dict[str, FunctionType] = {}
    waiting = list(entries)
    while waiting:
        function = waiting.pop()
        name = function.__name__
        if name in found:
            if found[name].__code__ is not function.__code__:
                raise UsageError(
                    f"two functions are called {name}: {inspect.getmodule(function)} and {inspect.getmodule(found[name])}"
                )
            continue
        found[name] = function
        for called in function.__code__.co_names:
            value = function.__globals__.get(called)
            if function.__module__ == dispatch.__name__:
                value = instead.get(called, value)
            if isinstance(value, FunctionType) and value.__module__ != ops.__name__:
                waiting.append(value)
    return found
