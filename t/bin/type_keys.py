#!/usr/bin/env python3
"""Types lines into a program on a terminal, and prints what it writes.

    type_keys.py PROMPT DONE PATIENCE PROGRAM ARGUMENT ... <LINES

A line is typed when the program has written PROMPT, and the next one when it
has written DONE and then PROMPT again.  The terminal is wide, and high enough
that no list is cut.
"""

import fcntl
import os
import pty
import struct
import sys
import termios
import time

prompt, done = (arg.encode() for arg in sys.argv[1:3])
deadline = time.monotonic() + float(sys.argv[3])
lines = sys.stdin.buffer.read().splitlines()

pid, terminal = pty.fork()

if pid == 0:
    os.execvp(sys.argv[4], sys.argv[4:])

fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 500, 400, 0, 0))

written = b""


def read():
    global written

    if time.monotonic() > deadline:
        os.kill(pid, 9)
        sys.exit("no end after: %r" % written)

    try:
        data = os.read(terminal, 65536)
    except OSError:             # the program has ended
        return False

    written += data
    return data != b""


for line in lines:
    while prompt not in written:
        if not read():
            sys.exit("ended after: %r" % written)

    sys.stdout.buffer.write(written)
    written = b""
    os.write(terminal, line + b"\r")

    while done not in written:
        if not read():
            sys.exit("ended after: %r" % written)

    end = written.index(done) + len(done)
    sys.stdout.buffer.write(written[:end])
    written = written[end:]

os.kill(pid, 9)
os.waitpid(pid, 0)
