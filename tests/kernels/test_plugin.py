"""The plugin, built and run beside a fake QEMU: what is a LOCKed access, which bit, which value; and when the log is full."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest

from mapcount.errors import GuestError, MissingToolError
from mapcount.kernels import plugin as plugin_module
from mapcount.kernels.access_log import ENTRY, LOAD, LOCKED_LOAD, LOCKED_STORE, NO_BIT, STORE
from mapcount.kernels.plugin import SOURCE, AccessWatch, build_plugin, is_write, plugin_options, records_of

needs_gcc = pytest.mark.skipif(not shutil.which("gcc"), reason="the plugin cannot be built here: no gcc")
VMEMMAP = 0xFFFFEA0000000000
TEXT = 0xFFFFFFFF81000000
PAGES = 7
RECORDS = 11


class Processor:
    """Carries out instructions on a file that stands for RAM: struct page 0 lies at its beginning."""

    def __init__(self, library, directory):
        # A copy each time: the plugin's own variables live as long as the library.
        plugin = Path(shutil.copy(library, directory / "plugin.so"))
        self._fake = ctypes.CDLL(str(plugin))
        self._fake.translate.restype = ctypes.c_void_p
        self.log, self.ram = directory / "log", directory / "ram"
        self.ram.write_bytes(bytes(64 * PAGES + 64))
        options = plugin_options(plugin, self.log, self.ram, nr_pages=PAGES, nr_records=RECORDS)
        words = options[1].split(",")[1:]
        arguments = (ctypes.c_char_p * len(words))(*(word.encode() for word in words))
        self._fake.qemu_plugin_install.argtypes = [ctypes.c_uint64, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]
        assert self._fake.qemu_plugin_install(1, None, len(words), arguments) == 0
        self._kept = []

    def run(self, code, address, *values, size=4, pc=TEXT):
        """Run an instruction: with one value it stores that, with two it loads the first and stores the second."""
        block = self.block(code, pc)
        offset = address - VMEMMAP
        for number, value in enumerate(values):
            with self.ram.open("r+b") as ram:
                ram.seek(offset)
                ram.write(value.to_bytes(size, "little"))
            store = number == len(values) - 1
            self._fake.tell(block, ctypes.c_uint64(address), size.bit_length() - 1, ctypes.c_bool(store))

    def load(self, code, address, size=4, pc=TEXT):
        self._fake.tell(self.block(code, pc), ctypes.c_uint64(address), size.bit_length() - 1, ctypes.c_bool(False))

    def call(self, pc):
        self._fake.execute(self.block("90", pc))

    def block(self, code, pc):
        data = bytes.fromhex(code)
        self._kept.append(data)
        return ctypes.c_void_p(
            self._fake.translate(data, ctypes.c_size_t(len(data)), ctypes.c_uint64(pc), ctypes.c_uint64(VMEMMAP))
        )


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    path = tmp_path_factory.mktemp("plugin") / "both.so"
    fake = Path(__file__).with_name("fake_qemu.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-o", path, fake, SOURCE], check=True)
    return path


@pytest.fixture
def processor(library, tmp_path):
    return Processor(library, tmp_path)


@pytest.fixture
def watch(processor):
    with AccessWatch(processor.log) as watch:
        yield watch


def all_pages(watch, **more):
    watch.begin(VMEMMAP, VMEMMAP + 64 * PAGES, **more)


# Instructions as the kernel has them, assembled by hand.
@needs_gcc
@pytest.mark.parametrize(
    ("code", "size", "locked", "bit"),
    [
        ("f0 ff 43 30", 4, True, NO_BIT),  # lock incl 48(%rbx)
        ("ff 43 30", 4, False, NO_BIT),  # incl
        ("3e ff 43 30", 4, False, NO_BIT),  # ds incl: what is left of a LOCK prefix on one processor
        ("f0 83 47 30 ff", 4, True, NO_BIT),  # lock addl $-1, 48(%rdi)
        ("f0 48 0f ba 6f 28 1f", 8, True, 31),  # lock btsq $31, 40(%rdi)
        ("f0 48 0f ba 77 40 06", 8, True, 6),  # lock btrq $6, 64(%rdi)
        ("48 0f ba 77 28 3f", 8, False, 63),  # btrq $63, 40(%rdi)
        ("48 0f ba 67 28 3f", 8, False, NO_BIT),  # btq: a test
        ("f0 80 4b 01 08", 1, True, 3),  # lock orb $8, 1(%rbx)
        ("f0 80 63 01 f7", 1, True, 3),  # lock andb $~8, 1(%rbx)
        ("f0 41 80 64 24 01 f7", 1, True, 3),  # lock andb $~8, 1(%r12)
        ("80 4b 01 0c", 1, False, NO_BIT),  # orb $12: two bits
        ("80 43 01 08", 1, False, NO_BIT),  # addb $8
        ("87 07", 4, True, NO_BIT),  # xchg %eax, (%rdi)
        ("48 87 07", 8, True, NO_BIT),  # xchg %rax, (%rdi)
        ("c7 47 14 00 00 00 00", 4, False, NO_BIT),  # movl $0, 20(%rdi)
        ("f0 0f c1 43 18", 4, True, NO_BIT),  # lock xadd %eax, 24(%rbx)
    ],
)
def test_what_an_instruction_is(processor, watch, code, size, locked, bit):
    all_pages(watch, loads=True)
    processor.run(code, VMEMMAP + 64, 3, 5, size=size)

    first, second = records_of(watch.end())
    assert (first.kind, second.kind) == ((LOCKED_LOAD, LOCKED_STORE) if locked else (LOAD, STORE))
    assert (first.value, second.value) == (3, 5)
    assert {first.bit, second.bit} == {bit}
    assert (second.pc, second.address, second.size) == (TEXT, VMEMMAP + 64, size)
    plain, atomic = watch.counts[:, 1, 0]
    assert (plain, atomic) == ((0, 1) if locked else (1, 0))


@needs_gcc
def test_only_the_range_the_words_and_the_kinds_that_were_asked_for_are_logged(processor, watch):
    watch.begin(VMEMMAP + 64, VMEMMAP + 3 * 64, words=1 << 12)
    for page in range(PAGES):
        processor.run("c7", VMEMMAP + 64 * page + 48, 1)
        processor.run("c7", VMEMMAP + 64 * page + 52, 1)
        processor.load("8b", VMEMMAP + 64 * page + 48)
    processor.run("c7", VMEMMAP + 64 + 48, 1, pc=0x400000)

    records = watch.end()
    assert [record.address for record in records_of(records)] == [VMEMMAP + 64 + 48, VMEMMAP + 2 * 64 + 48]
    assert is_write(records).all()
    assert watch.counts[0, :, 12].tolist() == [1] * PAGES, "counted wherever it is, by the kernel alone"


@needs_gcc
def test_only_the_widths_that_were_asked_for_are_logged(processor, watch):
    all_pages(watch, sizes=1 + 4)
    for size in (1, 2, 4, 8):
        processor.run("c7", VMEMMAP + 16, 1, size=size)
    assert watch.end()["size"].tolist() == [1, 4]


@needs_gcc
def test_four_bytes_of_the_same_struct_page_go_with_a_record(processor, watch):
    processor.run("c7", VMEMMAP + 2 * 64 + 56, 509)
    all_pages(watch, context=56)
    processor.run("f0 01", VMEMMAP + 2 * 64 + 16, 0, 1)

    assert [record.context for record in records_of(watch.end())] == [509, 509]


@needs_gcc
def test_marked_functions_and_no_others_are_told_of_in_their_order(processor, watch):
    functions = [TEXT + 0x1000 * number for number in (2, 5, 7)]
    all_pages(watch, entries=reversed(functions))
    for number in (7, 1, 2, 3, 5, 8):
        processor.call(TEXT + 0x1000 * number)
    processor.run("c7", VMEMMAP, 1)

    told = [(record.kind, record.pc) for record in records_of(watch.end())]
    assert told == [(ENTRY, functions[2]), (ENTRY, functions[0]), (ENTRY, functions[1]), (STORE, TEXT)]


@needs_gcc
def test_nothing_is_logged_before_the_beginning_and_after_the_end(processor, watch):
    processor.run("c7", VMEMMAP, 1)
    all_pages(watch)
    assert len(watch.end()) == 0
    processor.run("c7", VMEMMAP, 1)
    all_pages(watch)
    processor.run("c7", VMEMMAP, 1)
    assert len(watch.end()) == 1


@needs_gcc
def test_a_full_log_is_an_error_that_says_how_much_is_missing(processor, watch):
    all_pages(watch)
    for _ in range(RECORDS + 3):
        processor.run("c7", VMEMMAP, 1)
    with pytest.raises(GuestError, match=f"{RECORDS} records, and 3 more"):
        watch.end()
    all_pages(watch)
    processor.run("c7", VMEMMAP, 1)
    assert len(watch.end()) == 1, "it can be used again"


@needs_gcc
def test_what_cannot_be_told_as_there_is_no_ram_is_not_dropped_in_silence(processor, watch):
    processor.ram.rename(processor.ram.with_name("elsewhere"))
    all_pages(watch)
    processor.load("f0 ff 43 30", VMEMMAP)
    with pytest.raises(GuestError, match="1 more"):
        watch.end()


@needs_gcc
def test_it_is_built_once():
    path = build_plugin()
    before = path.stat().st_mtime_ns
    assert (build_plugin(), path.stat().st_mtime_ns) == (path, before)
    assert path.read_bytes().startswith(b"\x7fELF")


def test_without_a_compiler_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(MissingToolError, match="apt-get install gcc"):
        build_plugin()


@needs_gcc
def test_what_the_compiler_says_is_told(monkeypatch, tmp_path):
    broken = tmp_path / "accesses.c"
    broken.write_text("int broken = ;")
    monkeypatch.setattr(plugin_module, "SOURCE", broken)
    with pytest.raises(MissingToolError, match="expected expression"):
        build_plugin()


def test_a_log_that_is_not_there_or_none_is_an_error(tmp_path):
    with pytest.raises(GuestError, match="left no log"):
        AccessWatch(tmp_path / "log")
    (tmp_path / "log").write_bytes(bytes(8192))
    with pytest.raises(GuestError, match="no log of this plugin"):
        AccessWatch(tmp_path / "log")
