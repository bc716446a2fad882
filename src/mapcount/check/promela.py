"""A model in Promela, the language of SPIN: so that another program than this one can go through the same states.

One global variable for each word, one proctype for each thread (promela_thread.py). The truth is reckoned from where the
threads are, and each reader has a window: bit v is set if v was true at some moment since the reader began. States and steps
correspond one to one to those of steps.py, but for the state before `init` has run.

Nothing of interval.py is used: what may be true is reckoned in Promela, as a set to which each call adds what it changes.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from mapcount.check.bytecode import Code
from mapcount.check.locks import BIT_LOCKS, bits_of, held_alone
from mapcount.check.model import apply_to_truth
from mapcount.check.promela_statements import RESULT, number, word_name
from mapcount.check.promela_thread import Locks, ThreadText, Watch
from mapcount.check.steps import Steps
from mapcount.errors import UsageError
from mapcount.schemes.scheme import Promise, Quantity
from mapcount.schemes.truth import FolioTruth, truth_of
from mapcount.schemes.words import Scope

if TYPE_CHECKING:
    from collections.abc import Callable

    from mapcount.check.model import Call, Model
    from mapcount.schemes.scheme import Reader

_MOST = 30
"""Values of a window are bits of an int, which is signed."""
_AT_LEAST = {Quantity.MAPPED: 1, Quantity.SHARED: 2, Quantity.OTHERS: 1}
"""The number from which a yes-or-no quantity is a yes."""
_ENTRIES = frozenset({Quantity.ENTRIES, Quantity.MAPPED, Quantity.PAGE_ENTRIES})
"""Sums of what each call changes."""
_SPACES = frozenset({Quantity.ADDRESS_SPACES, Quantity.VMAS, Quantity.TABLE_PAIRS, Quantity.SHARED, Quantity.OTHERS})
"""Numbers of address spaces with entries, each of one VMA and one page table here."""
_PROMISES = {
    Promise.EXACT: "({value} >= 0 && {value} <= {most} && ({window} >> {value}) & 1)",
    Promise.NEVER_LESS: "({value} >= 0 && ({value} >= {most} || ({window} & ((2 << {value}) - 1)) != 0))",
    Promise.NEVER_MORE: "({value} <= 0 || ({value} <= {most} && ({window} >> {value}) != 0))",
}


class Question(NamedTuple):
    """A reader's call whose promise is judged, and the names that belong to it."""

    thread: int
    call: int
    reader: Reader
    asked: Call

    @property
    def window(self) -> str:
        """The variable of its thread's window."""
        return f"window_{_letter(self.thread)}"

    @property
    def truth(self) -> str:
        """The inline that reckons what may be true now."""
        return f"truth_{_letter(self.thread)}{self.call}"


def promela(model: Model, *, telling: bool = False) -> str:
    """
    Return the model in Promela; a reader's promise, and that no thread waits for ever, are assertions.

    With `telling` the verifier prints, by lines of C, each answer that it meets and the words of each final state, which
    spin.py reads. Raises UsageError for what cannot be said in Promela: a truth that is no sum over address spaces, one over
    30, numbers over 32 bits, or another memory model than sc; SchemeSourceError as Steps does.
    """
    if BIT_LOCKS not in model.locks:
        raise UsageError("bit locks cannot be left out of an export")
    if model.memory_model != "sc":
        raise UsageError(f"Promela has one memory model, sc: {model.memory_model} cannot be exported")
    if model.histories or model.renews:
        raise UsageError("reads that are judged together, and folios that are freed, cannot be exported")
    steps = Steps(model)
    _check_numbers(steps)
    return _Export(steps, telling=telling).text()


def _check_numbers(steps: Steps) -> None:
    """Refuse a model that reckons with numbers over 32 bits: Promela's int ends there, whatever the width of a word."""
    code = [one for states in steps.threads for one in states.program.instructions]
    constants = [operand for one in code for operand in (one.a, one.b) if isinstance(operand, int)]
    beyond = [value for value in (*constants, *steps.first) if not -(1 << 31) <= value < 1 << 31]
    if beyond:
        raise UsageError(
            f"{steps.model.scheme.id} reckons with {beyond[0]}, which Promela's int of 32 bits does not hold"
        )


def _letter(thread: int) -> str:
    return chr(ord("a") + thread)


class _Export:
    def __init__(self, steps: Steps, *, telling: bool) -> None:
        self._steps, self._model, self._telling = steps, steps.model, telling
        locks = _locks(steps)
        self._threads = [
            ThreadText(_letter(i), states.program, states.kept, steps.layout.of_scheme, locks)
            for i, states in enumerate(steps.threads)
        ]
        self._questions = [
            Question(thread, call, reader, asked)
            for thread, calls in enumerate(self._model.threads)
            for call, asked in enumerate(calls)
            if (reader := steps.reader(thread, call)) is not None and steps.is_judged(thread, call)
        ]

    def text(self) -> str:
        proctypes = [
            thread.proctype(self._watch(i), self._endings() if i == 0 else ()) for i, thread in enumerate(self._threads)
        ]
        scratch = [
            RESULT,
            "truth",
            "entries",
            "kept",
            *(f"t{i}" for i in range(max(one.scratch for one in self._threads))),
        ]
        parts = [
            f"/* {self._model!r}\n   What each part means: the docstring of mapcount's check/promela.py. */",
            *([_ANSWERED] if self._telling else ()),
            "\n".join(self._words()),
            "\n".join(line for thread in self._threads for line in thread.variables()),
            "".join(f"int {name}; /* bit v: v was true since the reader began */\n" for name in self._windows())
            + f"hidden int {', '.join(scratch)};",
            *(self._truth(question) for question in self._questions),
            *proctypes,
            self._init(),
        ]
        return "\n\n".join(parts) + "\n"

    def _windows(self) -> list[str]:
        return sorted({question.window for question in self._questions})

    def _words(self) -> list[str]:
        """Declare the words. A page's words begin as the first page's; init() puts in what differs."""
        declared: dict[str, str] = {}
        length = Counter(cell.word.name for cell in self._steps.layout.cells)
        for cell, value in zip(self._steps.layout.cells, self._steps.first, strict=False):
            kind = {1: "bit", 8: "short", 16: "short"}.get(cell.word.width_bits, "int")
            size = f"[{length[cell.word.name]}]" if cell.word.scope is Scope.PAGE else ""
            declared.setdefault(cell.word.name, f"{kind} {word_name(cell.word)}{size} = {value};")
        if len({line.split("[")[0].split("=")[0] for line in declared.values()}) < len(declared):
            raise UsageError(f"{self._model.scheme.id}: the names of two words are one in Promela")
        return list(declared.values())

    def _init(self) -> str:
        first: dict[str, int] = {}
        given = []
        for cell, value in zip(self._steps.layout.cells, self._steps.first, strict=False):
            if value != first.setdefault(cell.word.name, value):
                given.append(f"{word_name(cell.word)}[{cell.at}] = {number(value)}")
        return f"init {{ atomic {{ {'; '.join([*given, *(f'run {one.name}()' for one in self._threads)])} }} }}"

    def _watch(self, thread: int) -> Watch:
        asked = {question.call: question for question in self._questions if question.thread == thread}
        others = [question for question in self._questions if question.thread != thread]

        def before(call: int) -> list[str]:
            return [f"{asked[call].truth}()", f"{asked[call].window} = truth"] if call in asked else []

        def further(call: int) -> list[str]:
            if not self._model.threads[thread][call].is_operation:
                return []
            return [
                f"if :: {self._threads[other.thread].is_inside(other.call)} -> "
                f"{other.truth}(); {other.window} = {other.window} | truth :: else -> skip fi"
                for other in others
            ]

        def closed(call: int) -> list[str]:
            return self._closed(thread, call, asked.get(call))

        return Watch(before, further, closed)

    def _closed(self, thread: int, call: int, question: Question | None) -> list[str]:
        """Judge what a call returned."""
        if self._model.threads[thread][call].is_operation:
            return []
        lines, told, clear = [], "-1, 0", []
        if question:
            told, clear = f"-1, now.{question.window}", [f"{question.window} = 0"]
        if question and question.reader.promise in _PROMISES:
            promise = _PROMISES[question.reader.promise].format(value=RESULT, window=question.window, most=_MOST)
            lines, told = [f"kept = {promise}", "assert(kept)"], f"kept, now.{question.window}"
        tell = [f"c_code {{ answered({thread}, {call}, {RESULT}, {told}); }}"] if self._telling else []
        return [*lines, *tell, *clear]

    def _endings(self) -> list[str]:
        """When nobody can go on: they have all done everything, or they wait for ever."""
        over = " && ".join(f"{thread.over()}" for thread in self._threads)
        if self._telling:
            cells = [
                f"now.{word_name(cell.word)}" + (f"[{cell.at}]" if cell.word.scope is Scope.PAGE else "")
                for cell in self._steps.layout.cells
            ]
            told = f'printf("final:{" %d" * len(cells)}\\n", {", ".join(cells)});'
            stuck = 'printf("stuck\\n");'
            return [
                f"atomic {{ timeout && ({over}) -> c_code {{ {told} }} }}",
                f"atomic {{ timeout && !({over}) -> c_code {{ {stuck} }}; assert(false) }}",
            ]
        return [f"atomic {{ timeout && !({over}) -> assert(false) }}"]

    def _truth(self, question: Question) -> str:
        """Return an inline that puts the set of what may be true now, bit v for the value v, into `truth`."""
        quantity, asked = question.reader.quantity, question.asked
        if quantity is Quantity.EXTRA_REFERENCES:
            lines = [f"truth = {1 << self._model.extra_references}"]
        elif quantity is Quantity.OTHERS and self._model.extra_references:
            lines = ["truth = 1 << 1"]
        elif quantity in _ENTRIES:
            counted = Quantity.ENTRIES if quantity is Quantity.MAPPED else quantity
            lines = self._entries("truth", lambda truth: truth_of(counted, truth, asked.first), None)
        elif quantity in _SPACES:
            lines = self._spaces(asked.mm if quantity is Quantity.OTHERS else 0)
        else:
            raise UsageError(f"{question.reader.name}: {quantity.value}, is not reckoned in Promela, so not exported")
        if quantity in _AT_LEAST:
            least = _AT_LEAST[quantity]
            lines.append(f"truth = ((truth & {(1 << least) - 1}) != 0) | (((truth >> {least}) != 0) << 1)")
        body = ";\n  ".join(lines)
        told = f"{asked} of thread {_letter(question.thread)}: {quantity.value}"
        return f"/* {told} */\ninline {question.truth}() {{\n  {body}\n}}"

    def _spaces(self, without: int) -> list[str]:
        """Return the statements that count address spaces with entries, but for one."""
        calls = [call for calls in (self._model.start, *self._model.threads) for call in calls if call.is_operation]
        lines = ["truth = 1"]
        for mm in sorted({call.mm for call in calls} - {without}):
            lines += self._entries("entries", lambda truth, mm=mm: truth.entries_of(mm), mm)  # type: ignore[misc]
            lines.append("truth = ((entries & 1) -> truth : 0) | ((entries >> 1) != 0 -> truth << 1 : 0)")
        return lines

    def _entries(self, name: str, count: Callable[[FolioTruth], int], mm: int | None) -> list[str]:
        """Return the statements that reckon a sum of what calls change, of one address space or of all."""
        base, most = count(self._model.truth()), 0
        lines = [f"{name} = 1 << {base}"]
        for thread, calls in enumerate(self._model.threads):
            for call, made in enumerate(calls):
                by = 0 if mm not in {None, made.mm} else self._change(count, made)
                if made.is_operation and by:
                    lines.append(self._effect(name, thread, call, by))
                    most += max(by, 0)
        if base + most > _MOST:
            raise UsageError(f"{self._model!r}: a truth may be over {_MOST}, the bits of Promela's int; fewer pages")
        return lines

    def _change(self, count: Callable[[FolioTruth], int], call: Call) -> int:
        """Return by how much a call changes a sum, whatever there is."""
        truth = FolioTruth(self._model.order)
        apply_to_truth(call, truth)
        return count(truth)

    def _effect(self, name: str, thread: int, call: int, by: int) -> str:
        """Return the statement by which a call takes effect on a set of sums: surely, perhaps or not, as far as it has come."""
        text, made = self._threads[thread], self._model.threads[thread][call]
        done = f"({name} {'<<' if by > 0 else '>>'} {abs(by)})"
        over = f"({text.result(call)} -> {name} : {done})" if made.may_refuse else done
        under_way = {"interval": f"({name} | {done})", "strict": done, "pte": done if made.by < 0 else name}
        begun = f"({text.has_begun(call)} -> {under_way[self._model.truth_kind]} : {name})"
        return f"{name} = ({text.is_over(call)} -> {over} : {begun})"


def _locks(steps: Steps) -> Locks:
    """Return the locks that threads take."""
    takes = [
        {one.a for one in states.program.instructions if one.code is Code.HOLD and isinstance(one.a, int)}
        for states in steps.threads
    ]
    modelled = {lock for lock in set().union(*takes) if held_alone(lock) & bits_of(steps.model.locks)}
    if len(modelled) > _MOST // 2:
        raise UsageError(f"{steps.model!r}: more than {_MOST // 2} locks, too many for Promela's int")
    return Locks(tuple(sorted(modelled)), tuple(_letter(i) for i, taken in enumerate(takes) if taken & modelled))


_ANSWERED = """c_decl {
\\#include <stdio.h>
/* Print an answer when it is met for the first time: thread, call, value, whether its promise was kept (-1: none), window. */
static void answered(int thread, int call, int value, int kept, int window)
{
    static struct { int met, thread, call, value, kept, window; } all[1 << 16];
    unsigned at = ((unsigned)value * 31 + (unsigned)window) * 2654435761u >> 16;
    int tries;

    for (tries = 0; tries < 64 && all[at].met; tries++, at = (at + 1) & 0xffff)
        if (all[at].thread == thread && all[at].call == call && all[at].value == value && all[at].kept == kept
            && all[at].window == window)
            return;
    if (!all[at].met) {
        all[at].met = 1;
        all[at].thread = thread;
        all[at].call = call;
        all[at].value = value;
        all[at].kept = kept;
        all[at].window = window;
    }
    printf("answer: %d %d %d %d %d\\n", thread, call, value, kept, window);
}
}"""
