"""One access of a kernel, or of a scheme, to a named word of one folio."""

from __future__ import annotations

from typing import NamedTuple

from mapcount.schemes.ops import Access


class WordAccess(NamedTuple):
    """
    A load, a plain store, or an atomic read-modify-write (`how`), with the word's value before and after.

    `at` is the number of the page of a word that every page has, else 0. A store that changes nothing, to bytes that several
    words share, names none of them: `word` is then the container, such as `_mm_ids`.
    """

    how: Access
    word: str
    at: int
    before: int
    after: int
    function: str = ""
    """The kernel's function that the instruction belongs to, after inlining; of a scheme: its operation."""

    def __str__(self) -> str:
        """Return it for people: `LOCKED _mapcount[3] -1 > 0`."""
        how = "LOCKED" if self.how is Access.LOCKED else self.how.value
        value = f"{self.before}" if self.how is Access.LOAD else f"{self.before} > {self.after}"
        return f"{how} {self.word}[{self.at}] {value}"
