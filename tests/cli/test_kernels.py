"""`mapcount kernels`: arguments, tables, JSON, exit codes."""

from __future__ import annotations

import json

import pytest

from kernels.archive import MISSING, WHY, Archive, boot_image, config, new_key
from mapcount.kernels.apt_setup import Suite

OLD, NEW = "5.10.0-46-cloud-amd64", "6.13.7-cloud-amd64"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MAPCOUNT_KERNELS", str(tmp_path / "kernels"))
    return tmp_path / "kernels"


@pytest.fixture
def debian(tmp_path, monkeypatch):
    """An archive in the place of Debian's: one suite that has two series, and one that is not there."""
    if MISSING:
        pytest.skip(WHY)
    with new_key() as key:
        archive = Archive(tmp_path / "archive", key)
        archive.add_kernel("prime", OLD, "5.10.262-1")
        archive.add_kernel("prime", NEW, "6.13.7-1")
        archive.publish()
        suites = [Suite(f"copy:{archive.root}", name) for name in ("prime", "gone")]
        monkeypatch.setattr("mapcount.kernels.apt.SUITES", suites)
        monkeypatch.setattr("mapcount.kernels.apt.KEYRINGS", [key.keyring])
        yield archive


@pytest.fixture
def own(tmp_path):
    """A bzImage of one's own with its config."""
    (tmp_path / "vmlinuz-mine").write_bytes(boot_image("7.3.4"))
    (tmp_path / "config-mine").write_text(config(page_mapcount=False))
    return str(tmp_path / "vmlinuz-mine")


def test_an_empty_cache_says_what_to_do(mapcount):
    ran = mapcount("kernels")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "No kernel image is cached." in ran.stdout
    assert "mapcount kernels list --update" in ran.stdout
    assert json.loads(mapcount("kernels", "--json").stdout)["updated_s"] is None


def test_what_debian_has_and_what_was_fetched(mapcount, debian):
    listed = mapcount("kernels", "list", "--update")
    assert listed.returncode == 0
    assert ["5.10", "5.10.0-46", "online"] in [line.split()[:3] for line in listed.stdout.splitlines()]
    assert "Not read: gone: " in listed.stdout
    assert "reading the lists" in listed.stderr

    fetched = mapcount("kernels", "fetch", "6.13", "--json")
    assert fetched.returncode == 0
    (row,) = json.loads(fetched.stdout)["images"]
    assert (row["release"], row["state"], row["scheme"], row["page_mapcount"]) == (
        NEW,
        "cached",
        "large-mapcount",
        True,
    )
    assert f"6.13: fetching linux-image-{NEW} 6.13.7-1 (" in fetched.stderr

    states = {row["name"]: row["state"] for row in json.loads(mapcount("kernels", "--json").stdout)["images"]}
    assert states == {"5.10": "online", "6.13": "cached"}
    schemes = {row["scheme"] for row in json.loads(mapcount("kernels", "--json").stdout)["unrefereed"]}
    assert schemes == {"double-map", "nr-pages-mapped", "large-mapcount:unbatched", "mm-id", "no-page-mapcount"}


def test_what_cannot_be_had_is_told_after_the_rest_was_fetched(mapcount, debian):
    ran = mapcount("kernels", "fetch", "6.5", "5.10", "-q")
    assert ran.returncode == 3
    assert ran.stdout.splitlines()[2].split()[:3] == ["5.10", "5.10.0-46", "cached"]
    assert ran.stderr.startswith("mapcount: no suite of Debian that was read has an image of Linux 6.5")
    assert mapcount("kernels", "fetch", "--all", "-q").returncode == 0


def test_an_image_of_ones_own(mapcount, own, cache):
    added = mapcount("kernels", "add", own, "--name", "7.3-no-page-mapcount")
    assert added.returncode == 0
    row = ["7.3-no-page-mapcount", "7.3.4", "cached", "1.0", "MiB", "no", "no-page-mapcount"]
    assert added.stdout.splitlines()[2].split() == row
    assert mapcount("kernels", "verify").stdout.startswith("✓ intact   7.3-no-page-mapcount")

    (cache / "7.3-no-page-mapcount/vmlinuz").write_bytes(b"other")
    ran = mapcount("kernels", "verify")
    assert ran.returncode == 4
    assert "✗ changed  7.3-no-page-mapcount" in ran.stdout
    (row,) = json.loads(mapcount("kernels", "verify", "--json").stdout)["verified"]
    assert row["problems"]
    assert "is damaged: vmlinuz was changed" in mapcount("kernels").stdout


def test_an_image_without_config_is_not_guessed_at(mapcount, tmp_path):
    (tmp_path / "bzImage").write_bytes(boot_image("7.3.4"))
    ran = mapcount("kernels", "add", "bzImage", "--name", "mine", "--json")
    assert json.loads(ran.stdout)["images"][0]["page_mapcount"] is None
    assert "name it with --config" in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["list", "6.12"], "to get it: kernels fetch"),
        (["list", "--all"], "--all belongs to mapcount kernels fetch, not to list"),
        (["fetch"], "name the series to fetch"),
        (["fetch", "6.12", "--all"], "one of the two"),
        (["fetch", "newest"], "'newest' is no series"),
        (["add", "a"], "and --name NAME"),
        (["add", "a", "b", "--name", "c"], "the path of one bzImage"),
        (["verify", "--update"], "--update belongs to mapcount kernels list, not to verify"),
    ],
)
def test_arguments_that_make_no_sense(mapcount, arguments, says):
    ran = mapcount("kernels", *arguments)
    assert ran.returncode == 2
    assert says in ran.stderr


def test_what_is_not_there(mapcount):
    assert mapcount("kernels", "verify", "6.12").returncode == 3
    ran = mapcount("kernels", "add", "nowhere", "--name", "mine")
    assert (ran.returncode, "No such file" in ran.stderr) == (3, True)
