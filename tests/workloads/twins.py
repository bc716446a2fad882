"""One address space under several names: a CLONE_VM twin, threads, and a leader that has exited.

Usage: twins.py twin|threads|dead-leader. 11 folios of 64 KiB, 3 of them with five pages dropped.
"""

import ctypes
import os
import signal
import sys
import threading

sys.path.insert(0, __file__.rpartition("/")[0])

from kit import PAGE, Workload, libc

CLONE_VM = 0x100
SYS_EXIT = 60  # x86-64: ends the calling thread alone
STACK = 1 << 16

how = sys.argv[1]
w = Workload()
start = w.area(11 * 16, order=4)
w.fill(start, 11, 4)
w.settle(start, 11 * 16)
for i in range(3):
    w.drop(start + i * 16 * PAGE + 7 * PAGE, 5)

if how == "twin":
    # The twin runs no Python, only sleep(3), on a stack of its own: as posix_spawn's child does until it execs.
    stack = ctypes.create_string_buffer(STACK)
    libc.clone.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]
    top = (ctypes.addressof(stack) + STACK) & ~63
    twin = libc.clone(ctypes.cast(libc.sleep, ctypes.c_void_p), top, CLONE_VM | signal.SIGCHLD, 120)
    w.facts["twin"] = twin
    w.hold()
    os.kill(twin, signal.SIGKILL)
    os.waitpid(twin, 0)
elif how == "threads":
    done = threading.Event()
    for _ in range(7):
        threading.Thread(target=done.wait, daemon=True).start()
    w.hold()
else:

    def survive():
        w.hold()
        os._exit(0)

    threading.Thread(target=survive).start()
    libc.syscall(SYS_EXIT, 0)
