"""Recording, with the model in a guest's place: a file a kernel, replaced only if all went well."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from mapcount.agreement import record_golden
from mapcount.agreement.golden_file import load
from mapcount.errors import GuestError, KernelImageError
from mapcount.machine.backend import ModelBackend
from mapcount.scenarios import library


class Guest(ModelBackend):
    """The model of a series as a context manager; it dies on request."""

    dies = False
    began = 0

    def __init__(self, image, *, keeps_state):
        super().__init__(image.name)

    def begin(self, settings):
        Guest.began += 1
        super().begin(settings)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def do(self, step):
        if self.dies:
            raise GuestError("it wedged")
        return super().do(step)


@pytest.fixture(autouse=True)
def images(monkeypatch, tmp_path):
    config = tmp_path / "config"
    config.write_text("CONFIG_SMP=y\n")

    def find_image(name):
        if name == "4.4":
            raise KernelImageError("there is none")
        return SimpleNamespace(name=name, sha256="a" * 64, config=config)

    monkeypatch.setattr(record_golden, "find_image", find_image)
    monkeypatch.setattr(record_golden, "GuestBackend", Guest)
    monkeypatch.setattr(record_golden, "load_all", lambda: [library.load("small-pages"), library.load("cow-64k")])
    monkeypatch.setattr(record_golden, "WALK_STEPS", 7)
    monkeypatch.setattr(record_golden, "PROFILES", ["small", "2M"])


def test_a_file_for_each_kernel(tmp_path, capsys):
    assert record_golden.main([str(tmp_path), "6.1", "6.12"]) == 0
    old, new = load(tmp_path / "6.1.json"), load(tmp_path / "6.12.json")
    assert [one.scenario.name for one in new.recorded][:2] == ["small-pages", "cow-64k"]
    assert len(new.recorded) == 2 + 2 * len(record_golden.SEEDS)
    assert list(old.skipped) == ["cow-64k"]
    assert (new.image_sha256, new.config) == ("a" * 64, {"SMP": True})
    assert all(one.observations[0].proc for one in new.recorded if one.scenario.name in record_golden.WITH_PROC)
    assert not any(one.observations[0].proc for one in new.recorded if one.scenario.name.startswith("walk"))
    assert f"6.12: 6.12, {len(new.recorded)} scenarios, {new.steps} steps" in capsys.readouterr().err
    assert sorted(path.suffix for path in tmp_path.iterdir() if path.is_file() and path.suffix) == [".json", ".json"]


def test_what_cannot_be_recorded_is_left_as_it_was(tmp_path, monkeypatch, capsys):
    (tmp_path / "6.12.json").write_text("what was there")
    monkeypatch.setattr(Guest, "dies", True)
    assert record_golden.main([str(tmp_path), "4.4", "6.12"]) == 1
    assert (tmp_path / "6.12.json").read_text() == "what was there"
    assert capsys.readouterr().err == "4.4: there is none\n6.12: it wedged\n"


def test_scenarios_with_proc_exist():
    assert set(record_golden.WITH_PROC) <= set(library.names())


def test_only_what_is_missing(tmp_path, monkeypatch, capsys):
    def add(name):
        before = record_golden.load_all()
        monkeypatch.setattr(record_golden, "load_all", lambda: [library.load(name), *before])

    path = tmp_path / "6.12.json"
    record_golden.main([str(tmp_path), "6.12"])
    whole = path.read_text()
    Guest.began = 0
    assert record_golden.main([str(tmp_path), "--missing", "6.12"]) == 0
    assert Guest.began == 0 and path.read_text() == whole
    add("cow-2M")
    assert record_golden.main([str(tmp_path), "--missing", "6.12"]) == 0
    assert Guest.began == 1 and "6.12: 6.12, 1 scenarios, " in capsys.readouterr().err
    assert record_golden.main([str(tmp_path), "--missing", "6.1"]) == 0, "a file that is not there lacks everything"
    record_golden.main([str(tmp_path), "6.12"])
    anew = path.read_text()
    assert anew.replace("\n", "").count("cow-2M") == 1
    path.write_text(whole)
    record_golden.main([str(tmp_path), "--missing", "6.12"])
    assert path.read_text() == anew


def test_of_what_is_missing_only_some(tmp_path, monkeypatch):
    monkeypatch.setattr(record_golden, "load_all", lambda: [library.load("small-pages"), library.load("walk-64k")])
    monkeypatch.setattr(record_golden, "WITH_PROC", [])
    record_golden.main([str(tmp_path), "6.1"])
    names = ("small-pages", "cow-2M", "three-mms-64k", "walk-64k", "cow-64k")
    monkeypatch.setattr(record_golden, "load_all", lambda: list(map(library.load, names)))
    monkeypatch.setattr(record_golden, "WITH_PROC", ["small-pages", "cow-2M"])
    Guest.began = 0
    asked = [str(tmp_path), "--missing", "--only", "cow-*", "--only", "nothing", "6.1"]
    assert record_golden.main(asked) == 0
    assert Guest.began == 1, "6.1 is too old for the other"
    trace = load(tmp_path / "6.1.json")
    assert [one.scenario.name for one in trace.recorded][:2] == ["small-pages", "cow-2M"]
    assert [bool(one.observations[0].proc) for one in trace.recorded][:2] == [False, True]
    assert set(trace.skipped) == {"walk-64k", "cow-64k"}, "those that were skipped before are, still"
    walks = [one for one in trace.recorded if one.scenario.name.startswith("walk")]
    assert len(walks) == len(record_golden.PROFILES) * len(record_golden.SEEDS)
    monkeypatch.setattr(record_golden, "WALK_STEPS", 9)
    record_golden.main([str(tmp_path), "--missing", "--only", "walk-2M-*", "6.1"])
    lengths = {one.scenario.name: len(one.scenario.steps) for one in load(tmp_path / "6.1.json").recorded[2:]}
    assert lengths == {"walk-small-7": 8, "walk-small-11": 8, "walk-2M-7": 10, "walk-2M-11": 10}, "others as they were"


def test_what_changed_is_missing_and_what_is_gone_is_left_out(tmp_path, monkeypatch):
    record_golden.main([str(tmp_path), "6.12"])
    monkeypatch.setattr(record_golden, "WITH_PROC", [*record_golden.WITH_PROC, "walk-small-7"])
    monkeypatch.setattr(record_golden, "load_all", lambda: [library.load("cow-64k")])
    monkeypatch.setattr(record_golden, "PROFILES", ["small"])
    Guest.began = 0
    record_golden.main([str(tmp_path), "--missing", "6.12"])
    trace = load(tmp_path / "6.12.json")
    assert [one.scenario.name for one in trace.recorded] == ["cow-64k", "walk-small-7", "walk-small-11"]
    assert [bool(one.observations[0].proc) for one in trace.recorded] == [True, True, False]
    assert Guest.began == 1
    monkeypatch.setattr(record_golden, "WALK_STEPS", 8)
    record_golden.main([str(tmp_path), "--missing", "6.12"])
    assert Guest.began == 3
    assert {len(one.scenario.steps) for one in load(tmp_path / "6.12.json").recorded[1:]} == {9}


def test_another_image_is_recorded_whole(tmp_path, capsys):
    record_golden.main([str(tmp_path), "6.12"])
    path = tmp_path / "6.12.json"
    path.write_text(path.read_text().replace("a" * 64, "b" * 64))
    assert record_golden.main([str(tmp_path), "--missing", "6.12"]) == 1
    assert "recorded with another image: record it whole" in capsys.readouterr().err
