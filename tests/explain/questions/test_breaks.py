"""What breaks: torn only where a sum is read, and a guess of madvise() that 6.15 no longer makes."""

from __future__ import annotations

from explain.given import no_machine
from mapcount.explain.questions import breaks


def test_who_is_told_what_was_never_true():
    matrix, *said = breaks.evidence(no_machine())
    broken = {(one.cell.scheme, one.cell.context) for one in matrix.verdicts if one.violations}

    assert broken == {
        ("nr-pages-mapped", "mapcount"),
        ("nr-pages-mapped", "madvise"),
        ("large-mapcount", "madvise"),
        *((scheme, "compaction") for scheme in breaks.SCHEMES),
    }
    guesses = [one for one in matrix.verdicts if one.cell.context == "madvise" and one.violations]
    assert not any(violation.is_race for one in guesses for violation in one.violations)
    assert all(one.complete for one in matrix.verdicts)
    assert len(said) == len(breaks.CALLERS)
    assert sum("it looks again" in one.words for one in said) == 2
