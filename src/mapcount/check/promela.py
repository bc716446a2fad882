"""A model in Promela, the language of SPIN: so that another program than this one can go through the same states.

One global variable for each word, one proctype for each thread (promela_thread.py). The truth is reckoned from where the
threads are, and each reader has a window: bit v is set if v was true at some moment since the reader began. States and steps
correspond one to one to those of steps.py, but for the state before `init` has run.

Nothing of interval.py is used: what may be true is reckoned in Promela, as a set to which each call adds what it changes.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from mapcount.check.model import apply_to_truth
from mapcount.check.promela_thread import RESULT, ThreadText, Watch, number, word_name
from mapcount.check.steps import Steps
from mapcount.errors import UsageError
from mapcount.schemes.scheme import Promise, Quantity
from mapcount.schemes.truth import FolioTruth, truth_of
from mapcount.schemes.words import Scope

if TYPE_CHECKING:
    from mapcount.check.model import Call, Model
    from mapcount.schemes.scheme import Reader

_MOST = 30
"""Values of a window are bits of an int, which is signed."""
_SUMS = {
    Quantity.MAPPED: Quantity.ENTRIES,
    Quantity.SHARED: Quantity.ADDRESS_SPACES,
    **{
        quantity: quantity
        for quantity in (
            Quantity.ENTRIES,
            Quantity.PAGE_ENTRIES,
            Quantity.ADDRESS_SPACES,
            Quantity.VMAS,
            Quantity.TABLE_PAIRS,
            Quantity.COMPLETE_MAPPINGS,
        )
    },
}
"""What each quantity follows from that is a sum over address spaces; threads work on different ones."""
_AT_LEAST = {Quantity.MAPPED: 1, Quantity.SHARED: 2}
"""The sum from which a yes-or-no quantity is a yes."""
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
    page: int

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
    spin.py reads. Raises UsageError for what cannot be said in Promela: a truth that is no sum over address spaces, or one
    over 30; SchemeSourceError as Steps does.
    """
    return _Export(Steps(model), telling=telling).text()


def _letter(thread: int) -> str:
    return chr(ord("a") + thread)


class _Export:
    def __init__(self, steps: Steps, *, telling: bool) -> None:
        self._steps, self._model, self._telling = steps, steps.model, telling
        self._threads = [
            ThreadText(_letter(i), states.program, states.kept, steps.layout.of_scheme)
            for i, states in enumerate(steps.threads)
        ]
        self._questions = [
            Question(thread, call, reader, asked.first)
            for thread, calls in enumerate(self._model.threads)
            for call, asked in enumerate(calls)
            if (reader := steps.reader(thread, call)) is not None and steps.is_judged(thread, call)
        ]

    def text(self) -> str:
        proctypes = [
            thread.proctype(self._watch(i), self._endings() if i == 0 else ()) for i, thread in enumerate(self._threads)
        ]
        scratch = [RESULT, "truth", "kept", *(f"t{i}" for i in range(max(one.scratch for one in self._threads)))]
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
        for cell, value in zip(self._steps.layout.cells, self._steps.first, strict=False):
            kind = {1: "bit", 8: "short", 16: "short"}.get(cell.word.width_bits, "int")
            size = f"[{1 << self._model.order}]" if cell.word.scope is Scope.PAGE else ""
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

        def after(call: int) -> list[str]:
            if not self._model.threads[thread][call].is_operation:
                return []
            return [
                f"if :: {self._threads[other.thread].is_inside(other.call)} -> "
                f"{other.truth}(); {other.window} = {other.window} | truth :: else -> skip fi"
                for other in others
            ]

        def closed(call: int) -> list[str]:
            return self._closed(thread, call, asked.get(call))

        return Watch(before, after, closed)

    def _closed(self, thread: int, call: int, question: Question | None) -> list[str]:
        """Judge what a call returned."""
        if self._model.threads[thread][call].is_operation:
            return []
        lines, verdict = [], "-1"
        if question:
            promise = _PROMISES[question.reader.promise].format(value=RESULT, window=question.window, most=_MOST)
            lines, verdict = [f"kept = {promise}", "assert(kept)", f"{question.window} = 0"], "kept"
        return [*lines, f"c_code {{ answered({thread}, {call}, {RESULT}, {verdict}); }}"] if self._telling else lines

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
        """Return an inline that puts the set of what may be true now into `truth`: any of what is under way is done, or not."""
        quantity = question.reader.quantity
        if quantity not in _SUMS:
            raise UsageError(
                f"{question.reader.name}: {quantity.value}, is no sum over address spaces, and not exported"
            )
        base, changes = self._changes(_SUMS[quantity], question.page)
        if base + sum(max(by, 0) for *_, by in changes) > _MOST:
            raise UsageError(f"{self._model!r}: a truth may be over {_MOST}, the bits of Promela's int; fewer pages")
        lines = [f"truth = 1 << {base}"]
        for thread, call, by in changes:
            text = self._threads[thread]
            shifted = f"(truth {'<<' if by > 0 else '>>'} {abs(by)})"
            done = f"({text.result(call)} -> truth : {shifted})" if self._may_refuse(thread, call) else shifted
            lines.append(
                f"truth = ({text.is_over(call)} -> {done} : ({text.has_begun(call)} -> truth | {shifted} : truth))"
            )
        if quantity in _AT_LEAST:
            least = _AT_LEAST[quantity]
            lines.append(f"truth = ((truth & {(1 << least) - 1}) != 0) | (((truth >> {least}) != 0) << 1)")
        body = ";\n  ".join(lines)
        return f"/* {self._told(question)}: {quantity.value} */\ninline {question.truth}() {{\n  {body}\n}}"

    def _told(self, question: Question) -> str:
        return f"{self._model.threads[question.thread][question.call]} of thread {_letter(question.thread)}"

    def _may_refuse(self, thread: int, call: int) -> bool:
        return self._model.threads[thread][call].may_refuse

    def _changes(self, quantity: Quantity, page: int) -> tuple[int, list[tuple[int, int, int]]]:
        """Return a sum when the threads start, and by how much each call changes it: (thread, call, by)."""
        start = self._model.truth()
        changes = []
        for thread, calls in enumerate(self._model.threads):
            values = [truth_of(quantity, one, page) for one in _truths(self._model, calls)]
            changes += [(thread, call, b - a) for call, (a, b) in enumerate(pairwise(values)) if a != b]
        return truth_of(quantity, start, page), changes


def _truths(model: Model, calls: tuple[Call, ...]) -> list[FolioTruth]:
    """Return who maps the folio before each call of one thread and after the last, if the others do nothing."""
    found = [model.truth()]
    for end in range(1, len(calls) + 1):
        truth = model.truth()
        for call in calls[:end]:
            apply_to_truth(call, truth)
        found.append(truth)
    return found


_ANSWERED = """c_decl {
\\#include <stdio.h>
/* Print an answer (thread, call, value, whether its promise was kept or -1) when it is met for the first time. */
static void answered(int thread, int call, int value, int kept)
{
	static struct { int thread, call, value, kept; } met[4096];
	static int nr_met;
	int i;

	for (i = 0; i < nr_met; i++)
		if (met[i].thread == thread && met[i].call == call && met[i].value == value && met[i].kept == kept)
			return;
	if (nr_met < 4096) {
		met[nr_met].thread = thread;
		met[nr_met].call = call;
		met[nr_met].value = value;
		met[nr_met++].kept = kept;
	}
	printf("answer: %d %d %d %d\\n", thread, call, value, kept);
}
}"""
