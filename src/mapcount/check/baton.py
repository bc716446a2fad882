"""An interleaving on the scheme's own Python functions: what the lowered one is held against.

Each thread of the model is a Python thread that runs the functions as they are. Before every access to the memory it stops
and waits for the baton, so that exactly one runs at any time and the schedule alone decides. All threads are joined.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, SupportsIndex

from mapcount.check.surroundings import VMAS, PG_partially_mapped
from mapcount.errors import UsageError
from mapcount.schemes.memory import Memory, Touch
from mapcount.schemes.ops import Access

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType
    from typing import Self

    from mapcount.check.model import Model
    from mapcount.schemes.looked import Looked
    from mapcount.schemes.words import Word

NOTHING = Touch(Access.NONE, "", 0)
"""A call that touches no word takes a step all the same."""


class Turn(NamedTuple):
    """One step of a thread."""

    thread: int
    touch: Touch
    value: int
    """what the word holds then"""


@dataclass(frozen=True)
class PythonRun:
    """What an interleaving did, and what it left behind."""

    turns: tuple[Turn, ...]
    memory: Memory
    results: tuple[tuple[int, ...], ...]
    """what each thread's calls returned, as far as they are over"""


def run_in_python(model: Model, schedule: Iterable[int]) -> PythonRun:
    """
    Run a schedule on plain Python; it need not lead to the end.

    Raises UsageError if a thread that should go next has done everything, AssertionError if it wants a lock that is held.
    """
    with Baton(model) as baton:
        turns = tuple(baton.step(thread) for thread in schedule)
        return PythonRun(turns, baton.memory, tuple(tuple(results) for results in baton.results))


class Baton:
    """
    The threads of a model, each stopped before its next access. A context manager, so that none outlives it.

    `results` are what the calls of each thread returned so far.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._mine = threading.local()
        self.memory = _StoppingMemory(model, self._stop)
        model.prepare(self.memory)
        self.results: list[list[int]] = [[] for _ in model.threads]
        self._pending: list[Touch | None] = [None for _ in model.threads]
        self._failed: BaseException | None = None
        self._ending = False
        self._back = threading.Semaphore(0)
        self._batons = [threading.Semaphore(0) for _ in model.threads]
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        for number in range(len(self._model.threads)):
            thread = threading.Thread(target=self._run, args=(number,), name=f"CPU {number}", daemon=True)
            self._threads.append(thread)
            thread.start()
            self._back.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ending = True
        for thread, baton in zip(self._threads, self._batons, strict=True):
            baton.release()
            thread.join()

    def pending(self, thread: int) -> Touch | None:
        """Return the access that a thread stands before; None if it has done everything."""
        return self._pending[thread]

    def step(self, thread: int) -> Turn:
        """Let a thread do its access and go on to the next one. Raises what its function raises."""
        touch = self._pending[thread]
        if self._failed:
            raise self._failed
        if touch is None:
            raise UsageError(f"thread {thread} has done everything")
        self._pending[thread] = None
        self._batons[thread].release()
        self._back.acquire()
        if self._failed:
            raise self._failed
        return Turn(thread, touch, self._value(touch))

    def _value(self, touch: Touch) -> int:
        if touch.word == PG_partially_mapped.name:
            return next(iter(self.memory.partially_mapped))
        if touch.word == VMAS.name:
            return self.memory.looked[0].vmas
        return 0 if touch is NOTHING else self.memory.words[touch.word][touch.at]

    def _run(self, number: int) -> None:
        """Be one thread of the model."""
        self._mine.number = number
        try:
            for entry in self._model.entries(number):
                self._mine.touched = False
                self.memory.look_for(entry.looked)
                self._mine.vmas = min(entry.vmas, 0)
                result = entry.function(self.memory, *entry.arguments)
                if not self._mine.touched:
                    self._stop(NOTHING)
                self.memory.add_vmas(0 if result else max(entry.vmas, 0))
                self.results[number].append(int(result or 0))
        except _EndedEarlyError:
            return
        except BaseException as error:  # noqa: BLE001 (it is raised again by step())
            self._failed = error
        self._back.release()

    def _stop(self, touch: Touch) -> None:
        """Hand the baton back and wait for it; the main thread, which prepares the memory, goes on."""
        number = getattr(self._mine, "number", None)
        if number is None:
            return
        self._mine.touched = True
        self._pending[number] = touch
        self._back.release()
        self._batons[number].acquire()
        if self._ending:
            raise _EndedEarlyError
        # A call begins with its first step.
        self.memory.add_vmas(self._mine.vmas)
        self._mine.vmas = 0


class _EndedEarlyError(BaseException):
    """Takes a thread out of a scheme's function when the interleaving ends before it does."""


class _StoppingMemory(Memory):
    """Plain memory that stops before every access, those to PG_partially_mapped included."""

    def __init__(self, model: Model, stop: Callable[[Touch], None]) -> None:
        self._stop = stop
        self._mine = threading.local()
        super().__init__(model.scheme.scheme.places, [model.order], [model.kind])
        self.partially_mapped = _Flags(self.partially_mapped, on_read=stop)
        # deferred_split_folio sets `deferred` first, then PG_partially_mapped: one message, so one stop.
        self.deferred = _Flags(self.deferred, on_write=stop)

    def look_for(self, looked: Looked) -> None:
        """Let the thread that calls find this, until it says otherwise; the VMAs are everybody's."""
        self._mine.looked = [looked]

    def add_vmas(self, by: int) -> None:
        """Change the VMAs that map the folio."""
        self._everybodys[0] = self._everybodys[0]._replace(vmas=self._everybodys[0].vmas + by)

    def vmas(self, folio: int) -> int:
        """Return the VMAs that map the folio: one access to what everybody sees."""
        self._stop(Touch(Access.LOAD, VMAS.name, folio))
        return self._everybodys[folio].vmas

    @property
    def looked(self) -> list[Looked]:
        """What look-ups find: of a thread its own."""
        found: list[Looked] = getattr(self._mine, "looked", self._everybodys)
        return found

    @looked.setter
    def looked(self, found: list[Looked]) -> None:
        self._everybodys = found

    def _touch(self, access: Access, word: Word, index: int) -> None:
        self._stop(Touch(access, word.name, index))


class _Flags(list[int]):
    """A list that tells before it is read or written."""

    def __init__(
        self,
        values: list[int],
        on_read: Callable[[Touch], None] | None = None,
        on_write: Callable[[Touch], None] | None = None,
    ) -> None:
        super().__init__(values)
        self._on_read, self._on_write = on_read, on_write

    def __getitem__(self, at: SupportsIndex | slice) -> int:  # type: ignore[override]
        if self._on_read:
            self._on_read(Touch(Access.LOAD, PG_partially_mapped.name, 0))
        value = super().__getitem__(at)
        assert isinstance(value, int)
        return value

    def __setitem__(self, at: SupportsIndex | slice, value: int) -> None:  # type: ignore[override]
        if self._on_write:
            self._on_write(Touch(Access.LOCKED, PG_partially_mapped.name, 0))
        super().__setitem__(at, value)  # type: ignore[index]
