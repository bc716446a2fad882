"""Drivers as machine code: an object file, loaded by LLVM and called by address."""

from __future__ import annotations

import ctypes
import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from mapcount.replay.emit import arrays_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

    from mapcount.schemes.bind import BoundScheme

    _Function = Callable[[int, int, int, int], int]

_PROTOTYPE = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)


class Drivers:
    """`run_rows` and `ask` of one scheme, with costs or without. What they do: emit.py."""

    def __init__(self, scheme: BoundScheme, name: str, code: bytes, *, cost: bool) -> None:
        """Load an object file in which the drivers are called DRIVER_NAME."""
        found = _load(code, [f"{driver}_{name}" for driver in (("run_rows",) if cost else ("run_rows", "ask"))])
        self._run_rows, *self._ask = found
        self._taken_to_run = arrays_of(scheme, "run_rows", cost=cost)
        self._taken_to_ask = arrays_of(scheme, "ask", cost=cost)

    def run_rows(self, arrays: Mapping[str, npt.NDArray[Any]], rows: int) -> tuple[int, int]:
        """
        Count rows of a log; return the first that cannot be (-1: none; GAPPED), and how many were refused before it.

        `arrays` are those that emit.arrays_of names. Raises TypeError for one of another type, or not contiguous.
        """
        return _called(self._run_rows, self._taken_to_run, arrays, rows)

    def ask(self, arrays: Mapping[str, npt.NDArray[Any]], pages: int) -> None:
        """Put every reader's question to all folios and `pages` pages, into `by_folio` and `by_page`. Not with costs."""
        _called(self._ask[0], self._taken_to_ask, arrays, pages)


def _called(
    driver: _Function, taken: Mapping[str, str], arrays: Mapping[str, npt.NDArray[Any]], length: int
) -> tuple[int, int]:
    addresses, refused = np.empty(len(taken), np.intp), np.zeros(1, np.int64)
    for number, (name, of) in enumerate(taken.items()):
        array = arrays[name]
        # Machine code does not look: another type would be read as this one, beyond its end.
        if array.dtype.name != of or not array.flags.c_contiguous:
            raise TypeError(f"{name} is an array of {array.dtype}, where a driver takes contiguous {of}")
        addresses[number] = array.ctypes.data
    row = driver(addresses.ctypes.data, len(arrays["orders"]), length, refused.ctypes.data)
    return row, int(refused[0])


def _load(code: bytes, names: list[str]) -> list[_Function]:
    import llvmlite.binding as llvm

    engine = _engine()
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return [_PROTOTYPE(engine.get_function_address(name)) for name in names]


@functools.cache
def _engine() -> Any:
    """Return what holds machine code for as long as Python runs."""
    import llvmlite.binding as llvm

    target = target_machine()
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), target)


def target_machine() -> Any:
    """Return a new target that makes machine code for this processor."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=3,
        # What LLVM's loader places anywhere must not be relative to where it lies; elsewhere LLVM knows.
        reloc="static" if target.name.startswith("x86") else "default",
        jit=True,
    )


@functools.cache
def processor() -> str:
    """Return the processor's name and features: machine code for one may not run on another."""
    import llvmlite
    import llvmlite.binding as llvm

    return f"llvmlite {llvmlite.__version__}, {llvm.get_host_cpu_name()} {llvm.get_host_cpu_features().flatten()}"
