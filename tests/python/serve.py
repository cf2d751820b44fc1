"""Runs the programs of this folder in an interpreter that has pyUSID imported already.

    serve.py

Importing pyUSID takes seconds, so a test program keeps one of these and asks it again and again. Each line of
standard input is a JSON list: the name of a program and its arguments. Each runs in a process of its own, and is
answered by a line of JSON: its exit code (negative: the signal that ended it), standard output and standard error.
One that takes too long is killed.
"""

import importlib
import json
import os
import signal
import sys
import tempfile
import time
import traceback

import h5py  # noqa: F401
import numpy  # noqa: F401

import usid  # noqa: F401

SECONDS = 120


def run(arguments, out, err):
    """In the child: what `python PROGRAM ARGUMENTS` would do."""
    code = 1
    try:
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        sys.argv = arguments
        importlib.import_module(arguments[0].removesuffix(".py")).main()
        code = 0
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
        if isinstance(ending.code, str):
            print(ending.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def ending(child):
    """Exit code of the child, or minus the signal that ended it."""
    deadline = time.monotonic() + SECONDS
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return "too long"
        time.sleep(0.005)


def main():
    for line in sys.stdin:
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            child = os.fork()
            if child == 0:
                run(json.loads(line), out, err)
            answer = {"code": ending(child)}
            for name, file in (("out", out), ("err", err)):
                file.seek(0)
                answer[name] = file.read()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
