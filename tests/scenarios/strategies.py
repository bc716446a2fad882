"""Scenarios for hypothesis: any that the parser would take, whether or not a kernel would do much with them."""

from __future__ import annotations

from hypothesis import strategies as st

from mapcount.mapping.schema import Kind
from mapcount.scenarios.scenario import Scenario, Settings
from mapcount.scenarios.steps import (
    AREAS,
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

AREA_PAGES = 1 << 20
NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,7}", fullmatch=True)
ENDS = st.tuples(st.integers(0, AREA_PAGES - 1), st.integers(1, AREA_PAGES)).filter(lambda ends: ends[0] < ends[1])
SPANS = st.builds(lambda area, ends: Span(area, *ends), st.sampled_from(AREAS), ENDS)
RUNS = st.lists(st.tuples(st.integers(-1, 9), st.integers(1, 511)), min_size=1, max_size=5)
EXPECTED = st.one_of(
    st.tuples(st.sampled_from(["one_mm", "mapped", "shared", "pmd_mapped"]), st.sampled_from(["", "no"])),
    st.tuples(st.sampled_from(["entries", "refcount", "order"]), st.integers(-9, 1031).map(str)),
    st.tuples(st.just("kind"), st.sampled_from([kind.name.lower() for kind in Kind])),
    st.tuples(st.just("_mm_id"), st.sampled_from(["p -", "- c", "- -", "-1 511"])),
    st.tuples(st.sampled_from(["mapcount", "_mapcount"]), RUNS.map(lambda runs: " ".join(_text(runs)))),
)


def _text(runs):
    """Yield runs with equal neighbours joined: what stands for them in a canonical text."""
    joined = []
    for value, pages in runs:
        before = joined.pop()[1] if joined and joined[-1][0] == value else 0
        joined.append((value, before + pages))
    return [f"{value}*{pages}" for value, pages in joined]


@st.composite
def steps(draw):
    """Up to 13 steps by processes that are there, with files that they have."""
    files: dict[str, set[str]] = {"p": set()}
    made = []
    for _ in range(draw(st.integers(0, 13))):
        if not files:
            break
        who = draw(st.sampled_from(sorted(files)))
        step = draw(st.one_of(*_kinds(who, files, made)))
        if isinstance(step, Fork):
            files[step.child] = set(files[who])
        elif isinstance(step, Exit):
            del files[who]
        elif isinstance(step, Memfd):
            files[who].add(step.file)
        made.append(step)
    return tuple(made)


def _kinds(who, files, made):
    process, page = st.just(who), st.integers(0, AREA_PAGES - 1)
    hugepage = st.sampled_from([None, Advice.HUGEPAGE, Advice.NOHUGEPAGE])
    yield st.builds(
        lambda span, kind, shared, advice, gigantic: Mmap(
            who,
            span,
            kind if kind or not shared else Kind.SHMEM,
            shared,
            advice,
            gigantic=gigantic and kind is Kind.HUGETLB,
        ),
        SPANS,
        st.sampled_from([Kind.ANON, Kind.HUGETLB]),
        st.booleans(),
        hugepage,
        st.booleans(),
    )
    yield st.builds(Access, process, SPANS, st.booleans())
    yield st.builds(Munmap, process, SPANS)
    yield st.builds(Madvise, process, SPANS, st.sampled_from(Advice))
    yield st.builds(Mprotect, process, SPANS, st.sampled_from(Protection))
    yield st.builds(Mremap, process, SPANS, st.sampled_from(AREAS), page).filter(
        lambda step: step.to_page + step.span.nr_pages <= AREA_PAGES
    )
    yield st.builds(Migrate, process, SPANS, st.just(0))
    yield st.builds(Fork, process, NAMES.filter(lambda name: name not in files))
    yield st.builds(Memfd, process, NAMES.filter(lambda name: name not in files[who]), st.integers(1, 1 << 21))
    yield st.builds(Exit, process)
    yield st.just(Reclaim())
    if made:
        yield st.builds(
            lambda asked, area, at, what: Expect(asked, area, at, *what),
            st.sampled_from(["", who]),
            st.sampled_from(AREAS),
            page,
            EXPECTED,
        )
        yield st.builds(lambda value: Expect("", "", 0, "result", str(value)), st.integers(-99, 512))
    if files[who]:
        file = st.sampled_from(sorted(files[who]))
        yield st.builds(lambda name, ends, punch: Fallocate(who, name, *ends, punch), file, ENDS, st.booleans())
        yield st.builds(
            lambda name, span, shared, advice, at: Mmap(who, span, Kind.SHMEM, shared, advice, name, at),
            file,
            SPANS,
            st.booleans(),
            hugepage,
            st.integers(0, 97),
        ).filter(lambda step: step.file_page + step.span.nr_pages <= AREA_PAGES)


SETTINGS = st.builds(
    Settings,
    thp=st.sampled_from(["always", "madvise", "never"]),
    anon=st.dictionaries(st.integers(2, 8), st.sampled_from(["always", "madvise", "never"]), max_size=2),
    shmem=st.dictionaries(st.integers(1, 9), st.sampled_from(["always", "within_size", "advise", "never"]), max_size=2),
    hugetlb_pages=st.integers(0, 97),
    swap=st.booleans(),
    huge_zero_page=st.booleans(),
    max_ptes_none=st.integers(0, 511),
    gigantic_pages=st.integers(0, 1),
    nodes=st.integers(1, 2),
)
SAYS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp"]), max_size=23)
SCENARIOS = st.builds(
    Scenario,
    name=NAMES,
    says=SAYS,
    steps=steps(),
    settings=SETTINGS,
    needs=st.sampled_from([(0, 0), (6, 8), (7, 13)]),
)
