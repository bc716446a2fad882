"""Scenario texts: read line by line, `repeat` unrolled, `walk` walked. docs/reference/scenarios.md has the language."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from mapcount.scenarios import walks
from mapcount.scenarios.expect_line import read_expect
from mapcount.scenarios.headers import read_needs, read_set
from mapcount.scenarios.scenario import Scenario, Settings
from mapcount.scenarios.standing import Standing
from mapcount.scenarios.steps import Migrate, Reclaim
from mapcount.scenarios.verbs import VERBS, Call, read_call
from mapcount.scenarios.words import Mistake, Word, did_you_mean, end_of, name_of, number_of, words_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mapcount.scenarios.steps import Step

MAX_STEPS = 100_000
_MAX_DEPTH = 20
KEYWORDS = ("expect", "repeat", "end", "walk", "reclaim", "needs", "set")


@dataclass
class _Repeat:
    word: Word
    times: int
    body: list[_Item] = field(default_factory=list)


_Item: TypeAlias = "list[Word] | _Repeat"


def parse(text: str, *, name: str = "", file: str = "", seed: int | None = None) -> Scenario:
    """
    Return the scenario of a text. `file` is what errors point at (default: the name); `seed` replaces that of every walk.

    Raises ScenarioError, with file, line, column and a suggestion, for whatever is not in the language, for a process or a file
    that is not there at that step, and for more than MAX_STEPS steps.
    """
    lines = text.replace("\r\n", "\n").split("\n")
    reader = _Reader(seed)
    try:
        reader.read([words_of(line, number) for number, line in enumerate(lines, 1)])
    except Mistake as mistake:
        raise mistake.error(file or name or "scenario", lines) from None
    return Scenario(name, _says(lines), tuple(reader.steps), reader.settings, reader.needs, tuple(reader.lines))


def _says(lines: Sequence[str]) -> str:
    """Return the comment at the top, its lines joined."""
    said: list[str] = []
    for line in lines:
        stripped = line.strip()
        if not stripped.startswith("#"):
            if stripped or said:
                break
            continue
        said.append(stripped[1:].strip())
    return " ".join(filter(None, said))


class _Reader:
    """What was read so far."""

    def __init__(self, seed: int | None) -> None:
        self.seed = seed
        self.settings = Settings()
        self.needs = (0, 0)
        self.steps: list[Step] = []
        self.lines: list[int] = []
        self._standing = Standing()

    def read(self, lines: Sequence[list[Word]]) -> None:
        """Read all lines: the head, then the steps."""
        filled = [words for words in lines if words]
        at = 0
        while at < len(filled) and filled[at][0].text in {"needs", "set"}:
            self._head(filled[at])
            at += 1
        self._unroll(_nested(filled[at:]))

    def _head(self, words: list[Word]) -> None:
        if words[0].text == "needs":
            self.needs = read_needs(words)
        else:
            self.settings = read_set(self.settings, words)

    def _unroll(self, items: Sequence[_Item]) -> None:
        for item in items:
            if not isinstance(item, _Repeat):
                self._line(item)
                continue
            for _ in range(item.times):
                before = len(self.steps)
                self._unroll(item.body)
                if len(self.steps) == before:
                    raise Mistake(item.word, "there is no step in this block")

    def _line(self, words: list[Word]) -> None:
        first = words[0]
        match first.text:
            case "expect":
                if not self.steps:
                    raise Mistake(first, "an expectation is about the step before it, and there is none")
                self._add(first, read_expect(words, self._standing.mapped))
            case "reclaim":
                if len(words) > 1:
                    raise Mistake(words[1], "nothing should follow reclaim")
                self._add(first, Reclaim())
            case "walk":
                self._walk(words)
            case "needs" | "set":
                raise Mistake(first, f"`{first.text}` belongs before the first step")
            case _:
                self._add(first, self._call(words))

    def _call(self, words: list[Word]) -> Step:
        first = words[0]
        if not first.text.endswith(":"):
            if first.text in VERBS:
                raise Mistake(first, f"who is to {first.text}? As in: p: {first.text}")
            raise Mistake(
                first, f"a line begins with `p:` or a keyword, not {first.text!r}{did_you_mean(first.text, KEYWORDS)}"
            )
        process = name_of(Word(first.text[:-1], first.line, first.column), "a process")
        if len(words) < 2:
            raise Mistake(end_of(words), f"what is {process} to do{did_you_mean('', VERBS)}")
        step = read_call(Call(process, words[1], words[2:], self._standing.mapped))
        if isinstance(step, Migrate) and step.node >= self.settings.nodes:
            raise Mistake(
                words[-1], f"there is no node {step.node}: say `set nodes {step.node + 1}` before the first step"
            )
        return step

    def _add(self, word: Word, step: Step) -> None:
        missing = self._standing.missing(step)
        if missing:
            raise Mistake(word, missing)
        self._standing.apply(step)
        self._append(word, step)

    def _append(self, word: Word, step: Step) -> None:
        if len(self.steps) == MAX_STEPS:
            raise Mistake(word, f"more than {MAX_STEPS} steps")
        self.steps.append(step)
        self.lines.append(word.line)

    def _walk(self, words: list[Word]) -> None:
        if [word.text for word in words[2:4]] != ["steps", "seed"] or len(words) != 5:
            raise Mistake(words[0], "a walk is written `walk 400 steps seed 7`")
        nr_steps = number_of(words[1], "the steps of a walk", least=1, most=MAX_STEPS)
        seed = number_of(words[4], "a seed") if self.seed is None else self.seed
        if not self._standing.mapped:
            raise Mistake(words[0], "nothing was mmapped before: a walk goes over the areas that are mapped")
        if not self._standing.processes:
            raise Mistake(words[0], "all processes have exited")
        for step in walks.walk(seed, nr_steps, self._standing):
            self._append(words[0], step)


def _nested(lines: Sequence[list[Word]]) -> list[_Item]:
    top: list[_Item] = []
    open_blocks: list[_Repeat] = []
    for words in lines:
        body = open_blocks[-1].body if open_blocks else top
        if words[0].text == "repeat":
            if len(words) != 2:
                raise Mistake(words[2] if len(words) > 2 else end_of(words), "a block is written `repeat 3` ... `end`")
            if len(open_blocks) == _MAX_DEPTH:
                raise Mistake(words[0], f"more than {_MAX_DEPTH} blocks within each other")
            block = _Repeat(words[0], number_of(words[1], "how often", least=1, most=MAX_STEPS))
            body.append(block)
            open_blocks.append(block)
        elif words[0].text == "end":
            if not open_blocks or len(words) > 1:
                raise Mistake(
                    words[-1], "there is no block to end here" if not open_blocks else "nothing should follow end"
                )
            open_blocks.pop()
        else:
            body.append(words)
    if open_blocks:
        raise Mistake(open_blocks[-1].word, "this block has no `end`")
    return top
