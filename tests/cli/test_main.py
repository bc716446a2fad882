"""The command as a whole: help, versions, exit codes, errors as one message, quick start."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

import pytest

from mapcount import __version__, errors
from mapcount.cli import _COMMANDS, build_parser, main

HEAVY = ("numpy", "polars", "numba", "rich", "msgspec", "shtab", "rich_argparse", "jinja2")


def test_without_arguments_ten_lines_with_three_examples(capsys):
    assert main([]) == 0

    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 10
    assert len([line for line in shown if line.startswith("  ") and "mapcount " in line]) == 3


def test_version(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["-V"])

    assert ended.value.code == 0
    assert capsys.readouterr().out == f"mapcount {__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-V"], *([command.NAME, "--help"] for command in _COMMANDS)])
def test_help_imports_nothing_heavy(arguments):
    program = f"""
import sys
from mapcount.cli import main
try:
    main({arguments!r})
except SystemExit:
    pass
print(*[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert ran.stderr.strip() == ""
    assert "mapcount" in ran.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["report", "--by", "colour"],
        ["report", "--top", "-1"],
        ["doctor", "--top", "3"],
        ["capture", "-p", "0"],
        ["capture", "-p", "self"],
        ["capture", "--max-seconds", "0"],
        ["capture", "--max-cpu", "nan"],
        ["completion", "fish"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == errors.EXIT_USAGE
    assert "usage: mapcount" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["report", "absent.mapsnap"], errors.EXIT_BAD_INPUT, "absent.mapsnap"),
        (["diff", "absent.mapsnap", "gone.mapsnap"], errors.EXIT_BAD_INPUT, "absent.mapsnap"),
        (["report", "absent.mapsnap", "--pid", "7"], errors.EXIT_USAGE, "captured already"),
        (["capture", "--freeze"], errors.EXIT_USAGE, "--freeze"),
        (["capture", "-o", "no/such/dir/a.mapsnap"], errors.EXIT_BAD_INPUT, "no/such/dir"),
    ],
)
def test_errors_are_one_message_on_stderr(arguments, code, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert main(arguments) == code

    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("mapcount: ") and words in shown.err
    assert "Traceback" not in shown.err and shown.err.count("\n") == 1


def test_ctrl_c_is_exit_code_130(monkeypatch):
    def interrupted(args):
        raise KeyboardInterrupt

    monkeypatch.setattr("mapcount.cli.doctor.run", interrupted)

    assert main(["doctor"]) == 130


def test_faults_of_ours_are_not_hidden(monkeypatch):
    def broken(args):
        raise ZeroDivisionError

    monkeypatch.setattr("mapcount.cli.doctor.run", broken)

    with pytest.raises(ZeroDivisionError):
        main(["doctor"])


def test_a_reader_that_left_is_no_error(tmp_path):
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [sys.executable, "-m", "mapcount", "report", "--json-schema"]
    ran = subprocess.run(command, stdout=write_end, stderr=subprocess.PIPE, check=False, timeout=60)
    os.close(write_end)

    assert (ran.returncode, ran.stderr) == (141, b"")


def test_head_gets_its_line(snapshot):
    shell = f'"{sys.executable}" -m mapcount report "{snapshot}" --json | head -1'
    ran = subprocess.run(["bash", "-c", shell], capture_output=True, check=True, timeout=60)

    assert (ran.stdout, ran.stderr) == (b"{\n", b"")


def test_every_option_says_what_it_does():
    def walk(parser):
        for action in parser._actions:
            assert action.help
            if isinstance(action, argparse._SubParsersAction):
                for child in action.choices.values():
                    walk(child)

    commands = build_parser()._subparsers._group_actions[0]
    for child in commands.choices.values():
        walk(child)


def test_commands_are_those_of_the_design():
    assert [command.NAME for command in _COMMANDS] == [
        "capture",
        "report",
        "diff",
        "doctor",
        "compare",
        "schemes",
        "run",
        "kernels",
        "conform",
        "check",
        "cost",
        "explain",
        "completion",
    ]
