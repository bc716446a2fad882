"""Trust: what each lock helps against, as docs/explanation/check.md tells it, too."""

from __future__ import annotations

from explain.given import figures, no_machine
from mapcount.explain.questions import trust


def test_what_locks_help_against():
    rows = {row[0]: row[1:] for row in figures(trust.evidence(no_machine()), "holds these locks")}
    old = "old at times"
    assert rows["mapcount, 6.2"] == ["never true", "never true", old, old]
    assert rows["mapcount, 6.10"] == [old] * 4
    assert rows["shared, 6.15"] == [old] * 4
    assert rows["extra users, 6.10"] == ["pin missed", "too many", "pin missed", "too many"]
