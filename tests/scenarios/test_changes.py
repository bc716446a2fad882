"""What a step changed, folio by folio."""

from __future__ import annotations

from mapcount.mapping.schema import Kind
from mapcount.scenarios.changes import FolioChange, WordChange, changes
from mapcount.scenarios.parser import parse
from mapcount.scenarios.run import run
from scenarios.page_machine import PageMachine


def test_changes_of_each_step():
    text = "p: mmap a 2M huge\np: touch a[7]\np: fork c\nc: write a[0]\nc: read a[1]\np: mremap a[0:2] b[0]\np: exit\nc: exit"
    observations = [seen for _, seen in run(parse(text), PageMachine())]
    found = [changes(before, after) for before, after in zip([None, *observations], observations, strict=False)]
    assert found[0] == found[4] == []
    (born,) = found[1]
    assert (born.folio, born.order, born.kind, born.new, born.moved) == ("f0", 9, Kind.ANON, True, True)
    assert born.words == (WordChange("mapcount", "", "1*512"),)
    (forked,) = found[2]
    assert forked.words == (WordChange("mapcount", "1*512", "2*512"),)
    assert [entry.process for entry in forked.entries] == ["c", "p"]
    large, copy = found[3]
    assert large.words == (WordChange("mapcount", "2*512", "1*1 2*511"),)
    assert (copy.folio, copy.new, copy.words) == ("f1", True, (WordChange("mapcount", "", "1*1"),))
    (moved,) = found[5]
    assert (moved.words, moved.moved) == ((), True)
    assert found[6][0].words == (WordChange("mapcount", "1*1 2*511", "0*1 1*511"),)
    assert found[7] == [
        FolioChange("f0", 9, Kind.ANON, False, True, (), (), True),
        FolioChange("f1", 0, Kind.ANON, False, True, (), (), True),
    ]


def test_a_word_alone():
    machine = PageMachine()
    steps = run(parse("p: mmap a 4k\np: write a\np: read a"), machine)
    next(steps)
    machine.words = {"_refcount": 1, "_mm_id": ("p", None)}
    _, before = next(steps)
    machine.words = {"_refcount": 2, "_mm_id": (None, "p")}
    _, after = next(steps)
    (change,) = changes(before, after)
    assert change.words == (WordChange("_refcount", "1", "2"), WordChange("_mm_id", "p -", "- p"))
    assert not change.moved
