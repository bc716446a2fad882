"""Traces through a file: everything comes back, files that are damaged are told so, and what is written can be reviewed."""

from __future__ import annotations

import json

import pytest

from agreement.page_machine import PageMachine
from mapcount.agreement.golden import config_facts, record
from mapcount.agreement.golden_file import load, save
from mapcount.errors import BadTraceError
from mapcount.mapping.schema import Level
from mapcount.scenarios.parser import parse
from mapcount.scenarios.steps import Expect
from mapcount.scenarios.walks import walk_scenario

CONFIG = "CONFIG_SMP=y\n# CONFIG_KSM is not set\nCONFIG_SOUND=m\nCONFIG_SWAP=m\n"
TWO = parse(
    "# Two processes.\nneeds 6.1\nset anon 64k madvise\np: mmap a 64k huge\np: write a[0]\np: fork c\n"
    "expect a mapcount 2*16\nc: munmap a[3:5]\nc: exit\n",
    name="two",
)


class Varied(PageMachine):
    """With words of every form, and a PMD."""

    def state(self, number, counts):
        state = super().state(number, counts)
        state.words.update({"_mm_id": ("p", None), "_mm_id_mapcount": (number, -1), "shared": 0})
        return state


def traced(*scenarios, machine=PageMachine, proc=True):
    return record(machine(first_number=3), scenarios, proc=lambda _: proc, image_sha256="0" * 64, config=CONFIG)


@pytest.mark.parametrize("proc", [True, False])
def test_all_comes_back(tmp_path, proc):
    walks = [walk_scenario(profile, 3, 37) for profile in ("small", "shmem", "swap")]
    trace = traced(TWO, *walks, machine=Varied, proc=proc)
    assert trace.skipped == {"walk-swap-3": "pages has no swap"} and len(trace.recorded) == 3
    assert bool(trace.recorded[0].observations[0].proc) == proc
    save(trace, tmp_path / "t.json")
    assert load(tmp_path / "t.json") == trace


def test_expectations_are_left_out_and_the_rest_is_kept():
    (recorded,) = traced(TWO).recorded
    assert recorded.scenario.steps == tuple(step for step in TWO.steps if not isinstance(step, Expect))
    assert (recorded.scenario.says, recorded.scenario.needs) == ("Two processes.", (6, 1))
    assert len(recorded.observations) == 5


def test_the_configuration_is_what_it_says():
    assert config_facts(CONFIG) == {"KSM": False, "SMP": True, "SWAP": False}
    assert config_facts("") == {}


def test_a_step_is_a_line_with_what_it_changed(tmp_path):
    save(traced(TWO, proc=False), tmp_path / "t.json")
    lines = (tmp_path / "t.json").read_text().splitlines()
    steps = [json.loads(line.rstrip(",")) for line in lines if line.startswith('{"do"')]
    assert [step["do"] for step in steps] == [
        "p: mmap a 64k huge",
        "p: write a[0]",
        "p: fork c",
        "c: munmap a[3:5]",
        "c: exit",
    ]
    assert steps[0] == {"do": "p: mmap a 64k huge", "result": 0}
    assert steps[3] == {
        "do": "c: munmap a[3:5]",
        "result": 0,
        "mappings": {"c": {"a[0]": ["f3", 0, 3, "pte"], "a[5]": ["f3", 5, 11, "pte"]}},
        "folios": {"f3": {"_mapcount": [[1, 3], [0, 2], [1, 11]], "_large_mapcount": 29}},
    }
    assert steps[4]["mappings"] == {"c": None}


def test_the_head_tells_what_is_in_it(tmp_path):
    save(traced(TWO), tmp_path / "t.json")
    head = json.loads((tmp_path / "t.json").read_text())
    assert head["fields"] == ["_large_mapcount", "_mapcount"] and head["smaps"] == ["Rss"]
    assert (head["format"], head["kernel"], head["page_mapcount"]) == (2, "6.12.1", True)
    assert head["config"] == {"KSM": False, "SMP": True, "SWAP": False}


def test_sizes_of_zero_come_back(tmp_path):
    trace = traced(parse("p: mmap a 16k\n", name="z"))
    save(trace, tmp_path / "t.json")
    assert '"Rss":0' not in (tmp_path / "t.json").read_text()
    assert load(tmp_path / "t.json").recorded[0].observations[0].proc[0].smaps_bytes == {"Rss": 0}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"format": 2', '"format": 3'),
        ('"pte"', '"pmt"'),
        ('"a[0]"', '"a0"'),
        ('"anon"', '"wood"'),
        ("p: fork c", "p: spoon c"),
        ('"kernel"', '"colonel"'),
        ('"result":0', '"outcome":0'),
        ("]}]}", "]}"),
    ],
)
def test_a_damaged_file_is_told_so(tmp_path, old, new):
    path = tmp_path / "t.json"
    save(traced(TWO), path)
    text = path.read_text().replace("\n]}\n]}", "\n]}]}")
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(BadTraceError, match=r"t\.json"):
        load(path)


def test_the_first_format_is_refused(tmp_path):
    (tmp_path / "old.json").write_text('{"kernel": "6.12.117", "scenarios": []}')
    with pytest.raises(BadTraceError):
        load(tmp_path / "old.json")


def test_a_pmd_is_a_pmd(tmp_path):
    class Pmd(PageMachine):
        def observe(self, result, *, proc=False):
            seen = super().observe(result, proc=proc)
            rows = tuple(type(row)(*[*vars(row).values()][:-1], Level.PMD) for row in seen.mappings)
            return type(seen)(seen.result, rows, seen.folios)

    trace = traced(TWO, machine=Pmd, proc=False)
    save(trace, tmp_path / "t.json")
    assert load(tmp_path / "t.json") == trace
