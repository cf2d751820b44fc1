"""Starting the program: to its end, to a stop, or to a kill at an instant or at a system call."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

TIMEOUT = 60


class Wrong(Exception):
    """Something that may never happen did."""


class Ended:
    """How a command ended and what it said."""

    def __init__(self, command, code, out, err, seconds):
        self.command, self.code, self.out, self.err, self.seconds = command, code, out, err, seconds
        self.calls = None

    def part(self, code, told):
        """What it says of one of several computations."""
        out = json.dumps(told, separators=(",", ":")) if told else ""
        return Ended(self.command, code, out, self.err, self.seconds)

    @property
    def was_killed(self):
        return self.code == -signal.SIGKILL

    def json(self):
        try:
            return json.loads(self.out)
        except ValueError:
            raise Wrong(f"no JSON on standard output: {self.out!r}; {self.err}") from None


class Program:
    """The program with its own processes and those that exist only to try the engine."""

    def __init__(self, path, shim, folder, log):
        self.path, self.shim, self.folder, self.log = path, shim, folder, log
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("SOAK_")}
        self.environment["RUST_BACKTRACE"] = "0"

    def start(self, arguments, out=subprocess.PIPE, err=subprocess.PIPE, **preloaded):
        command = [str(self.path), *map(str, arguments)]
        environment = self.environment
        if preloaded:
            told = {f"SOAK_{name.upper()}": str(value) for name, value in preloaded.items()}
            environment = {**environment, "LD_PRELOAD": str(self.shim), **told}
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment
        )
        process.begun = time.perf_counter()
        return process

    def finish(self, process):
        try:
            out, err = process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            stacks = stacks_of(process.pid)
            process.kill()
            out, err = process.communicate()
            raise Wrong(f"{process.args} hangs after {TIMEOUT} s; {(err or b'').decode(errors='replace')}\n{stacks}") from None
        seconds = time.perf_counter() - process.begun
        ended = Ended(process.args, process.returncode, (out or b"").decode(), (err or b"").decode(), seconds)
        self.log(ended)
        if "panicked at" in ended.err and "panic on purpose" not in ended.err:
            raise Wrong(f"{ended.command} panicked: {ended.err}")
        if ended.code < 0 and ended.code not in (-signal.SIGKILL, -signal.SIGINT, -signal.SIGTERM):
            raise Wrong(f"{ended.command} ended by signal {-ended.code}: {ended.err}")
        return ended

    def run(self, arguments, **preloaded):
        return self.finish(self.start(arguments, **preloaded))

    def run_counted(self, arguments, **more):
        """Undisturbed, with the number of calls that it made."""
        counted = self.folder / "calls"
        counted.unlink(missing_ok=True)
        ended = self.run(arguments, count=counted, **more)
        ended.calls = int(counted.read_text()) if counted.exists() else 0
        return ended

    def kill_at_call(self, arguments, number, how, **more):
        return self.run(arguments, kill_at=number, kill_how=how, **more)

    def signal_after(self, arguments, seconds, number, **more):
        process = self.start(arguments, **more)
        time.sleep(max(0.0, seconds))
        process.send_signal(number)
        return self.finish(process)


def stacks_of(pid):
    if not shutil.which("gdb"):
        return "(there is no gdb to tell where)"
    gdb = ["gdb", "-p", str(pid), "-batch", "-ex", "thread apply all bt 12"]
    done = subprocess.run(gdb, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=60)
    return done.stdout


def say(text):
    print(f"soak: {text}", file=sys.stderr, flush=True)
