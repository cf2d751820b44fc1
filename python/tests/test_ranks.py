"""A script that an MPI launcher starts several times: its ranks share the work, and end together."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import h5py
import pytest
from pixelmill import _pixelmill

WITH_MPI = pytest.mark.skipif(not _pixelmill.HAS_MPI, reason="this build is without MPI")
# Open MPI refuses root otherwise.
ENVIRONMENT = os.environ | {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
LAUNCHER = ["mpirun", "--oversubscribe", "--bind-to", "none"]
JOB = """
import hashlib, os, subprocess, sys, time
import numpy as np
import pixelmill as pm
from pixelmill import _scan

def both(frame, factor):
    return {"sum": frame.sum() * factor, "most": frame.max(axis=0)}

class Total(pm.Reduction):
    def prepare(self, source, buffers):
        buffers.per_point("Total", "f4")
        buffers.per_position("Own", "f4")

    def process_partition(self, spectra, parts):
        parts["Total"] += spectra.sum(axis=0)
        parts["Own"] = spectra.max((1, 2))

class Unlike(Total):
    def prepare(self, source, buffers):
        super().prepare(source, buffers)
        self.offset = int(os.environ["OMPI_COMM_WORLD_RANK"])

def fails(how):
    open(os.environ["FAILED"], "w").close()
    how()

def raises():
    raise ValueError("not on this rank")

def is_second():
    return os.environ["OMPI_COMM_WORLD_RANK"] == "1"

class Begins(Total):
    version = 1

    def preprocess(self, parts):
        if is_second():
            fails(raises)
        while not os.path.exists(os.environ["FAILED"]):
            time.sleep(0.01)

class Merges(Begins):
    def preprocess(self, parts):
        if not is_second():
            super().preprocess(parts)

    def merge(self, into, other):
        if is_second():
            fails(lambda: os._exit(3))
        super().merge(into, other)

def slow(frame):
    time.sleep(0.01)
    return frame.sum()

what, rank = sys.argv[2], int(os.environ.get("OMPI_COMM_WORLD_RANK", 0))
if what == f"never {rank}":
    sys.exit()
scan = pm.open(sys.argv[1], "frames", (0, 1))

# The launcher mixes what ranks print.
def tell(text):
    with open(f"{sys.argv[1]}.{rank}", "a") as file:
        print(text, file=file)

class Tells(_scan.Progress):
    def __call__(self, news):
        tell(news)

if what == "all":
    # What a rank starts has all that the launcher has told it, but is no rank, and waits for none.
    subprocess.run([sys.executable, "-c", "import pixelmill"], check=True)
    found = scan.run("statistics", cores=1)
    mapped = scan.map(both, factor=np.arange(768.0).reshape(24, 32), cores=1)
    folded = scan.reduce(Total(), cores=1)
    told = b"".join(of[name][:].tobytes() for of in (found, mapped, folded) for name in of)
    tell(f"{len(told)} {hashlib.sha256(told).hexdigest()}")
    assert scan.map(both, factor=np.arange(768.0).reshape(24, 32)).outcome == "existing"
    if rank == 0:
        ranks = [len([one for one in of.report["ranks"] if one["positions"]]) for of in (mapped, folded)]
        tell(min(ranks))
if what == "unlike":
    scan.reduce(Unlike(), cores=1)
    tell("went on")
if what in ("Begins", "Merges"):
    os.environ["FAILED"] = sys.argv[1] + ".failed"
    scan.reduce(globals()[what](), cores=1)
    tell("went on")

def of_rank(first, other):
    return other if rank == 1 else first

if what == "others":
    calls = (
        lambda: of_rank(scan.map, scan.reduce)(of_rank(slow, Total()), cores=1),
        lambda: scan.map(both, factor=of_rank(2, 3), cores=1),
        lambda: scan.map(both, factor=np.full((24, 32), of_rank(2, 3)), cores=1),
        lambda: scan.run(of_rank("statistics", "spectrum-statistics"), cores=1),
        lambda: scan.map(slow, positions=of_rank("0:9", "0:8"), cores=1),
        lambda: pm.open(f"{sys.argv[1]}.of{of_rank(0, 1)}", "frames", (0, 1)).map(slow, cores=1),
    )
    for call in calls:
        try:
            call()
        except pm.Error as error:
            tell(error)
if what.startswith(("alone", "ends")):
    scan.run("statistics", cores=1)
if what == f"alone {rank}":
    raise ValueError("only here")
if what == f"ends {rank}":
    print("said before it ends")
    sys.exit()
if what.startswith("ends") and "0" not in what:
    # Who hears of it may go on, but not together.
    for _ in range(2):
        try:
            scan.map(slow, cores=1)
        except pm.Error as error:
            tell(f"{error.kind} of rank {error.rank} in {error.during}")
    sys.exit()
if what.startswith(("alone", "ends", "never", "slow")):
    tell(os.getpid())
    _scan.Progress = Tells
    scan.map(slow, cores=1, checkpoint=0.1, output_dtype="f8", output_shape=())
    tell("went on")
"""


@pytest.fixture
def job(tmp_path: Path, many: Path) -> Sequence[str]:
    """A script, and a file of its own."""
    script = tmp_path / "job.py"
    script.write_text(JOB)
    return [sys.executable, str(script), str(shutil.copy(many, tmp_path / "many.h5"))]


def start(command: Sequence[str]) -> "subprocess.Popen[str]":
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=ENVIRONMENT, stdout=pipe, stderr=pipe, text=True)


def told(job: Sequence[str], rank: int) -> list[str]:
    """What a rank has told, line by line."""
    file = Path(f"{job[2]}.{rank}")
    return file.read_text().splitlines() if file.exists() else []


@WITH_MPI
def test_ranks_share_the_work_and_all_have_the_results(job: Sequence[str], many: Path) -> None:
    alone = [*job[:2], str(shutil.copy(many, job[2] + ".alone.h5"))]
    with start([*alone, "all"]) as run:
        _, errors = run.communicate()
    assert run.returncode == 0, errors
    with start([*LAUNCHER, "-n", "3", *job, "all"]) as run:
        _, errors = run.communicate()
    assert run.returncode == 0, errors
    assert {told(job, rank)[0] for rank in range(3)} == {told(alone, 0)[0]}
    assert int(told(job, 0)[1]) > 1, "one rank computed all"


@WITH_MPI
def test_a_signal_to_one_rank_stops_all_in_order_and_the_same_call_goes_on(job: Sequence[str]) -> None:
    with start([*LAUNCHER, "-n", "3", *job, "slow"]) as run:
        wait_for_positions(job)
        os.kill(int(told(job, 1)[0]), signal.SIGTERM)
        _, errors = run.communicate()
    assert run.returncode != 0 and "went on" not in told(job, 0)
    assert errors.count("KeyboardInterrupt: slow was stopped after ") == 1, errors
    with start([*LAUNCHER, "-n", "2", *job, "slow"]) as run:
        _, errors = run.communicate()
    assert run.returncode == 0 and told(job, 0)[-1] == told(job, 1)[-1] == "went on", errors
    assert not any("event" in line for line in told(job, 1)), "another rank than the first speaks"


def wait_for_positions(job: Sequence[str]) -> None:
    """Waits until the first rank has told that some positions are computed."""
    for _ in range(1000):
        if any('"progress"' in line and '"done":0,' not in line for line in told(job, 0)):
            return
        time.sleep(0.02)
    raise TimeoutError(job)


@WITH_MPI
@pytest.mark.parametrize("rank", [0, 1])
def test_what_happens_to_one_rank_alone_ends_all(job: Sequence[str], rank: int) -> None:
    with start([*LAUNCHER, "-n", "2", *job, f"alone {rank}"]) as run:
        _, errors = run.communicate(timeout=60)
    assert run.returncode != 0 and "went on" not in told(job, 1 - rank)
    assert errors.count("ValueError: only here") == 1, errors


@WITH_MPI
@pytest.mark.parametrize("way", ["ends 0", "never 0", "never 1"])
def test_a_rank_whose_script_ends_before_the_others_ends_all(job: Sequence[str], way: str) -> None:
    with start([*LAUNCHER, "-n", "2", *job, way]) as run:
        printed, errors = run.communicate(timeout=60)
    assert run.returncode != 0 and "went on" not in told(job, 0) + told(job, 1)
    said = [line for line in errors.splitlines() if f"Error: rank {way[-1]} on " in line]
    assert len(said) == 1 and "has ended while the others were in slow; all ranks have to" in said[0], errors
    assert ("said before it ends" in printed) == way.startswith("ends")
    if way.startswith("ends"):
        with start([*LAUNCHER, "-n", "2", *job, "alone"]) as run:
            _, errors = run.communicate(timeout=60)
        assert run.returncode == 0, errors


@WITH_MPI
def test_all_that_wait_for_a_rank_are_told_that_it_has_ended(job: Sequence[str]) -> None:
    with start([*LAUNCHER, "-n", "4", *job, "ends 2"]) as run:
        _, errors = run.communicate(timeout=60)
    assert run.returncode != 0, errors
    expected = "RankLeft of rank 2 in slow"
    # Once its own script ends, it ends the others.
    assert told(job, 0) == [expected] * 2 and {*told(job, 1), *told(job, 3)} <= {expected}, errors


@WITH_MPI
def test_ranks_that_are_asked_for_other_things_are_told_for_what(job: Sequence[str]) -> None:
    files = [str(shutil.copy(job[2], f"{job[2]}.of{number}")) for number in range(2)]
    with h5py.File(files[1], "r+") as file:
        file["frames"][:] = -file["frames"][:]
    with start([*LAUNCHER, "-n", "3", *job, "others"]) as run:
        _, errors = run.communicate(timeout=60)
    assert run.returncode == 0, errors
    begin = "it was asked for another computation than rank 0; "
    end = "; all ranks have to ask for the same, in the same order"
    for rank in range(3):
        assert [line.partition(begin)[2].removesuffix(end) for line in told(job, rank)] == [
            'the process: "slow" there, "Total" here',
            "the parameter `factor`: 2 there, 3 here",
            "the Python arguments: not the same",
            'the process: "Statistics" there, "Spectrum_Statistics" here',
            "the positions: 0:9 there, 0:8 here",
            f"the file: {files[0]} there, {files[1]} here",
        ]


@WITH_MPI
def test_ranks_that_have_prepared_other_things_dont_compute_together(job: Sequence[str]) -> None:
    with start([*LAUNCHER, "-n", "2", *job, "unlike"]) as run:
        _, errors = run.communicate(timeout=60)
    assert run.returncode != 0 and not told(job, 0) + told(job, 1), errors
    assert "asked for another computation than rank 0" in errors, errors


@WITH_MPI
@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("Begins", "its `preprocess` failed: ValueError: not on this rank"),
        ("Merges", "in `merge`, the worker process ended itself with status 3"),
    ],
)
def test_what_a_function_meets_on_another_rank_is_its_error(job: Sequence[str], what: str, reason: str) -> None:
    with start([*LAUNCHER, "-n", "2", *job, what]) as run:
        _, errors = run.communicate(timeout=60)
    assert run.returncode != 0 and not told(job, 0) + told(job, 1), errors
    last = [line for line in errors.splitlines() if "Error: rank 1 on " in line]
    assert len(last) == 1 and last[0].startswith("pixelmill._errors.FunctionError: rank 1 on "), errors
    assert last[0].endswith(f": `{what}` can't fold: {reason}"), errors
    assert "pixelmill itself has failed" not in errors


@pytest.mark.skipif(_pixelmill.HAS_MPI, reason="this build has MPI")
def test_several_ranks_without_mpi_are_refused(job: Sequence[str]) -> None:
    environment = os.environ | {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "0"}
    ran = subprocess.run([*job, "slow"], env=environment, capture_output=True, text=True)
    assert ran.returncode == 1 and len(told(job, 0)) == 1
    told_of = "but built without MPI, so each would compute everything; build the package with: MATURIN_PEP517_ARGS"
    assert "pixelmill._errors.UsageError: " in ran.stderr and told_of in ran.stderr, ran.stderr
