"""The line `expect ...` of a scenario text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.scenarios.expectations import MAPPED, QUANTITIES, RESULT, form_of
from mapcount.scenarios.ranges import area_of, split_range
from mapcount.scenarios.steps import Expect
from mapcount.scenarios.values import NO, Form, normal
from mapcount.scenarios.words import Mistake, Word, did_you_mean, end_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mapcount.scenarios.steps import Mmap


def read_expect(words: Sequence[Word], mapped: Mapping[str, Mmap]) -> Expect:
    """Parse `expect [PROCESS:] PAGE [not] WHAT [VALUE]` or `expect result N`. Raises Mistake."""
    if len(words) < 2:
        raise Mistake(end_of(words), "expect what? As in: expect a mapcount 1*16 2*496")
    if words[1].text == RESULT:
        return Expect("", "", 0, RESULT, _value(RESULT, words[1], words[2:]))
    process, rest = "", words[1:]
    if rest[0].text.endswith(":"):
        process, rest = rest[0].text[:-1], rest[1:]
    if not rest:
        raise Mistake(end_of(words), "a page is missing here, as in: expect c: a[5] one_mm")
    area, page = _page(rest[0], mapped)
    negated = len(rest) > 1 and rest[1].text == "not"
    rest = rest[1 + negated :]
    if not rest:
        raise Mistake(end_of(words), f"what is expected{did_you_mean('', _known())}")
    what, value = rest[0].text, rest[1:]
    form = form_of(what)
    if form is None or what == RESULT:
        raise Mistake(rest[0], f"{what!r} cannot be expected of a page{did_you_mean(what, _known())}")
    if negated:
        if form is not Form.YES_NO:
            raise Mistake(rest[0], f"`not` goes with what is yes or no, and {what} is {form.value}")
        if value:
            raise Mistake(value[0], f"nothing should follow `not {what}`")
        return Expect(process, area, page, what, NO)
    return Expect(process, area, page, what, _value(what, rest[0], value))


def _page(word: Word, mapped: Mapping[str, Mmap]) -> tuple[str, int]:
    name, first, end = split_range(word)
    area = area_of(name)
    if end is not None:
        raise Mistake(word, f"an expectation is about the folio at one page, as in {area}[{first}]")
    if first is None:
        first = mapped[area].span.first if area in mapped else 0
    return area, first


def _value(what: str, word: Word, words: Sequence[Word]) -> str:
    form = form_of(what)
    assert form is not None
    try:
        return normal(form, [one.text for one in words])
    except ValueError as error:
        raise Mistake(words[0] if words else end_of([word]), f"{what}: {error}") from None


def _known() -> list[str]:
    return [MAPPED, *QUANTITIES]
