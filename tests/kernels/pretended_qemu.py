"""A program that speaks like QEMU with our agent in it, as the environment variable PRETENDED_QEMU says; for tests of Guest."""

import json
import os
import re
import socket
import sys
import time

line = " ".join(sys.argv)


def number(pattern):
    return int(re.search(pattern, line)[1])


mode = os.environ["PRETENDED_QEMU"]
with open(f"/proc/self/fd/{number(r'file:/proc/self/fd/([0-9]+)')}", "w") as console:
    console.write("Linux version 6.12.0\nthe last line\n")
if mode == "dies":
    sys.exit("qemu: there is no such machine")
if mode == "silent":
    time.sleep(60)
with open(f"/proc/self/fd/{number(r'mem-path=/proc/self/fd/([0-9]+)')}", "r+b") as memory:
    memory.seek(4096 * 7)
    memory.write(b"written by the guest")
with open(f"/proc/self/fd/{number(r'-initrd /proc/self/fd/([0-9]+)')}", "rb") as initrd:
    assert b"this is the agent" in initrd.read()
os.write(1, b"READY\n")
with socket.socket(fileno=number(r"control,fd=([0-9]+)")) as control, control.makefile("rb") as requests:
    control.sendall(b'{"QMP": {}}\n')
    for request in requests:
        control.sendall(json.dumps({"return": json.loads(request)["execute"]}).encode() + b"\n")
time.sleep(60)  # QEMU does not end when nobody listens any more
