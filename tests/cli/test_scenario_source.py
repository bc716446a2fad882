"""report and compare take a scenario as they take a snapshot: by its library name or file."""

import json

import pytest

from mapcount.cli import main
from mapcount.cli.scenario_source import is_scenario, run_scenario

TEXT = """# A child gives back 13 pages of a THP, then the parent 7 others.
p: mmap a 2M huge
p: write a[0]
p: fork c
c: munmap a[0:13]
p: munmap a[500:507]
p: munmap a[0:3]
c: exit
p: exit
"""


@pytest.fixture
def scenario(tmp_path):
    path = tmp_path / "thirteen.scenario"
    path.write_text(TEXT)
    return str(path)


def test_what_is_a_scenario(scenario, tmp_path):
    assert is_scenario(scenario)
    assert is_scenario("fork-partial-unmap-2M")
    assert not is_scenario("no-such-name")
    assert not is_scenario(str(tmp_path))


def test_the_state_is_that_after_the_last_step_that_leaves_something_mapped(scenario):
    state = run_scenario(scenario)

    assert state.snapshot.meta.notes[0].endswith("after step 7 of 8 of thirteen, `c: exit`.")
    assert state.snapshot.mms.comm.tolist() == ["p"]
    assert int(state.snapshot.runs.nr_pages.sum()) == 512 - 7 - 3


def test_report(scenario, capsys):
    assert main(["report", scenario, "--json"]) == 0
    (size,) = [row for row in json.loads(capsys.readouterr().out)["sizes"] if row["folios"]]
    assert (size["order"], size["folios"], size["partially_mapped"]) == (9, 1, 1)
    assert size["wasted_bytes"] == 10 * 4096


def test_compare_knows_the_past(scenario, capsys):
    assert main(["compare", scenario, "--json", "--scheme", "mm-id,no-page-mapcount"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["histories"] == ["as-it-happened"]
    (anon,) = [row for row in found["numbers"] if row["name"] == "AnonPages"]
    assert anon["truth"] == anon["values"]["mm-id"] == 502 * 4096
    assert anon["values"]["no-page-mapcount"] == 512 * 4096
    assert anon["least"] == anon["most"] == anon["values"]


@pytest.mark.parametrize(
    ("text", "code", "told"),
    [("p: exit\n", 4, "nothing is mapped"), ("p: munnmap a[0]\n", 4, "munmap"), ("", 4, "")],
)
def test_what_cannot_be_shown(tmp_path, capsys, text, code, told):
    path = tmp_path / "x.scenario"
    path.write_text(text)
    assert main(["report", str(path)]) == code
    assert told in capsys.readouterr().err


def test_a_file_that_is_not_there(tmp_path, capsys):
    assert main(["report", str(tmp_path / "gone.scenario")]) == 4
    assert "cannot be read" in capsys.readouterr().err
