"""Plain functions over all positions: what they return, how it is recognised, and what becomes of those that fail."""

import dataclasses
import functools
import importlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pixelmill as pm
import pytest
from conftest import values_of
from pixelmill import _scan

SCALE = 3


@pytest.fixture
def scan(frames: Path) -> pm.Scan:
    return pm.open(frames, "frames", (0, 1))


def frames_of(scan: pm.Scan) -> np.ndarray:
    return values_of(Path(scan.file), "frames").astype(float)


def total(frame, factor=1):
    return frame.sum() * factor


def centre(frame, threshold):
    y, x = np.indices(frame.shape)
    weights = np.where(frame > threshold, frame, 0)
    return (weights * y).sum() / weights.sum(), (weights * x).sum() / weights.sum()


def scaled(frame):
    return helper(frame) * SCALE


def helper(frame):
    return float(frame.max())


@dataclasses.dataclass
class Extremes:
    low: float
    high: np.ndarray


def extremes(frame):
    return Extremes(frame.min(), frame.max(axis=0))


@pytest.mark.parametrize("workers", ["processes", "threads"])
def test_a_tuple_is_several_results(scan: pm.Scan, workers: str) -> None:
    results = scan.map(centre, threshold=100, workers=workers, cores=2, progress=False)
    assert list(results) == ["centre_0", "centre_1"] and results.outcome == "finished"
    expected = np.array([[centre(frame, 100) for frame in row] for row in values_of(Path(scan.file), "frames")])
    assert np.array_equal(results["centre_0"][:], expected[..., 0])
    assert np.array_equal(results["centre_1"][:], expected[..., 1])
    other = "threads" if workers == "processes" else "processes"
    again = scan.map(centre, threshold=100, workers=other, progress=False)
    assert (again.outcome, again.group) == ("existing", results.group)
    assert scan.map(centre, threshold=101, progress=False).group != results.group
    assert results.parameters["threshold"] == 100


def test_numbers_arrays_dictionaries_and_dataclasses_are_results(scan: pm.Scan) -> None:
    values = frames_of(scan)
    single = scan.map(total, progress=False)["total"]
    assert single.dtype == np.uint64 and np.array_equal(single[:], values.sum((2, 3)))
    rows = scan.map(lambda frame: frame.mean(axis=1), name="rows", progress=False)["rows"]
    assert np.array_equal(rows[:], values.mean(3))
    several = scan.map(lambda frame: {"least": frame.min(), "is_low": frame.max() < 999}, name="two", progress=False)
    assert (several["least"].dtype, several["is_low"].dtype) == (np.uint16, np.uint8)
    assert np.array_equal(several["is_low"][:], values.max((2, 3)) < 999)
    of_class = scan.map(extremes, progress=False)
    assert np.array_equal(of_class["high"][:], values.max(2)) and list(of_class) == ["high", "low"]
    same = scan.map(lambda frame: frame * 2.0, name="doubled", progress=False)["doubled"]
    assert np.array_equal(same[:], values * 2)


def test_arrays_results_and_scans_vary_with_the_position(scan: pm.Scan) -> None:
    values = frames_of(scan)
    weights = np.arange(48.0).reshape(6, 8)
    sums = scan.map(total, factor=weights, progress=False)
    assert np.array_equal(sums["total"][:], values.sum((2, 3)) * weights)
    assert scan.map(total, factor=weights + 1, progress=False).group != sums.group
    vectors = np.arange(96.0).reshape(6, 8, 2)
    scaled_by = scan.map(lambda frame, by: frame.max() * by, name="by", by=vectors, progress=False)["by"]
    assert np.array_equal(scaled_by[:], values.max((2, 3))[..., None] * vectors)
    shares = scan.map(lambda frame, whole: frame[0, 0] / whole, name="share", whole=sums["total"], progress=False)
    with np.errstate(divide="ignore", invalid="ignore"):
        assert np.array_equal(shares["share"][:], values[..., 0, 0] / sums["total"][:], equal_nan=True)
    twice = scan.map(lambda frame, other: (frame + other).sum(), name="twice", other=scan, progress=False)["twice"]
    assert np.array_equal(twice[:], 2 * values.sum((2, 3)))

    def ordered(frame, one, other):
        return one - other

    difference = scan.map(ordered, one=sums["total"], other=shares["share"], progress=False)["ordered"]
    exchanged = scan.map(ordered, other=sums["total"], one=shares["share"], progress=False)["ordered"]
    assert np.array_equal(difference[:], -exchanged[:], equal_nan=True)
    constant = scan.map(lambda frame, row: frame @ row, name="product", row=np.arange(12.0), progress=False)
    assert np.array_equal(constant["product"][:], values @ np.arange(12.0))


def test_a_function_of_some_axes_is_called_for_each_step_of_the_others(frames: Path) -> None:
    scan = pm.open(frames, "frames", (0, 1), along="axis 3")
    weights = np.arange(48.0).reshape(6, 8)
    lines = scan.map(lambda line, weight: line[:5].sum() * weight, name="lines", weight=weights, progress=False)[
        "lines"
    ]
    assert np.array_equal(lines[:], values_of(frames, "frames")[..., :5].sum(3) * weights[..., None])


def test_workers_are_kept_for_the_next_call_of_the_same_function(scan: pm.Scan) -> None:
    def own(frame, argument):
        return os.getpid()

    first, second = (scan.map(own, argument=number, cores=1, progress=False)["own"][:] for number in (1, 2))
    assert len({*first.ravel(), *second.ravel()}) == 1 and first[0, 0] != os.getpid()
    here = scan.map(own, argument=3, workers="threads", progress=False)["own"][:]
    assert (here == os.getpid()).all()


def test_types_and_shapes_can_be_declared(scan: pm.Scan) -> None:
    narrow = scan.map(total, output_dtype="f4", output_shape=(), progress=False)["total"]
    assert narrow.dtype == np.float32
    pair = scan.map(
        lambda frame: (frame.min(), frame[0]),
        name="pair",
        output_dtype=["u2", "f8"],
        output_shape=[(), 12],
        progress=False,
    )
    assert pair["pair_1"].shape == (6, 8, 12) and pair["pair_1"].dtype == np.float64
    wrong = scan.map(total, output_dtype="u8", output_shape=(2,), progress=False)
    assert wrong.failed_count == 48 and "returned the shape (), and (2,) was expected" in wrong.failed[0]


def test_a_position_whose_function_raises_fails_with_the_last_line(scan: pm.Scan) -> None:
    def picky(frame, number):
        if number % 7 == 3:
            raise ValueError(f"no number {number}")
        if number == 20:
            frame[0, 0] = 1
        return np.zeros(3 if number == 30 else 2)

    results = scan.map(picky, number=np.arange(48).reshape(6, 8), progress=False)
    assert sorted(results.failed) == [3, 10, 17, 20, 24, 30, 31, 38, 45]
    assert results.failed[10] == "ValueError: no number 10"
    assert results.failed[20] == "ValueError: assignment destination is read-only"
    assert "shape (3,), and (2,) was expected" in results.failed[30]
    assert np.isnan(results["picky"][0, 3]).all() and results.completed == 48
    with pytest.raises(pm.FunctionError, match="failed at all 16 positions that were tried: ZeroDivisionError"):
        scan.map(lambda frame: 1 // 0, name="never", progress=False)
    with pytest.raises(pm.FunctionError, match="neither a number nor an array"):
        scan.map(lambda frame: "text", name="text", progress=False)


def test_what_kills_a_worker_fails_alone(scan: pm.Scan) -> None:
    def deadly(frame, number):
        if number == 11:
            os.kill(os.getpid(), signal.SIGSEGV)
        if number == 12:
            os._exit(5)
        return number

    results = scan.map(deadly, number=np.arange(48).reshape(6, 8), progress=False)
    assert results.failed == {
        11: "the worker process was ended by SIGSEGV (a fault in compiled code)",
        12: "the worker process ended itself with status 5",
    }
    values = results["deadly"][:].ravel()
    assert np.array_equal(np.delete(values, [11, 12]), np.delete(np.arange(48), [11, 12]))


def module(folder: Path, text: str) -> Any:
    """A module of the user's with this text, loaded anew."""
    (folder / "of_user.py").write_text(text)
    sys.modules.pop("of_user", None)
    importlib.invalidate_caches()
    return importlib.import_module("of_user")


TEXT = """
import numpy as np
STEP = 2

def inner(frame):
    return frame[::STEP].sum()

def outer(frame, power=1.0):
    return np.sqrt(inner(frame)) ** power
"""


def test_an_edited_function_is_another_computation(scan: pm.Scan, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    first = scan.map(module(tmp_path, TEXT).outer, progress=False)
    reformatted = TEXT.replace("def outer", "# A comment.\n\ndef outer").replace("** power", "**  power  # so")
    assert scan.map(module(tmp_path, reformatted).outer, progress=False).outcome == "existing"
    groups = {first.group}
    for old, new in [("np.sqrt", "np.abs"), ("STEP = 2", "STEP = 3"), (".sum()", ".max()"), ("1.0", "2.0")]:
        edited = module(tmp_path, TEXT.replace(old, new)).outer
        results = scan.map(edited, progress=False)
        assert results.group not in groups, f"{new} was taken for {old}"
        groups.add(results.group)
        frame = scan[2, 3]
        assert results["outer"][2, 3] == edited(frame), new
    for version, text in [(1, TEXT), (2, TEXT.replace("STEP = 2", "STEP = 3"))]:
        told = module(tmp_path, text).outer
        assert scan.map(told, version=version, progress=False)["outer"][2, 3] == told(frame), version
    loaded = module(tmp_path, TEXT)
    loaded.STEP = 5
    with pytest.raises(pm.FunctionError, match="other code here than in your session"):
        scan.map(loaded.outer, progress=False)
    loaded = module(tmp_path, TEXT)
    (tmp_path / "of_user.py").write_text(TEXT.replace("** power", "** (power + 1)"))
    with pytest.raises(pm.FunctionError, match="isn't what its file has by now"):
        scan.map(loaded.outer, progress=False)


def test_closures_and_partial_functions_are_recognised_by_their_values(scan: pm.Scan) -> None:
    def above(level):
        def count(frame):
            return (frame > level).sum()

        return count

    first = scan.map(above(10), progress=False)
    assert scan.map(above(10), progress=False).outcome == "existing"
    other = scan.map(above(500), progress=False)
    assert other.group != first.group and not np.array_equal(other["count"][:], first["count"][:])
    part = scan.map(functools.partial(total, factor=2), progress=False)
    assert part.group != scan.map(functools.partial(total, factor=3), progress=False).group
    assert scan.map(scaled, progress=False)["scaled"][1, 1] == 3 * scan[1, 1].max()


def test_what_cannot_be_recognised_is_said_and_version_is_the_way_out(scan: pm.Scan) -> None:
    stream = np.random.default_rng(1)
    with pytest.raises(pm.FunctionError, match=r"`stream`, which `noisy` uses, is a Generator.*version=…") as met:

        def noisy(frame):
            return frame.sum() + stream.normal()

        scan.map(noisy, progress=False)
    assert met.value.kind == "Unhashable"
    versioned = scan.map(noisy, version=1, progress=False)
    assert scan.map(noisy, version=1, progress=False).outcome == "existing"
    assert scan.map(noisy, version=2, progress=False).group != versioned.group

    with pytest.raises(pm.FunctionError, match="the text of `<lambda>` can't be found"):
        scan.map(eval("lambda frame: frame.sum()"), name="typed", progress=False)

    def counting(frame):
        global SCALE
        SCALE += 1
        return SCALE

    def generating(frame):
        yield frame

    for function, reason in [(counting, "changes the global `SCALE`"), (generating, "is a generator")]:
        with pytest.raises(pm.FunctionError, match=reason):
            scan.map(function, progress=False)
    with pytest.raises(
        pm.UsageError, match=r"no argument `treshold` \(did you mean `threshold`\?\); it has: threshold"
    ):
        scan.map(centre, treshold=1, progress=False)
    with pytest.raises(pm.UsageError, match="missing a required argument: 'threshold'"):
        scan.map(centre, progress=False)
    with pytest.raises(pm.UsageError, match="has an argument `memory`, which is an option here"):
        scan.map(lambda frame, memory: memory, name="own", memory=3, progress=False)
    with pytest.raises(pm.UsageError, match="needs one: name="):
        scan.map(lambda frame: frame.sum(), progress=False)


def test_a_package_is_recognised_by_its_version(scan: pm.Scan, monkeypatch: Any) -> None:
    first = scan.map(total, progress=False)
    monkeypatch.setattr(np, "__version__", "1000.0")
    from pixelmill import _identity

    _, packages = _identity.of_text(total)
    assert packages == {"numpy": "1000.0"}
    assert scan.map(total, workers="threads", progress=False).group != first.group


def test_a_killed_map_is_resumed_with_the_same_bytes_and_leaves_nothing(scan: pm.Scan, tmp_path: Path) -> None:
    job = tmp_path / "job.py"
    job.write_text(
        """
import sys, time
import pixelmill as pm
from pixelmill import _scan

def slow(frame):
    until = time.monotonic() + 0.02
    while time.monotonic() < until:
        pass
    return frame.sum() / 3

class Tells(_scan.Progress):
    def __call__(self, news):
        print(news, flush=True)

if __name__ == "__main__":
    _scan.Progress = Tells
    scan = pm.open(sys.argv[1], "frames", (0, 1))
    results = scan.map(slow, cores=2, checkpoint=0.05)
    print(results["slow"][:].tobytes().hex())
"""
    )
    undisturbed = shutil.copy(scan.file, tmp_path / "undisturbed.h5")
    run = functools.partial(subprocess.run, capture_output=True, text=True, check=True)
    expected = run([sys.executable, job, undisturbed]).stdout.splitlines()[-1]
    with subprocess.Popen([sys.executable, job, scan.file], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        next(line for line in process.stdout if '"progress"' in line and '"done":0,' not in line)
        workers = children(process.pid)
        assert len(workers) >= 2, workers
        process.kill()
    gone_by = time.monotonic() + 10
    while any(is_alive(worker) for worker in workers):
        assert time.monotonic() < gone_by, "a worker outlives its parent"
    assert run([sys.executable, job, scan.file]).stdout.splitlines()[-1] == expected


def children(process: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{process}/task/{process}/children").read_text().split()] + [
        int(one)
        for task in Path(f"/proc/{process}/task").iterdir()
        if task.name != str(process)
        for one in (task / "children").read_text().split()
    ]


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_workers_that_never_let_go_die_with_their_parent_and_leave_nothing(frames: Path, tmp_path: Path) -> None:
    job = tmp_path / "job.py"
    job.write_text(
        """
import sys
import pixelmill as pm

def stuck(frame):
    print("stuck", flush=True)
    # Compiled code that holds Python's lock and looks at nothing.
    return pow(7, 10 ** 9, 0) if False else len(str(7 ** (10 ** 8)))

if __name__ == "__main__":
    pm.open(sys.argv[1], "frames", (0, 1)).map(stuck, output_dtype="i8", output_shape=(), cores=1)
"""
    )
    with subprocess.Popen([sys.executable, job, frames], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "stuck\n"
        (worker,) = children(process.pid)
        files = {os.readlink(file) for file in Path(f"/proc/{worker}/fd").iterdir()}
        # Memory without a name, of which the system keeps nothing once nobody has it open.
        assert "/memfd:pixelmill (deleted)" in files and not any("/dev/shm" in file for file in files), files
        process.kill()
        gone_by = time.monotonic() + 10
        while is_alive(worker):
            assert time.monotonic() < gone_by, "a worker that computes outlives its parent"


def test_ctrl_c_at_a_terminal_stops_a_map_in_order(scan: pm.Scan, tmp_path: Path) -> None:
    text = """
import signal, sys, time
import pixelmill as pm
from pixelmill import _scan

signal.signal(signal.SIGINT, signal.default_int_handler)

def slow(frame):
    time.sleep(0.02)
    return frame.sum()

class Tells(_scan.Progress):
    def __call__(self, news):
        print(news, flush=True)

_scan.Progress = Tells
results = pm.open(sys.argv[1], "frames", (0, 1)).map(slow, cores=1)
print(results.report["positions"], results.failed)
"""
    job = tmp_path / "job.py"
    job.write_text(text)
    run = functools.partial(subprocess.Popen, [sys.executable, job, scan.file], stdout=subprocess.PIPE, text=True)
    # The terminal sends its signal to all processes of the session, workers among them.
    with run(stderr=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None and process.stderr is not None
        next(line for line in process.stdout if '"progress"' in line and '"done":0,' not in line)
        os.killpg(process.pid, signal.SIGINT)
        said = process.stderr.read()
    assert "KeyboardInterrupt: slow was stopped after " in said and "the same call goes on with it" in said, said
    assert said.count("Traceback") == 1, said
    with run() as process:
        assert process.stdout is not None
        *_, last = process.stdout
    positions, failed = last.split(maxsplit=1)
    assert 0 < int(positions) < 48 and failed == "{}\n", last
    found = pm.open(scan.file, "frames", (0, 1))
    group = next(line for line in repr(found).splitlines() if "slow" in line and "results" in line).split()[-1]
    assert np.array_equal(values_of(Path(scan.file), f"{group}/slow"), frames_of(scan).sum((2, 3)))


@pytest.mark.parametrize("workers", ["processes", "threads"])
def test_a_second_ctrl_c_ends_what_hangs_and_the_map_is_resumable(
    scan: pm.Scan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    hangs_while = tmp_path / "hangs"
    hangs_while.touch()
    path = str(hangs_while)

    def hanging(frame, number):
        while number > 20 and os.path.exists(path):
            Path(path + ".reached").touch()
            time.sleep(0.01)
        return number

    told = []

    class Presses(_scan.Progress):
        def __call__(self, news: str) -> None:
            told.append(news)
            if '"progress"' in news and os.path.exists(path + ".reached"):
                signal.raise_signal(signal.SIGINT)

    numbers = np.arange(48).reshape(6, 8)
    with monkeypatch.context() as patched:
        patched.setattr(_scan, "Progress", Presses)
        with pytest.raises(KeyboardInterrupt, match="ended at once; the same call goes on"):
            scan.map(hanging, number=numbers, workers=workers, cores=1, output_dtype="i8", output_shape=())
    assert sum("Ctrl-C once more ends it at once" in news for news in told) == 1
    hangs_while.unlink()
    results = scan.map(hanging, number=numbers, output_dtype="i8", output_shape=(), progress=False)
    assert results.report is not None and results.report["positions"] >= 27
    assert np.array_equal(results["hanging"][:], numbers) and not results.failed
