"""A Debian archive of our own in a directory: packages of made-up kernels, indexes, and keys that sign them."""

from __future__ import annotations

import hashlib
import lzma
import random
import shutil
import struct
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

TOOLS = ("apt-get", "apt-config", "dpkg-deb", "gpg", "gpgconf", "gpgv")
MISSING = ", ".join(tool for tool in TOOLS if not shutil.which(tool))
WHY = f"a signed archive cannot be made or read: {MISSING} is missing"
KERNEL_BYTES = (1 << 20) + 997
"""More than a package of names alone could have."""


def boot_image(release, size=KERNEL_BYTES):
    """Return the bytes of a file with the boot header of a bzImage, which says it is `release`; the rest is noise."""
    setup = bytearray(0x400)
    setup[0x202:0x206] = b"HdrS"
    setup[0x20E:0x210] = struct.pack("<H", 0x280 - 0x200)
    text = f"{release} (someone@somewhere) #1 SMP\0".encode()
    setup[0x280 : 0x280 + len(text)] = text
    return bytes(setup) + random.Random(release).randbytes(max(0, size - len(setup)))


def module(needs=()):
    """Return the bytes of what begins like a kernel module and says which others it needs."""
    return b"\x7fELF" + b"\0" * 13 + b"license=GPL\0depends=" + ",".join(needs).encode() + b"\0name=some\0"


def config(*, page_mapcount=True):
    """Return the text of a .config."""
    return "CONFIG_NO_PAGE_MAPCOUNT=y\n" if not page_mapcount else "# CONFIG_NO_PAGE_MAPCOUNT is not set\n"


def kernel_tree(root, release, *, boot=True, image=True, with_config=True, modules=None):
    """Write the files of a kernel as Debian's packages lay them out, those of 6.18 and before or (not `boot`) later ones."""
    base = root / ("lib" if boot else "usr/lib") / "modules" / release
    (root / "boot" if boot else base).mkdir(parents=True, exist_ok=True)
    if image:
        (root / f"boot/vmlinuz-{release}" if boot else base / "vmlinuz").write_bytes(boot_image(release))
    if with_config:
        (root / f"boot/config-{release}" if boot else base / "config").write_text(config())
    for name, content in ({"brd.ko": module()} if modules is None else modules).items():
        path = base / "kernel" / "drivers" / "block" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(lzma.compress(content) if name.endswith(".xz") else content)


class Key:
    """A key that signs, and the keyring that trusts it."""

    def __init__(self, home):
        self.home = home
        self.keyring = home / "keyring.gpg"
        self._gpg("--passphrase", "", "--quick-gen-key", "archive", "ed25519", "sign", "never")
        self._gpg("--output", str(self.keyring), "--export")

    def clearsign(self, text):
        """Return the text with its signature, as InRelease has it."""
        return self._gpg("--clearsign", given=text)

    def _gpg(self, *arguments, given=b""):
        command = ["gpg", "--homedir", str(self.home), "--batch", "--quiet", *arguments]
        return subprocess.run(command, input=given, capture_output=True, check=True, timeout=60).stdout


@contextmanager
def new_key():
    """Yield a key; its directory is short, as gpg's sockets need it, and goes with the agent that gpg starts."""
    home = Path(tempfile.mkdtemp(prefix="gpg-"))
    try:
        yield Key(home)
    finally:
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False, timeout=60)
        shutil.rmtree(home)


class Archive:
    """An archive with suites; `publish` writes and signs what was added."""

    def __init__(self, root, key):
        self.root = root
        self.key = key
        self.files = {}
        """Of each package, its path."""
        self._suites = {}

    def add_package(self, suite, name, version, fill):
        """Build a package of what `fill(directory)` writes."""
        tree = self.root / "build" / f"{name}_{version}"
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "DEBIAN/control").write_text(
            f"Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: Nobody <n@example.org>\nDescription: none\n"
        )
        fill(tree)
        path = self.root / "pool" / f"{name}_{version}.deb"
        path.parent.mkdir(exist_ok=True)
        command = ["dpkg-deb", "--root-owner-group", "-Znone", "--build", str(tree), str(path)]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        self.files[name] = path
        self._suites.setdefault(suite, []).append((name, version, path, path.stat().st_size, sha256(path)))
        return path

    def add_kernel(self, suite, release, version, **layout):
        """Add a package linux-image-RELEASE that has all of a kernel."""
        return self.add_package(
            suite, f"linux-image-{release}", version, lambda tree: kernel_tree(tree, release, **layout)
        )

    def publish(self, *, key=None, valid_until=""):
        """Write the indexes of all suites, signed with `key` or the archive's own."""
        for suite in self._suites:
            self._publish(suite, key or self.key, valid_until)

    def _publish(self, suite, key, valid_until):
        paragraphs = [
            f"Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: Nobody <n@example.org>\n"
            f"Filename: pool/{path.name}\nSize: {size}\nSHA256: {digest}\nDescription: none\n"
            for name, version, path, size, digest in self._suites[suite]
        ]
        index = self.index(suite)
        index.parent.mkdir(parents=True, exist_ok=True)
        index.write_text("\n".join(paragraphs))
        until = f"Valid-Until: {valid_until}\n" if valid_until else ""
        release = (
            f"Suite: {suite}\nCodename: {suite}\nDate: Sat, 01 Jan 2022 00:00:00 UTC\n{until}"
            "Architectures: amd64\nComponents: main\n"
            f"SHA256:\n {sha256(index)} {index.stat().st_size} main/binary-amd64/Packages\n"
        )
        self.in_release(suite).write_bytes(key.clearsign(release.encode()))

    def index(self, suite):
        """Return the path of a suite's list of packages."""
        return self.root / "dists" / suite / "main/binary-amd64/Packages"

    def in_release(self, suite):
        """Return the path of a suite's signed index."""
        return self.root / "dists" / suite / "InRelease"


def sha256(path):
    """Return the hash of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
