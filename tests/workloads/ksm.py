"""Small pages that KSM merges: 127 of one content, 61 of another, and 11 that are like no other.

KSM must be running. It ends when the kernel says that this process has 186 pages (188 less the two kept), or after 20 seconds.
"""

import ctypes
import os
import sys
import time

sys.path.insert(0, __file__.rpartition("/")[0])

from kit import MADV_MERGEABLE, PAGE, Workload, give_up, madvise

w = Workload()
start = w.area(199, huge=False)
content = os.urandom(8)  # others on this machine may merge as well: not with these
for i in range(199):
    number = 0 if i < 127 else 1 if i < 188 else i
    page = (content + number.to_bytes(8, "little")) * (PAGE // 16)
    ctypes.memmove(start + i * PAGE, page, PAGE)
    if number < 2:
        w.note(start + i * PAGE, 0, "ksm", "pte", folio=f"merged {number}")
    else:
        w.note(start + i * PAGE, 0, "anon", "pte")
madvise(start, 199, MADV_MERGEABLE)


def merging():
    with open("/proc/self/ksm_merging_pages") as file:
        return int(file.read())


deadline = time.monotonic() + 20
while merging() < 186:
    if time.monotonic() > deadline:
        give_up("KSM did not merge within 20 s")
    time.sleep(0.05)
w.hold()
