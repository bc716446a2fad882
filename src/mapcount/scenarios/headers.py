"""The head of a scenario text: `needs 6.8` and the settings, `set thp always`."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from mapcount.scenarios.words import Mistake, Word, did_you_mean, end_of, number_of, pages_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mapcount.scenarios.scenario import Settings

    Change = Callable[[Settings, Sequence[Word]], Settings]

PMD_ORDER = 9
MAX_NODES = 2
MAX_GIGANTIC = 1
"""Pages of 1 GiB. A guest with more would have its memory in two pieces."""
_ANON_WORDS = ("always", "madvise", "never")
_SHMEM_WORDS = ("always", "within_size", "advise", "never")


def read_needs(words: Sequence[Word]) -> tuple[int, int]:
    """Parse `needs 6.8`."""
    _take(words[1:], words[0], 1, "needs 6.8")
    found = re.fullmatch(r"([0-9]{1,3})\.([0-9]{1,3})", words[1].text)
    if not found:
        raise Mistake(words[1], "a kernel release should look like 6.8")
    return int(found[1]), int(found[2])


def read_set(settings: Settings, words: Sequence[Word]) -> Settings:
    """Return the settings after a line `set NAME ...`."""
    if len(words) < 2:
        raise Mistake(end_of(words), f"set what{did_you_mean('', SETTINGS)}")
    if words[1].text not in SETTINGS:
        raise Mistake(words[1], f"{words[1].text!r} is no setting{did_you_mean(words[1].text, SETTINGS)}")
    return SETTINGS[words[1].text](settings, words[1:])


def _thp(settings: Settings, words: Sequence[Word]) -> Settings:
    (word,) = _take(words[1:], words[0], 1, "set thp madvise")
    return replace(settings, thp=_one_of(word, _ANON_WORDS))


def _anon(settings: Settings, words: Sequence[Word]) -> Settings:
    size, word = _take(words[1:], words[0], 2, "set anon 64k madvise")
    order = _order(size, 2, PMD_ORDER - 1, "anon memory below 2M, for which there is `set thp`")
    return replace(settings, anon={**settings.anon, order: _one_of(word, _ANON_WORDS)})


def _shmem(settings: Settings, words: Sequence[Word]) -> Settings:
    size, word = _take(words[1:], words[0], 2, "set shmem 2M always")
    order = _order(size, 1, PMD_ORDER, "shmem")
    return replace(settings, shmem={**settings.shmem, order: _one_of(word, _SHMEM_WORDS)})


def _hugetlb(settings: Settings, words: Sequence[Word]) -> Settings:
    (word,) = _take(words[1:], words[0], 1, "set hugetlb 8")
    return replace(settings, hugetlb_pages=number_of(word, "the hugetlb pool", most=1 << 20))


def _gigantic(settings: Settings, words: Sequence[Word]) -> Settings:
    (word,) = _take(words[1:], words[0], 1, "set hugetlb-1G 1")
    return replace(settings, gigantic_pages=number_of(word, "the hugetlb pool of 1 GiB", most=MAX_GIGANTIC))


def _swap(settings: Settings, words: Sequence[Word]) -> Settings:
    _take(words[1:], words[0], 0, "set swap")
    return replace(settings, swap=True)


def _nodes(settings: Settings, words: Sequence[Word]) -> Settings:
    (word,) = _take(words[1:], words[0], 1, "set nodes 2")
    return replace(settings, nodes=number_of(word, "NUMA nodes", least=1, most=MAX_NODES))


def _huge_zero_page(settings: Settings, words: Sequence[Word]) -> Settings:
    _take(words[1:], words[0], 0, "set huge-zero-page")
    return replace(settings, huge_zero_page=True)


def _max_ptes_none(settings: Settings, words: Sequence[Word]) -> Settings:
    (word,) = _take(words[1:], words[0], 1, "set max-ptes-none 511")
    return replace(settings, max_ptes_none=number_of(word, "max-ptes-none", most=511))


SETTINGS: dict[str, Change] = {
    "thp": _thp,
    "anon": _anon,
    "shmem": _shmem,
    "hugetlb": _hugetlb,
    "hugetlb-1G": _gigantic,
    "swap": _swap,
    "nodes": _nodes,
    "huge-zero-page": _huge_zero_page,
    "max-ptes-none": _max_ptes_none,
}


def _take(words: Sequence[Word], after: Word, count: int, example: str) -> Sequence[Word]:
    if len(words) < count:
        raise Mistake(end_of([after, *words]), f"something is missing here: `{example}`")
    if len(words) > count:
        raise Mistake(words[count], f"nothing should follow here: `{example}`")
    return words


def _one_of(word: Word, known: Sequence[str]) -> str:
    if word.text not in known:
        raise Mistake(word, f"{word.text!r} is not known here{did_you_mean(word.text, known)}")
    return word.text


def _order(word: Word, least: int, most: int, what: str) -> int:
    pages = pages_of(word, "a folio")
    order = pages.bit_length() - 1
    if pages != 1 << order or not least <= order <= most:
        raise Mistake(word, f"a folio of {what}, is {4 << least}k to {4 << most}k, a power of two")
    return order
