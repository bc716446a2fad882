"""Dataclasses that are quick to define: all share their methods, of which `dataclass` compiles six for each class.

Compiling them was two thirds of what a capture took to start, Python and numpy apart (benchmarks.md). Here one is left, the
initializer. To type checkers `record` is `dataclass`, and `dataclasses.fields` and `replace` work as ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["record"]

if TYPE_CHECKING:
    from dataclasses import dataclass as record
else:
    from dataclasses import FrozenInstanceError, dataclass
    from functools import partial

    def record(cls: type | None = None, *, frozen: bool = False, eq: bool = True) -> Any:
        """
        Do as `dataclasses.dataclass` does. A field of a frozen record can be set once, which its initializer does.

        That costs 0.06 us a field more than a dataclass takes; defining one of nine fields takes a quarter of the time.
        """
        if cls is None:
            return partial(record, frozen=frozen, eq=eq)
        dataclass(cls, repr=False, eq=False)
        cls.__repr__ = _repr
        if frozen:
            cls.__setattr__, cls.__delattr__ = _set_once, _refuse_to_delete
        if eq:
            cls.__eq__ = _equal
            cls.__hash__ = _hash if frozen else None
        return cls

    def _values(self: Any) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self.__dataclass_fields__)

    def _repr(self: Any) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__dataclass_fields__)
        return f"{type(self).__qualname__}({shown})"

    def _equal(self: Any, other: object) -> bool:
        return _values(self) == _values(other) if type(other) is type(self) else NotImplemented

    def _hash(self: Any) -> int:
        return hash(_values(self))

    def _set_once(self: Any, name: str, value: Any) -> None:
        if name in self.__dict__ or name not in self.__dataclass_fields__:
            raise FrozenInstanceError(f"cannot assign to field {name!r} of {type(self).__qualname__}")
        self.__dict__[name] = value

    def _refuse_to_delete(self: Any, name: str) -> None:
        raise FrozenInstanceError(f"cannot delete field {name!r} of {type(self).__qualname__}")
