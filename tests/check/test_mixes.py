"""What the writers do, by adding up entries: who maps what at the end, and that nobody unmaps what is not there."""

from __future__ import annotations

import pytest

from check.naive import entries, entries_of_page
from mapcount.check.locks import KINDS
from mapcount.check.mixes import MIXES
from mapcount.check.model import Call, Model
from mapcount.schemes.catalogue import find_scheme


def _all_calls(mix, pages):
    start, threads = mix.calls(pages)
    return [*start, *(call for calls in threads for call in calls)]


@pytest.mark.parametrize("pages", [2, 4, 8])
@pytest.mark.parametrize("mix", MIXES.values(), ids=MIXES)
def test_no_page_is_mapped_less_than_not_at_all(mix, pages):
    done = _all_calls(mix, pages)
    order = pages.bit_length() - 1
    assert entries(done, order) >= 0
    assert all(entries_of_page(done, order, page) >= 0 for page in range(pages))


@pytest.mark.parametrize(
    ("name", "left"),
    # Entries of each page of four when all is done, by hand.
    [
        ("zap-fault", [2, 0, 1, 0]),
        ("pmd-and-ptes", [1, 1, 1, 1]),
        ("fork-zap", [1, 2, 2, 2]),
        ("hand-over", [1, 1, 1, 1]),
        ("halves", [0, 0, 2, 2]),
        ("three-halves", [0, 0, 4, 4]),
        ("three-ptes", [1, 1, 1, 1]),
        ("two-pmds", [1, 1, 1, 1]),
        ("split-zap", [1, 1, 2, 2]),
        ("much-mapped", [1, 0, 0, 3]),
    ],
)
def test_what_is_left(name, left):
    done = _all_calls(MIXES[name], 4)
    assert [entries_of_page(done, 2, page) for page in range(4)] == left


@pytest.mark.parametrize("mix", MIXES.values(), ids=MIXES)
def test_writers_are_callers_with_their_locks(mix):
    _, threads = mix.calls(4)
    assert all(call.via for calls in threads for call in calls)
    assert 1 <= len(threads) <= 3
    # A touch maps what is gone, so page tables have to say what is.
    finding = any(call.via == "touch" for calls in threads for call in calls)
    model = Model(
        find_scheme("nr-pages-mapped"),
        2,
        threads,
        mix.calls(4)[0],
        mix.kind,
        # A folio is freed with its last reference.
        references=finding or any(call.via == "reuse" for calls in threads for call in calls),
        page_tables=finding,
        locks=frozenset(KINDS),
    )
    assert len(model.threads) == len(threads)


def test_in_hand_over_the_second_half_never_has_a_single_owner_but_the_others():
    """The reader's process never has it after the start, and mm 2, 3 or 4 always does."""
    start, (first, second) = MIXES["hand-over"].calls(4)
    assert not any(call.mm == 1 for call in (*first, *second))
    for done_first in range(len(first) + 1):
        for done_second in range(len(second) + 1):
            done: list[Call] = [*start, *first[:done_first], *second[:done_second]]
            others = [call for call in done if call.mm != 1]
            assert entries_of_page(others, 2, 3) >= 1
