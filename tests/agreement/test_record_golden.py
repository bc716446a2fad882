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

    def __init__(self, image):
        super().__init__(image.name)

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
