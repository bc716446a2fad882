"""An apt of our own: it trusts signatures alone, and leaves the system's apt as it was."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kernels.archive import sha256
from mapcount.errors import KernelImageError
from mapcount.kernels import apt_setup
from mapcount.kernels.apt import KEYRINGS, Apt
from mapcount.kernels.apt_setup import Suite
from waiting import wait_for

RELEASE = "6.13.7-cloud-amd64"
PACKAGE = f"linux-image-{RELEASE}"
SYSTEM = ("/var/lib/apt", "/var/lib/dpkg", "/var/cache/apt", "/etc/apt")


def state_of_the_system():
    """Return all files of the system's apt and dpkg with what would change if they were written."""
    paths = [path for root in SYSTEM for path in (Path(root), *Path(root).rglob("*"))]
    stats = [(str(path), path.lstat()) for path in paths if "/info/" not in str(path)]
    return {name: (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino) for name, found in stats}


@pytest.fixture
def published(archive):
    """The archive with a kernel in its suite `old`."""
    archive.add_kernel("old", RELEASE, "6.13.7-1")
    archive.publish()
    return archive


def test_a_signed_suite_is_listed_and_its_package_had(published, apt, tmp_path):
    assert apt.index() is None
    index = apt.update()

    (package,) = index.packages
    assert (package.name, package.version, package.suite) == (PACKAGE, "6.13.7-1", "old")
    assert apt.index() == index
    (problem,) = index.problems
    assert problem.suite == "new"  # that suite was never published
    assert sha256(apt.download(package, tmp_path)) == sha256(published.files[PACKAGE]) == package.sha256


def test_the_systems_apt_is_left_alone(published, apt, tmp_path):
    before = state_of_the_system()
    (package,) = apt.update().packages
    apt.download(package, tmp_path)
    assert len(before) > 5
    assert state_of_the_system() == before


def test_what_the_system_allows_is_not_allowed_here(apt, published, cache, tmp_path, monkeypatch):
    loose = tmp_path / "loose.conf"
    loose.write_text('APT::Get::AllowUnauthenticated "true"; Acquire::AllowInsecureRepositories "true";\n')
    monkeypatch.setenv("APT_CONFIG", str(loose))
    published.in_release("old").unlink()
    with pytest.raises(KernelImageError, match="no suite of Debian could be read"):
        apt.update()


def test_proxies_of_the_system_are_heeded_and_nothing_else(apt, published, cache, monkeypatch, tmp_path):
    asked = []

    def answer(command, environment, timeout_s):
        asked.append(command)
        return (
            0,
            'Acquire::http::Proxy "http://proxy:3128/";\nAcquire::http::AllowRedirect "true";\nAcquire::Retries "9";\n',
        )

    monkeypatch.setattr(apt_setup, "run", answer)
    assert apt_setup._proxies() == 'Acquire::http::Proxy "http://proxy:3128/";\n'
    assert asked


def refuse_unsigned(archive, keys):
    archive.in_release("old").write_bytes(archive.in_release("old").read_bytes().split(b"-----BEGIN PGP SIGNATURE")[0])


def refuse_no_index(archive, keys):
    archive.in_release("old").unlink()


def refuse_stranger(archive, keys):
    archive.publish(key=keys[1])


def refuse_changed_release(archive, keys):
    path = archive.in_release("old")
    path.write_bytes(path.read_bytes().replace(b"Suite: old", b"Suite: odd"))


def refuse_changed_list(archive, keys):
    path = archive.index("old")
    path.write_text(path.read_text().replace("SHA256: ", "SHA256: 0", 1))


def refuse_expired(archive, keys):
    archive.publish(valid_until="Sun, 02 Jan 2022 00:00:00 UTC")


@pytest.mark.parametrize(
    "spoil",
    [refuse_unsigned, refuse_no_index, refuse_stranger, refuse_changed_release, refuse_changed_list, refuse_expired],
)
def test_no_suite_is_read_that_its_key_does_not_vouch_for(published, apt, keys, spoil):
    spoil(published, keys)
    with pytest.raises(KernelImageError, match="no suite of Debian could be read") as refused:
        apt.update()
    assert "old" in str(refused.value)
    assert apt.index() is None


@pytest.mark.parametrize("spoil", ["change", "cut", "remove"])
def test_a_package_that_is_not_as_listed_leaves_nothing(published, apt, tmp_path, spoil):
    (package,) = apt.update().packages
    path = published.files[PACKAGE]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()
    if spoil != "remove":
        path.write_bytes(content if spoil == "change" else content[: len(content) // 2])
    place = tmp_path / "place"
    place.mkdir()
    with pytest.raises(
        KernelImageError, match=f"{PACKAGE} 6.13.7-1: .*({'not found|No such' if spoil == 'remove' else 'ash'})"
    ):
        apt.download(package, place)
    assert list(place.iterdir()) == []


def test_newer_keys_come_as_a_package_that_known_keys_vouch_for(archive, apt, keys):
    def fill(tree):
        place = tree / KEYRINGS[0].relative_to("/")
        place.parent.mkdir(parents=True)
        place.write_bytes(b"".join(key.keyring.read_bytes() for key in keys))

    archive.add_package("old", "debian-archive-keyring", "2026.1", fill)
    archive.publish()
    archive._suites.clear()
    archive.add_kernel("new", RELEASE, "6.13.7-1")
    archive.publish(key=keys[1])

    index = apt.update()
    assert [package.name for package in index.packages] == ["debian-archive-keyring", PACKAGE]
    assert index.problems == ()


def test_a_stranger_cannot_bring_his_own_keys(archive, apt, keys):
    archive.add_package("new", "debian-archive-keyring", "2026.1", lambda tree: None)
    archive.publish(key=keys[1])
    with pytest.raises(KernelImageError, match="no suite of Debian could be read"):
        apt.update()


def test_a_directory_that_apt_could_not_be_told(tmp_path, keys):
    with pytest.raises(KernelImageError, match="set MAPCOUNT_KERNELS to one without blanks"):
        Apt(tmp_path / "my kernels", [], [keys[0].keyring]).update()


def test_without_a_keyring_nothing_is_asked(archive, cache, tmp_path):
    with pytest.raises(KernelImageError, match="apt-get install -y debian-archive-keyring"):
        Apt(cache / "apt", [Suite("copy:/nowhere", "old")], [tmp_path / "no.gpg"]).update()


def test_without_apt_the_way_out_is_named(cache, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(KernelImageError, match=r"apt-get is not here.*mapcount kernels add"):
        Apt(cache / "apt").update()


def has_ended(pid):
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_command_that_does_not_end_is_killed_with_what_it_started(tmp_path):
    script = f"sleep 997 & echo $! > {tmp_path}/pid; wait"
    with pytest.raises(KernelImageError, match="sh did not end within 2 s"):
        apt_setup.run(["sh", "-c", script], dict(os.environ), 2)
    pid = int((tmp_path / "pid").read_text())
    wait_for(lambda: has_ended(pid), f"for {pid} to be killed")


def test_an_ordinary_user_can_fetch(published, keys, tmp_path_factory):
    if os.geteuid():
        pytest.skip("we are an ordinary user: the other tests show it")
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix="mapcount-apt-", ignore_cleanup_errors=True) as shared:
        # pytest's directories are for root alone.
        os.chmod(shared, 0o777)
        subprocess.run(["cp", "-r", str(published.root), f"{shared}/archive"], check=True, timeout=60)
        subprocess.run(["cp", str(keys[0].keyring), f"{shared}/key.gpg"], check=True, timeout=60)
        script = (
            "import os\n"
            "from pathlib import Path\n"
            "from mapcount.kernels.apt import Apt\n"
            "from mapcount.kernels.apt_setup import Suite\n"
            "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
            f"apt = Apt(Path('{shared}/apt'), [Suite('copy:{shared}/archive', 'old')], [Path('{shared}/key.gpg')])\n"
            f"print(apt.download(apt.update().packages[0], Path('{shared}')).stat().st_size)\n"
        )
        ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120)
    assert ran.stdout.strip() == str(published.files[PACKAGE].stat().st_size), ran.stderr
