"""Processes that are run: their results, and what becomes of a run that is stopped."""

import pickle
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pixelmill as pm
import pytest
from conftest import values_of
from pixelmill import _scan


def lasting(scan: Path) -> int:
    """A number of widths with which a peak search takes some seconds on this machine."""
    tried = Path(shutil.copy(scan, scan.with_name("tried.h5")))
    report = pm.open(tried).run("peak-finding", positions="0:256", cores=1, progress=False).report
    assert report is not None
    return max(30, int(30 * 3 / (report["compute_seconds"] * 4096 / 256)))


def test_results_are_those_in_the_file_and_are_reused(line_scan: Path) -> None:
    scan = pm.open(line_scan)
    results = scan.run("peak-finding", width_max=50, cores=2, memory="200M", progress=False)
    assert results.outcome == "finished" and results.completed == 4096 and not results.failed
    assert list(results) == ["Peak_Position", "Peak_Response"]
    assert results.parameters["width_max"] == 50 and results.parameters["num_steps"] == 30
    again = pm.open(line_scan).run("peak-finding", width_max=50.0, progress=False)
    assert (again.outcome, again.group, again.hash) == ("existing", results.group, results.hash)
    assert scan.run("peak-finding", width_max=50, override=True, progress=False).group != results.group
    group = results.h5py()
    expected = group["Peak_Response"][()].reshape(64, 64)
    group.file.close()
    response = results["Peak_Response"]
    assert (response.shape, response.dtype, response.units) == ((64, 64), np.float32, "V")
    for key in [
        np.s_[:],
        np.s_[3],
        np.s_[-1, 5],
        np.s_[10:20, ::7],
        np.s_[20:10:-3],
        np.s_[..., 2],
        np.s_[5:5],
        np.s_[expected > 0.0015],
        np.s_[[1, 5], [2, 3]],
    ]:
        assert np.array_equal(response[key], expected[key]), key
    assert np.array_equal(np.asarray(response), expected)
    assert np.array_equal(np.sqrt(response), np.sqrt(expected))
    with pytest.raises(IndexError):
        response[64]
    with pytest.raises(KeyError, match="has no results `Peak`; its results: Peak_Position, Peak_Response"):
        results["Peak"]


def test_records_are_structured_arrays(line_scan: Path) -> None:
    crop = pm.open(line_scan, output=line_scan.with_name("fits.h5"))
    results = crop.run("sho-fit", positions=(slice(0, 2), slice(0, 64)), progress=False)
    fit = results["Fit"]
    assert fit.dtype.names is not None and "Frequency" in " ".join(fit.dtype.names)
    with h5py.File(results.file) as file:
        expected = file[results.group]["Fit"][()].reshape(64, 64)
    first = fit.dtype.names[0]
    assert np.array_equal(fit[0:2][first], expected[0:2][first])
    assert np.array_equal(fit[first][1], expected[1][first])
    assert np.isnan(fit[first][2:]).all()
    trial = crop.test("sho-fit", at=(1, 7))
    assert trial.position == 71 and trial.failure is None and trial.data is not None
    assert trial.data.shape == (119,) and trial.model
    number = next(value for name, value in trial.values.items() if name.startswith("Fit"))
    assert number[0] == pytest.approx(fit[first][1, 7])


def test_a_wrong_name_is_answered_with_the_nearest(line_scan: Path) -> None:
    scan = pm.open(line_scan)
    with pytest.raises(pm.UsageError, match=r"no parameter `widht_max` \(did you mean `width_max`\?\)") as met:
        scan.run("peak-finding", widht_max=50)
    assert met.value.nearest == "width_max" and isinstance(met.value, ValueError)
    copied = pickle.loads(pickle.dumps(met.value))
    assert (str(copied), copied.facts) == (str(met.value), met.value.facts)
    with pytest.raises(pm.UsageError, match="did you mean `peak-finding`"):
        scan.test("pek-finding", at=(0, 0))
    with pytest.raises(pm.UsageError, match="cores=none of them: it has to be a number"):
        scan.run("peak-finding", cores="none of them")
    with pytest.raises(pm.UsageError, match="finite"):
        scan.run("peak-finding", width_max=float("nan"))
    with pytest.raises(pm.UsageError, match="shape of the scan"):
        scan.run("peak-finding", positions=np.ones(5, bool))
    with pytest.raises(pm.UnsuitableError, match="imaginary part"):
        scan.run("sum")


def test_parameters_may_be_called_as_options_are(frames: Path) -> None:
    options = set(_scan.Scan.run.__kwdefaults__)
    both = {(one.name, of.name) for one in pm.list_processes() for of in one.parameters if of.name in options}
    assert both == {("rebin", "positions")}
    assert "peak-finding" in repr(pm.list_processes())

    scan = pm.open(frames, dataset="frames", positions_axes=(0, 1))
    binned = scan.run("rebin", parameters={"positions": [2, 4]}, by=[5, 3])
    of = values_of(frames, "frames").reshape(3, 2, 2, 4, 2, 5, 4, 3)
    assert np.array_equal(binned["Rebinned"], of.sum((1, 3, 5, 7)))
    trial = scan.test("rebin", at=(2, 1), parameters={"positions": [2, 4], "by": [5, 3]})
    assert np.array_equal(trial.values["Rebinned"], np.array(binned["Rebinned"])[2, 1].ravel())
    with pytest.raises(pm.UsageError, match="`by` is given twice"):
        scan.run("rebin", parameters={"by": 3}, by=3)


def test_positions_are_chosen_in_the_words_of_numpy(line_scan: Path) -> None:
    scan = pm.open(line_scan)
    mask = np.zeros((64, 64), bool)
    mask[10, 5:9] = True
    for positions, expected in [(mask, 4), ([3, 4, 700], 7), ((slice(20, 22), 3), 9), (slice(0, 40, 4), 18)]:
        results = scan.run("peak-finding", positions=positions, progress=False)
        assert results.completed == expected, positions
    response = results["Peak_Response"][:]
    assert np.isfinite(response[10, 5:9]).all() and np.isfinite(response[20:22, 3]).all()
    assert np.isnan(response[30, 1]) and np.isfinite(response).sum() == 18
    assert scan.run("peak-finding", positions="random:10:1", progress=False).completed > 18


def test_h5py_reads_the_file_before_during_and_after(line_scan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = pm.open(line_scan).dataset

    def read() -> Any:
        with h5py.File(line_scan) as file:
            return file[dataset][::500].copy()

    before, during = read(), []

    class Reads(_scan.Progress):
        def __call__(self, news: str) -> None:
            if '"progress"' in news:
                during.append(read())

    monkeypatch.setattr(_scan, "Progress", Reads)
    results = pm.open(line_scan).run("peak-finding", num_steps=lasting(line_scan), cores=1)
    assert during and all(np.array_equal(before, values) for values in [*during, read()])
    with h5py.File(line_scan) as file, pytest.raises(pm.BusyError, match="close it there") as met:
        assert np.isfinite(file[results.group]["Peak_Response"][()]).all()
        pm.open(line_scan).run("peak-finding", width_max=51)
    assert met.value.held == "ByReader"


def test_other_threads_go_on_meanwhile(line_scan: Path) -> None:
    rounds, over = 0, threading.Event()

    def count() -> None:
        nonlocal rounds
        while not over.wait(0.001):
            rounds += 1

    counting = threading.Thread(target=count)
    counting.start()
    widths = lasting(line_scan)
    rounds = 0
    results = pm.open(line_scan).run("peak-finding", num_steps=widths, cores=1, positions="0:1000", progress=False)
    over.set()
    counting.join()
    assert results.report is not None and rounds > 100 * results.report["seconds"], rounds


def test_ctrl_c_stops_a_run_in_order_and_the_same_call_goes_on(
    line_scan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = Path(shutil.copy(line_scan, line_scan.with_name("undisturbed.h5")))
    widths = lasting(line_scan)
    expected = pm.open(undisturbed).run("peak-finding", num_steps=widths, progress=False)

    class Presses(_scan.Progress):
        def __call__(self, news: str) -> None:
            if '"progress"' in news and '"done":0,' not in news:
                signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(_scan, "Progress", Presses)
    with pytest.raises(KeyboardInterrupt, match=r"stopped after \d+ of 4096 positions; the same call goes on") as met:
        pm.open(line_scan).run("peak-finding", num_steps=widths, cores=1)
    done = int(re.findall(r"after (\d+)", str(met.value))[0])
    assert 0 < done < 4096
    results = pm.open(line_scan).run("peak-finding", num_steps=widths, progress=False)
    assert results.report is not None and results.report["positions"] == 4096 - done
    assert results["Peak_Response"][:].tobytes() == expected["Peak_Response"][:].tobytes()


def test_a_killed_run_is_resumed(line_scan: Path) -> None:
    script = """
import sys, pixelmill as pm
from pixelmill import _scan

class Tells(_scan.Progress):
    def __call__(self, news):
        print(news, flush=True)
_scan.Progress = Tells
pm.open(sys.argv[1]).run("peak-finding", num_steps=int(sys.argv[2]), cores=1, checkpoint=0.1)
"""
    command = [sys.executable, "-c", script, str(line_scan), str(lasting(line_scan))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        next(line for line in run.stdout if '"progress"' in line and '"done":0,' not in line)
        run.kill()
    results = pm.open(line_scan).run("peak-finding", num_steps=int(command[-1]), progress=False)
    assert results.report is not None and results.report["positions"] < 4096
    assert results.completed == 4096 and np.isfinite(results["Peak_Response"][:]).all()


def test_how_far_a_run_is_goes_to_standard_error(line_scan: Path, capfd: pytest.CaptureFixture[str]) -> None:
    show = _scan.Progress()
    show._last_line = -1e9
    show('{"event":"begin","process":"Sum","group":"/g","resumed":false,"pending":4,"workers":1}')
    show('{"event":"progress","done":1,"total":4,"bytes":4000000,"failed":0,"seconds":2.0}')
    show('{"event":"note","text":"mind this"}')
    assert capfd.readouterr().err == "Sum: 25 %, 0.50 positions/s, 2.0 MB/s, 6.0 s left\nnote: mind this\n"
    pm.open(line_scan).run("peak-finding", positions="0:2", progress=False)
    assert capfd.readouterr() == ("", "")
