"""The scenario language: what it means, and what is said of mistakes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapcount.errors import ScenarioError
from mapcount.mapping.schema import Kind
from mapcount.scenarios import parser
from mapcount.scenarios.headers import SETTINGS
from mapcount.scenarios.parser import KEYWORDS, parse
from mapcount.scenarios.scenario import Settings
from mapcount.scenarios.steps import (
    Access,
    Advice,
    Exit,
    Expect,
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
    Reclaim,
    Span,
)
from mapcount.scenarios.verbs import VERBS

EVERYTHING = """\

# Every verb there is,
#   once.

# not part of what it says
needs 6.8
set thp always
set anon 64k madvise
set shmem 2M within_size
set hugetlb 7
set hugetlb-1G 1
set swap
set huge-zero-page
set max-ptes-none 63
set nodes 2

p: mmap a 2M huge          # a comment
p: mmap b[512] 2M hugetlb
p: mmap d 1G hugetlb-1G
p: memfd f 64k
p: fallocate f[0:11]
p: punch f[3]
p: mmap c[3] 28k shared f[5:12]
p: touch a[0]
p: write a[0:3]
p: read a
p: fork c
c: munmap a[0:16]
c: dontneed a[16]
c: free a[17]
c: pageout a[18]
c: collapse a
c: hugepage a[19]
c: nohugepage a[20]
c: mergeable a[21]
c: mprotect a[5] ro
p: mremap a[0:16] d[7]
p: migrate a[3:5] to 1
expect a[20] mapcount 1*16 2*496
c: exit
reclaim
"""
A = Span("a", 0, 512)


def one(area, page):
    return Span(area, page, page + 1)


def test_every_verb():
    scenario = parse(EVERYTHING, name="all")
    assert (scenario.name, scenario.says, scenario.needs) == ("all", "Every verb there is, once.", (6, 8))
    assert scenario.settings == Settings("always", {4: "madvise"}, {9: "within_size"}, 7, True, True, 63, 1, 2)
    assert scenario.steps == (
        Mmap("p", A, advice=Advice.HUGEPAGE),
        Mmap("p", Span("b", 512, 1024), Kind.HUGETLB),
        Mmap("p", Span("d", 0, 262144), Kind.HUGETLB, gigantic=True),
        Memfd("p", "f", 16),
        Fallocate("p", "f", 0, 11),
        Fallocate("p", "f", 3, 4, punch=True),
        Mmap("p", Span("c", 3, 10), Kind.SHMEM, shared=True, file="f", file_page=5),
        Access("p", one("a", 0), write=True),
        Access("p", Span("a", 0, 3), write=True),
        Access("p", A, write=False),
        Fork("p", "c"),
        Munmap("c", Span("a", 0, 16)),
        Madvise("c", one("a", 16), Advice.DONTNEED),
        Madvise("c", one("a", 17), Advice.FREE),
        Madvise("c", one("a", 18), Advice.PAGEOUT),
        Madvise("c", A, Advice.COLLAPSE),
        Madvise("c", one("a", 19), Advice.HUGEPAGE),
        Madvise("c", one("a", 20), Advice.NOHUGEPAGE),
        Madvise("c", one("a", 21), Advice.MERGEABLE),
        Mprotect("c", one("a", 5), Protection.READ),
        Mremap("p", Span("a", 0, 16), "d", 7),
        Migrate("p", Span("a", 3, 5), 1),
        Expect("", "a", 20, "mapcount", "1*16 2*496"),
        Exit("c"),
        Reclaim(),
    )
    assert scenario.lines[0] == 17
    assert scenario.lines[-1] == len(EVERYTHING.splitlines())


def test_every_verb_is_in_the_example():
    words = set(re.findall(r"[a-zG0-9-]+", EVERYTHING))
    assert words >= set(VERBS) | set(SETTINGS) | set(KEYWORDS) - {"repeat", "end", "walk"}


def test_an_area_alone_is_what_was_mmapped_last_there():
    scenario = parse("p: mmap a[3] 28k\np: munmap a\np: mmap a 8k\np: read a\nexpect a mapped\n")
    assert [step.span for step in scenario.steps[1:4]] == [Span("a", 3, 10), Span("a", 0, 2), Span("a", 0, 2)]
    assert scenario.steps[4] == Expect("", "a", 0, "mapped", "")


def test_repeat():
    scenario = parse("p: mmap a 4k\nrepeat 3\n  p: fork c\n  repeat 2\n    c: read a\n  end\n  c: exit\nend\np: exit\n")
    body = [Fork("p", "c"), Access("c", one("a", 0), write=False), Access("c", one("a", 0), write=False), Exit("c")]
    assert list(scenario.steps[1:]) == [*body, *body, *body, Exit("p")]
    assert scenario.lines[1:6] == (3, 5, 5, 7, 3)


def test_walk():
    text = "p: mmap a 2M huge\nwalk 97 steps seed 7\n"
    scenario = parse(text)
    assert len(scenario.steps) == 98
    assert set(scenario.lines[1:]) == {2}
    assert parse(text) == scenario
    assert parse(text, seed=8) == parse(text.replace("seed 7", "seed 8")) != scenario


MISTAKES = [
    ("p: munmp a[0]", 1, 4, "did you mean munmap?"),
    ("p: mmap a 2M\nc: read a", 2, 1, "there is no process c; there are: p"),
    ("p: exit\np: exit", 2, 1, "all processes have exited"),
    ("p: fork p", 1, 1, "there is a process p already"),
    ("p: mmap z 2M", 1, 9, "'z' is no area"),
    ("p: mmap a 3", 1, 11, "a size in whole pages"),
    ("p: mmap a 5G", 1, 11, "an area ends at page"),
    ("p: mmap a 2M hug", 1, 14, "did you mean huge?"),
    ("p: mmap a 2M huge nohuge", 1, 19, "one of them"),
    ("p: mmap a 2M f[0]", 1, 1, "no file f"),
    ("p: mmap a 1G hugetlb hugetlb-1G", 1, 22, "hugetlb-1G after hugetlb: one of them"),
    ("p: fork c\np: memfd f 2M\nc: punch f[0]", 3, 1, "process c has no file f"),
    ("p: memfd f 2M\np: mmap a 2M hugetlb f[0]", 2, 22, "no hugetlb"),
    ("p: memfd f 2M\np: mmap a 2M shared f[0:7]", 2, 21, "7 pages of the file are to go to 512"),
    ("p: munmap b", 1, 11, "nothing was mmapped at b before"),
    ("p: munmap a[16:0]", 1, 11, "has no page"),
    ("p: munmap a[0,16]", 1, 13, "a page should be a number"),
    ("p: munmap a[0:16] b", 1, 19, "nothing should follow"),
    ("p: munmap", 1, 11, "something is missing here: `p: munmap a[0:16]`"),
    ("p: mprotect a[0] rx", 1, 18, "is no protection"),
    ("p: mremap a[0:2] b[0:2]", 1, 18, "one page is enough"),
    ("set nodes 2\np: mmap a 4k\np: migrate a in 1", 3, 14, "`to` belongs here"),
    ("set nodes 2\np: mmap a 4k\np: migrate a to 2", 3, 17, "a NUMA node should be a number from 0 to 1"),
    ("p: mmap a 4k\np: migrate a to 1", 2, 17, "there is no node 1: say `set nodes 2`"),
    ("set nodes 3", 1, 11, "NUMA nodes should be a number from 1 to 2"),
    ("p: fork 9", 1, 9, "name of a process"),
    ("munmap a[0]", 1, 1, "who is to munmap?"),
    ("wlak 3 steps seed 1", 1, 1, "did you mean walk?"),
    ("p:", 1, 4, "what is p to do"),
    ("expect a mapped", 1, 1, "the step before it"),
    ("p: mmap a 4k\nexpect a onemm", 2, 10, "did you mean one_mm?"),
    ("p: mmap a 4k\nexpect a mapcount 1x16", 2, 19, "value*pages"),
    ("p: mmap a 4k\nexpect a not mapcount 1", 2, 14, "`not` goes with"),
    ("p: mmap a 4k\nexpect d: a mapped", 2, 1, "no process d"),
    ("p: mmap a 4k\nexpect", 2, 8, "expect what?"),
    ("set thb always", 1, 5, "did you mean thp?"),
    ("set thp sometimes", 1, 9, "there are: always"),
    ("set anon 2M always", 1, 10, "below 2M"),
    ("set shmem 12k always", 1, 11, "a power of two"),
    ("needs six", 1, 7, "like 6.8"),
    ("p: mmap a 4k\nset swap", 2, 1, "before the first step"),
    ("repeat 2\np: mmap a 4k", 1, 1, "no `end`"),
    ("end", 1, 1, "no block to end"),
    ("repeat 0\nend", 1, 8, "from 1 to"),
    ("repeat 3\nend", 1, 1, "no step in this block"),
    ("walk 4 steps seed 7", 1, 1, "nothing was mmapped"),
    ("p: mmap a 4k\nwalk 4", 2, 1, "walk 400 steps seed 7"),
    ("p: munmap a[99999999999]", 1, 13, "from 0 to 1048575"),
]


@pytest.mark.parametrize(("text", "line", "column", "words"), MISTAKES)
def test_mistakes_are_pointed_at(text, line, column, words):
    with pytest.raises(ScenarioError) as caught:
        parse(text, file="x.scenario")
    place, shown, carets = str(caught.value).split("\n")
    assert place.startswith(f"x.scenario:{line}:{column}: ")
    assert words in place
    assert shown == f"    {text.splitlines()[line - 1]}"
    assert carets.index("^") == 4 + column - 1


def test_too_many_steps(monkeypatch):
    monkeypatch.setattr(parser, "MAX_STEPS", 97)
    assert len(parse("p: mmap a 4k\nrepeat 96\np: read a\nend").steps) == 97
    for text in ("repeat 97\np: read a\nend", "walk 97 steps seed 1", "repeat 10\nrepeat 10\np: read a\nend\nend"):
        with pytest.raises(ScenarioError, match=r"more than 97 steps|from 1 to 97"):
            parse(f"p: mmap a 4k\n{text}")


def test_carets_of_a_long_line_are_below_the_mistake():
    with pytest.raises(ScenarioError) as caught:
        parse(f"p: mmap a 2M\t{'huge ' * 1}{' ' * 500}hug{' ' * 500}")
    _, shown, carets = str(caught.value).split("\n")
    assert len(shown) < 150
    assert shown[carets.index("^") : carets.rindex("^") + 1] == "hug"


RANGES = ["a", "a[0]", "a[0:16]", "b[5", "f", "f[0:512]", "f[3]"]
OTHERS = ["p:", "c:", "c", "2M", "64k", "huge", "shared", "7", "6.8", "steps", "seed", "ro", "#", ":", "\n"]
EXPECTED = ["not", "one_mm", "mapcount", "1*16", "2*496"]
WORDS = st.sampled_from([*VERBS, *KEYWORDS, *SETTINGS, *RANGES, *OTHERS, *EXPECTED])


@given(st.lists(st.one_of(WORDS, WORDS, st.text(max_size=3)), max_size=40).map(" ".join) | st.text(max_size=80))
def test_never_a_traceback(text):
    try:
        scenario = parse(text)
    except ScenarioError as error:
        assert re.match(r"scenario:\d+:\d+: ", str(error))  # noqa: PT017 - it may also be a scenario
    else:
        assert len(scenario.steps) == len(scenario.lines)
