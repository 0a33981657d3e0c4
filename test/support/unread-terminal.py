"""Runs a command on a terminal that takes nothing, as one after Ctrl-S, until a line comes on standard input: then
it takes all, and what is shown goes to standard output. Ends with the exit code of the command.
"""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import threading
import time

COLUMNS = 200

master, slave = pty.openpty()
fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
# By a description of its own: the command must not find its terminal non-blocking.
filler = os.open(os.ttyname(slave), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
# The system moves what was written from one buffer to the next, which makes room once more.
refusals = 0
while refusals < 5:
    try:
        os.write(filler, b".\n")
        refusals = 0
    except BlockingIOError:
        refusals += 1
        time.sleep(0.02)
os.close(filler)
command = subprocess.Popen(sys.argv[1:], stdin=slave, stdout=slave, stderr=slave)
os.close(slave)

reading = threading.Event()


def show():
    """Until the command has ended and all that it wrote is shown, which the system tells by EIO."""
    sys.stdin.readline()
    reading.set()
    try:
        while shown := os.read(master, 65536):
            sys.stdout.buffer.write(shown)
            sys.stdout.buffer.flush()
    except OSError:
        pass


showing = threading.Thread(target=show, daemon=True)
showing.start()
code = command.wait()
if reading.is_set():
    showing.join()
os._exit(code)
