"""Runs a command whose standard error is a terminal, and prints what a person sees in the end.

    terminal.py [answer=TEXT] COMMAND...

Standard input is the terminal too if there is something to answer: one line.

Prints {"code": exit code, "drawn": everything that was written, "screen": the lines that are left}, as JSON.
"""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios

COLUMNS = 200


def run(command, answer=None):
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm"}
    stdin = subprocess.DEVNULL if answer is None else slave
    child = subprocess.Popen(command, stdin=stdin, stdout=subprocess.DEVNULL, stderr=slave, env=environment)
    os.close(slave)
    if answer is not None:
        os.write(master, answer.encode() + b"\n")
    written = b""
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:  # Nobody has the other end any more.
            part = b""
        if not part:
            return child.wait(), written.decode()
        written += part


def screen(text):
    """What is left of all lines, as a terminal without a last line would show them."""
    lines, row, column = [[]], 0, 0
    for token in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|.", text, re.DOTALL):
        if token == "\n":
            row += 1
            if row == len(lines):
                lines.append([])
        elif token == "\r":
            column = 0
        elif token in ("\x1b[2K", "\x1b[K", "\x1b[0K"):
            lines[row] = [] if token == "\x1b[2K" else lines[row][:column]
        elif re.fullmatch(r"\x1b\[\d*A", token):
            row = max(0, row - int(token[2:-1] or 1))
        elif re.fullmatch(r"\x1b\[\d*B", token):
            row = min(len(lines) - 1, row + int(token[2:-1] or 1))
        elif token.startswith("\x1b"):
            pass
        else:
            line = lines[row]
            line.extend(" " * (column + 1 - len(line)))
            line[column] = token
            column += 1
    return ["".join(line).rstrip() for line in lines]


answers = [typed.removeprefix("answer=") for typed in sys.argv[1:2] if typed.startswith("answer=")]
code, drawn = run(sys.argv[1 + len(answers) :], *answers)
print(json.dumps({"code": code, "drawn": drawn, "screen": screen(drawn)}))
