"""Worker processes: what functions may do in them, and what is left of them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pixelmill as pm
import pytest
from test_map import children, is_alive

NUMBERS = np.arange(48).reshape(6, 8)


@pytest.fixture
def scan(frames: Path) -> pm.Scan:
    return pm.open(frames, "frames", (0, 1))


def test_a_worker_that_dies_is_not_waited_for_because_of_what_it_started(scan: pm.Scan, tmp_path: Path) -> None:
    started = str(tmp_path / "started")

    def deadly(frame, number):
        if number == 11:
            # Processes that have all its files open, unless it has seen to that.
            os.system(f"sleep 600 & echo $! >> {started}")
            if (forked := os.fork()) == 0:
                time.sleep(600)
                os._exit(0)
            with open(started, "a") as file:
                print(forked, file=file)
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    began = time.monotonic()
    results = scan.map(deadly, version=1, number=NUMBERS, progress=False)
    assert time.monotonic() - began < 300
    for process in Path(started).read_text().split():
        os.kill(int(process), signal.SIGKILL)
    assert list(results.failed) == [11]


@pytest.mark.parametrize("workers", ["processes", "threads"])
def test_whatever_is_raised_fails_its_position(scan: pm.Scan, workers: str) -> None:
    class Own(BaseException):
        pass

    def picky(frame, number):
        if number == 3:
            raise Own("of no usual kind")
        if number == 4:
            raise ValueError("a file called \udcff, and " + "very " * 10_000 + "long")
        if number == 5:
            return np.ma.masked_equal([1.0, 2.0], 2.0).sum() * np.ma.masked
        return float(number)

    results = scan.map(picky, version=1, number=NUMBERS, workers=workers, progress=False)
    assert sorted(results.failed) == [3, 4, 5] and results["picky"][0, 7] == 7
    assert results.failed[3].endswith("Own: of no usual kind")
    assert results.failed[4].startswith("ValueError: a file called \\udcff, and very") and len(results.failed[4]) < 1100
    assert results.failed[5] == "TypeError: it returned masked values; fill them with what they shall be"


def test_what_a_function_gets_can_by_no_means_be_changed(scan: pm.Scan) -> None:
    def changing(frame):
        try:
            frame.flags.writeable = True
        except ValueError:
            return 0
        return 1

    for workers in ("processes", "threads"):
        assert not scan.map(changing, workers=workers, override=True, progress=False)["changing"][:].any()


@pytest.mark.parametrize("workers", ["processes", "threads"])
def test_no_argument_is_changed_by_a_function(scan: pm.Scan, workers: str) -> None:
    def changing(frame, by):
        by[...] = 9
        return by.sum()

    for by in (np.ones((6, 8, 2)), np.arange(3.0)):
        before = by.copy()
        with pytest.raises(pm.FunctionError, match="assignment destination is read-only"):
            scan.map(changing, by=by, workers=workers, progress=False)
        results = scan.map(
            changing, by=by, workers=workers, output_dtype="f8", output_shape=(), override=True, progress=False
        )
        assert results.failed_count == 48 and np.array_equal(by, before)

    def is_number(frame, by):
        return isinstance(by, np.integer)

    kinds = scan.map(is_number, by=NUMBERS, workers=workers, output_shape=(), progress=False)
    assert kinds["is_number"][:].all() and not kinds.failed

    def counting(frame, by):
        by.append(frame)
        return len(by)

    with pytest.raises(pm.FunctionError, match="it changed an argument that all positions share"):
        scan.map(counting, by=[1], workers=workers, progress=False)


def test_sets_have_one_order_in_all_workers(scan: pm.Scan) -> None:
    def order(frame):
        return [ord(letter) for letter in set("abcdefghijkl")]

    orders = scan.map(order, cores=2, progress=False)["order"][:]
    assert (orders == orders[0, 0]).all()


def test_ctrl_c_while_a_function_is_tried_leaves_no_worker(
    scan: pm.Scan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = set(children(os.getpid()))
    told_to = os.getpid()

    def hanging(frame):
        os.kill(told_to, signal.SIGINT)
        time.sleep(600)

    with pytest.raises(KeyboardInterrupt):
        scan.map(hanging, version=1, progress=False)
    assert not [one for one in set(children(os.getpid())) - before if is_alive(one)]


JOB = """
import os, signal, sys, threading
import pixelmill as pm
from pixelmill import _scan

def stuck(frame):
    print("stuck", os.getpid(), flush=True)
    signal.pause()

def forks():
    sys.stdin.readline()
    forked = os.fork()
    if forked == 0:
        signal.pause()
    print("forked", forked, flush=True)

threading.Thread(target=forks).start()
scan = pm.open(sys.argv[1], "frames", (0, 1))
scan.map(stuck, version=1, output_dtype="i8", output_shape=(), cores=1, progress=False)
"""


def test_a_process_that_was_forked_keeps_no_worker_alive(frames: Path, tmp_path: Path) -> None:
    job = tmp_path / "job.py"
    job.write_text(JOB)
    pipes: dict[str, Any] = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with subprocess.Popen([sys.executable, job, frames], **pipes) as process:
        assert process.stdin is not None and process.stdout is not None
        worker = int(process.stdout.readline().split()[1])
        print(file=process.stdin, flush=True)
        forked = int(process.stdout.readline().split()[1])
        process.kill()
        gone_by = time.monotonic() + 10
        try:
            while is_alive(worker):
                assert time.monotonic() < gone_by, "a worker outlives its parent"
            assert is_alive(forked)
        finally:
            os.kill(forked, signal.SIGKILL)


def test_who_was_forked_has_workers_of_its_own(scan: pm.Scan, tmp_path: Path) -> None:
    def total(frame):
        return frame.sum()

    def maximum(frame):
        return frame.max()

    scan.map(total, progress=False)
    forked = os.fork()
    if forked == 0:
        # Whatever comes of it, the tests aren't run twice.
        try:
            scan.map(maximum, progress=False)
        finally:
            os._exit(0)
    assert os.waitpid(forked, 0)[1] == 0
    again = scan.map(maximum, progress=False)
    assert again.outcome == "existing" and again["maximum"][2, 3] == scan[2, 3].max()
    assert scan.map(total, override=True, progress=False)["total"][2, 3] == scan[2, 3].sum()
