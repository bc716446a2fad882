"""The verbs of a scenario: for each, how its words are read. A new verb is one function and one line of VERBS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mapcount.mapping.schema import Kind
from mapcount.scenarios.headers import MAX_NODES
from mapcount.scenarios.ranges import AREA_PAGES, area_of, file_range_of, page_of, span_of, split_range
from mapcount.scenarios.steps import (
    Access,
    Advice,
    Exit,
    Fallocate,
    Fork,
    Madvise,
    Memfd,
    Migrate,
    Mmap,
    Mprotect,
    Mremap,
    Munmap,
    Protection,
    Span,
)
from mapcount.scenarios.words import Mistake, Word, did_you_mean, end_of, name_of, number_of, pages_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mapcount.scenarios.steps import Step

    Reader = Callable[["Call"], Step]

HUGEPAGE_WORDS = {"huge": Advice.HUGEPAGE, "nohuge": Advice.NOHUGEPAGE}
_OPTIONS = (*HUGEPAGE_WORDS, "hugetlb", "hugetlb-1G", "shared", "private")
_EXCLUDES = {"shared": "private", "huge": "nohuge", "hugetlb": "hugetlb-1G"}
_EXCLUDES |= {against: word for word, against in _EXCLUDES.items()}


@dataclass(frozen=True)
class Call:
    """A line `process: verb words`, and what was mmapped last in each area."""

    process: str
    verb: Word
    words: Sequence[Word]
    mapped: Mapping[str, Mmap]

    def take(self, example: str, count: int, most: int | None = None) -> Sequence[Word]:
        """Return the words after the verb if there are `count` to `most` of them."""
        if len(self.words) < count:
            raise Mistake(end_of([self.verb, *self.words]), f"something is missing here: `{self.process}: {example}`")
        most = count if most is None else most
        if len(self.words) > most:
            raise Mistake(self.words[most], f"nothing should follow here: `{self.process}: {example}`")
        return self.words

    def span(self, example: str) -> Span:
        """Parse the only word: pages of an area."""
        return span_of(self.take(example, 1)[0], self.mapped)


def read_call(call: Call) -> Step:
    """Return the step that a line asks for. Raises Mistake."""
    if call.verb.text not in VERBS:
        raise Mistake(call.verb, f"{call.verb.text!r} is no verb{did_you_mean(call.verb.text, VERBS)}")
    return VERBS[call.verb.text](call)


def _mmap(call: Call) -> Mmap:
    example = "mmap a 2M huge"
    place, size, *options = call.take(example, 2, len(_OPTIONS) + 3)
    (area, first), nr_pages = _place_of(place), pages_of(size, "what is mapped")
    if first + nr_pages > AREA_PAGES:
        raise Mistake(size, f"an area ends at page {AREA_PAGES}")
    span = Span(area, first, first + nr_pages)
    said, file, file_page = _options(options, nr_pages)
    advice = next((HUGEPAGE_WORDS[word] for word in said if word in HUGEPAGE_WORDS), None)
    shared = "shared" in said
    gigantic = "hugetlb-1G" in said
    kind = Kind.HUGETLB if gigantic or "hugetlb" in said else Kind.SHMEM if file or shared else Kind.ANON
    return Mmap(call.process, span, kind, shared, advice, file, file_page, gigantic)


def _place_of(word: Word) -> tuple[str, int]:
    name, first, end = split_range(word)
    if end is not None:
        raise Mistake(word, f"mmap takes a place and a size, as in `mmap {name.text}[{first}] 64k`")
    return area_of(name), first or 0


def _options(words: Sequence[Word], nr_pages: int) -> tuple[dict[str, Word], str, int]:
    """Return the options by their words, and the file with its first page, if there is one."""
    said: dict[str, Word] = {}
    file, file_page = "", 0
    for word in words:
        if word.text in _OPTIONS:
            against = _EXCLUDES.get(word.text)
            if word.text in said or against in said:
                raise Mistake(word, f"{word.text} after {'itself' if word.text in said else against}: one of them")
            said[word.text] = word
        elif file or not word.text.rpartition("]")[1]:
            raise Mistake(word, f"{word.text!r} is no option of mmap{did_you_mean(word.text, [*_OPTIONS, 'f[0]'])}")
        else:
            file, file_page, _ = file_range_of(word, nr_pages)
            where = word
    if file and {"hugetlb", "hugetlb-1G"} & said.keys():
        raise Mistake(where, "a memfd is no hugetlb: leave one of them out")
    return said, file, file_page


def _memfd(call: Call) -> Memfd:
    name, size = call.take("memfd f 2M", 2)
    return Memfd(call.process, name_of(name, "a file"), pages_of(size, "the file"))


def _fallocate(call: Call) -> Fallocate:
    (word,) = call.take(f"{call.verb.text} f[0:512]", 1)
    return Fallocate(call.process, *file_range_of(word, None), punch=call.verb.text == "punch")


def _access(call: Call) -> Access:
    return Access(call.process, call.span(f"{call.verb.text} a[0]"), write=call.verb.text != "read")


def _munmap(call: Call) -> Munmap:
    return Munmap(call.process, call.span("munmap a[0:16]"))


def _madvise(call: Call) -> Madvise:
    return Madvise(call.process, call.span(f"{call.verb.text} a[0:16]"), Advice(call.verb.text))


def _mprotect(call: Call) -> Mprotect:
    pages, word = call.take("mprotect a[5] ro", 2)
    known = [protection.value for protection in Protection]
    if word.text not in known:
        raise Mistake(word, f"{word.text!r} is no protection{did_you_mean(word.text, known)}")
    return Mprotect(call.process, span_of(pages, call.mapped), Protection(word.text))


def _mremap(call: Call) -> Mremap:
    pages, to = call.take("mremap a[0:16] b[0]", 2)
    span, (to_area, to_page) = span_of(pages, call.mapped), page_of(to)
    if to_page + span.nr_pages > AREA_PAGES:
        raise Mistake(to, f"an area ends at page {AREA_PAGES}")
    return Mremap(call.process, span, to_area, to_page)


def _migrate(call: Call) -> Migrate:
    pages, to, node = call.take("migrate a[0:512] to 1", 3)
    if to.text != "to":
        raise Mistake(to, f"`to` belongs here: `{call.process}: migrate {pages.text} to 1`")
    return Migrate(call.process, span_of(pages, call.mapped), number_of(node, "a NUMA node", most=MAX_NODES - 1))


def _fork(call: Call) -> Fork:
    (child,) = call.take("fork c", 1)
    return Fork(call.process, name_of(child, "a process"))


def _exit(call: Call) -> Exit:
    call.take("exit", 0)
    return Exit(call.process)


VERBS: Mapping[str, Reader] = {
    "mmap": _mmap,
    "memfd": _memfd,
    "fallocate": _fallocate,
    "punch": _fallocate,
    "touch": _access,
    "write": _access,
    "read": _access,
    "munmap": _munmap,
    "mprotect": _mprotect,
    "mremap": _mremap,
    "migrate": _migrate,
    "fork": _fork,
    "exit": _exit,
    **{advice.value: _madvise for advice in Advice},
}
