"""`mapcount conform` with models in place of kernels: what is compared with what, exit codes, arguments without sense."""

from __future__ import annotations

import json
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from mapcount.cli import main
from mapcount.errors import EXIT_FINDING, EXIT_NOT_ALLOWED, EXIT_OK, EXIT_USAGE
from mapcount.kernels.rmap_calls import Change, RmapCall
from mapcount.kernels.workloads import Workload
from mapcount.machine.backend import ModelBackend
from mapcount.scenarios.walks import PROFILES

COW = "cow-last-page-64k"


class Wrong(ModelBackend):
    """Returns 1 for a fork."""

    def do(self, step):
        return super().do(step) + (type(step).__name__ == "Fork")


KERNELS = {
    "6.12": lambda: ModelBackend("6.12.99"),
    "6.18": lambda: ModelBackend("6.18.3"),
    "7.3-no-page-mapcount": lambda: ModelBackend("7.3.1", page_mapcount=False),
    "wrong": lambda: Wrong("6.12.99"),
}


@pytest.fixture(autouse=True)
def kernels(monkeypatch, tmp_path):
    """Machines by name, each closed again."""
    opened = []

    @contextmanager
    def open_backend(on, *, keeps_state):
        assert keeps_state, "many scenarios follow"
        opened.append(on)
        yield KERNELS[on]()
        opened.append(f"closed {on}")

    monkeypatch.setattr("mapcount.kernels.backends.open_backend", open_backend)
    monkeypatch.setenv("MAPCOUNT_KERNELS", str(tmp_path / "none"))
    return opened


def test_a_kernel_is_held_against_the_model_of_it(kernels, capsys):
    assert main(["conform", "--kernel", "7.3-no-page-mapcount", "--scenario", COW]) == EXIT_OK
    out, err = capsys.readouterr()
    assert "model of 7.3 without page mapcounts" in err
    assert "No difference" in out
    assert kernels == ["7.3-no-page-mapcount", "closed 7.3-no-page-mapcount"]


def test_several_kernels_are_rows_of_one_table(capsys):
    arguments = ["--kernel", "6.12", "--kernel", "6.18", "--scenario", COW, "--scenario", "small-pages", "--json", "-q"]
    assert main(["conform", *arguments]) == EXIT_OK
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert err == ""
    assert [(one["left"], one["right"]) for one in found["pairs"]] == [
        ("model of 6.12", "model of 6.12"),
        ("model of 6.18", "model of 6.18"),
    ]
    assert all(one["coverage"]["branches_taken"] for one in found["pairs"])
    fields = {row["field"] for row in found["pairs"][0]["fields"]}
    assert {"_mapcount", "Pss", "bit 56", "kpagecount"} <= fields


def test_without_proc(capsys):
    assert main(["conform", "--kernel", "6.12", "--scenario", COW, "--no-proc", "--json"]) == EXIT_OK
    fields = {row["field"] for row in json.loads(capsys.readouterr().out)["pairs"][0]["fields"]}
    assert "_mapcount" in fields and not {"Pss", "bit 56", "kpagecount"} & fields


def test_a_difference_is_an_exit_code_and_a_short_scenario(capsys):
    assert main(["conform", "--kernel", "wrong", "--scenario", COW, "--no-proc"]) == EXIT_FINDING
    out = capsys.readouterr().out
    assert "result of the step, first seen in cow-last-page-64k:" in out
    assert "    p: fork c\n" in out and "p: mmap" not in out


def test_one_kernel_against_another(kernels, capsys):
    code = main(["conform", "--kernel", "6.12", "--against", "6.18", "--scenario", "cow-64k", "--no-proc", "--json"])
    assert code == EXIT_FINDING
    (one,) = json.loads(capsys.readouterr().out)["pairs"]
    assert (one["left"], one["right"]) == ("model of 6.12", "model of 6.18")
    assert one["coverage"] is None and one["shortest"] == []
    assert kernels == ["6.12", "6.18", "closed 6.18", "closed 6.12"]
    assert "page tables" in {row["field"] for row in one["differences"]}, "6.12 copies where 6.18 reuses"
    only = {row["field"]: row["why"] for row in one["fields"] if row["one_sided"]}
    assert only["_mm_id"] == "only model of 6.18 has it"


def test_walks_alone(capsys):
    assert main(["conform", "--kernel", "6.12", "--walks", "1", "--steps", "11", "--no-proc", "--json"]) == EXIT_OK
    (one,) = json.loads(capsys.readouterr().out)["pairs"]
    assert one["scenarios"] + len(one["skipped"]) == len(PROFILES)
    assert one["steps"] > 11 * (len(PROFILES) - 1)


def test_a_file(tmp_path, capsys):
    (tmp_path / "mine.scenario").write_text("p: mmap a 16k\np: write a[2]\n")
    arguments = ["conform", "--kernel", "6.12", "--scenario", str(tmp_path / "mine.scenario"), "--json"]
    assert main(arguments) == EXIT_OK
    assert json.loads(capsys.readouterr().out)["pairs"][0]["steps"] == 2


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--against", "6.18"], EXIT_USAGE, "--against compares two machines"),
        (["--kernel", "6.12", "--kernel", "6.18", "--against", "6.18"], EXIT_USAGE, "once"),
        (["--kernel", "6.12", "--scenario", "cow-last-pag-64k"], EXIT_USAGE, "did you mean cow-last-page-64k?"),
        ([], EXIT_NOT_ALLOWED, "mapcount kernels fetch"),
    ],
)
def test_what_makes_no_sense(arguments, code, words, capsys):
    assert main(["conform", *arguments]) == code
    assert words in capsys.readouterr().err


def test_programs_are_for_accesses_and_for_kernels_that_show_calls(monkeypatch, capsys):
    assert main(["conform", "--workload", "prefork"]) == EXIT_USAGE
    assert "add --accesses" in capsys.readouterr().err
    assert main(["conform", "--accesses", "--kernel", "6.12", "--workload", "nginx"]) == EXIT_USAGE
    assert "there are: prefork, allocator, compiler" in capsys.readouterr().err
    monkeypatch.setattr("mapcount.kernels.workloads.load", dict.fromkeys)
    monkeypatch.setattr("mapcount.kernels.images.find_image", lambda name: SimpleNamespace(release=f"{name}.99"))
    assert main(["conform", "--accesses", "--kernel", "6.1", "--workload", "all"]) == EXIT_NOT_ALLOWED
    assert "Linux 6.10" in capsys.readouterr().err


def test_programs_run_on_each_kernel(monkeypatch, capsys):
    class Guest:
        def __init__(self, image, files):
            assert files == {"bin": None, "bin/prefork": b"elf"}
            self.release = image.release

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def rmap_calls(self, command, settings, *, time_limit_s):
            assert command == ("/bin/prefork",) and time_limit_s > 0
            return 0, [RmapCall(Change.UNMAP, 13, 16, False, "f")] * (7 if settings.anon else 3)

    workload = Workload(("/bin/prefork",), {"bin/prefork": b"elf"})
    monkeypatch.setattr("mapcount.kernels.workloads.load", lambda names: dict.fromkeys(names, workload))
    monkeypatch.setattr("mapcount.kernels.images.find_image", lambda name: SimpleNamespace(release=f"{name}.99"))
    monkeypatch.setattr("mapcount.kernels.plugin_guest.PluginGuest", Guest)
    kernels = ["--kernel", "6.12", "--kernel", "7.3"]
    assert main(["conform", "--accesses", *kernels, "--workload", "prefork", "--json"]) == EXIT_OK
    told = json.loads(capsys.readouterr().out)["usual_case"]
    assert [(one["release"], row["calls"]) for one in told for row in one["rows"]] == [
        ("6.12.99", 3), ("6.12.99", 7), ("7.3.99", 3), ("7.3.99", 7)
    ]  # fmt: skip
