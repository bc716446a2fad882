"""Processes that live for a moment: one after the other, some with an exec, for as long as it is let."""

import os
import select
import sys

sys.path.insert(0, __file__.rpartition("/")[0])

from kit import tell_moving

tell_moving()
number = 0
while not select.select([sys.stdin], [], [], 0.001)[0]:
    number += 1
    child = os.fork()
    if child == 0:
        if number % 3 == 0:
            os.execv("/bin/true", ["true"])
        os._exit(0)
    os.waitpid(child, 0)
