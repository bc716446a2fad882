"""Programs that own a guest and are ended, in a group of their own as a shell makes it; and whether a process is there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from contextlib import contextmanager
from pathlib import Path

from waiting import HANG_S


def is_there(pid):
    """Tell whether a process runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@contextmanager
def owner_of_guest(program, *arguments):
    """
    Run a Python program that prints the pid of its guest and waits; yield that pid and a function that ends it by a signal.

    It is killed in any case.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    # A run in the background ignores SIGINT, and so would its children.
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    command = [sys.executable, "-c", heed + textwrap.dedent(program), *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, process_group=0
    ) as owner:

        def end(signum):
            os.killpg(owner.pid, signum)  # as Ctrl-C does, it reaches all of the group
            owner.wait(HANG_S)

        try:
            yield int(owner.stdout.readline()), end
        finally:
            if owner.poll() is None:
                os.killpg(owner.pid, signal.SIGKILL)
