"""Processes of one's own: functions of many spectra, classes, neighbours, and where they are computed."""

import dataclasses
import functools
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pixelmill as pm
import pytest
from conftest import values_of


@pytest.fixture
def scan(frames: Path) -> pm.Scan:
    return pm.open(frames, "frames", (0, 1))


def frames_of(scan: pm.Scan) -> np.ndarray:
    return values_of(Path(scan.file), "frames").astype(float)


@pm.process(batch=True, name="Totals", units=["counts", ""])
def totals(spectra, factor=1.0):
    return {"sum": spectra.sum((1, 2)) * factor, "rows": spectra.mean(2)}


@pytest.mark.parametrize("workers", ["processes", "threads"])
def test_a_function_of_many_spectra_gets_them_at_once(scan: pm.Scan, workers: str) -> None:
    values, weights = frames_of(scan), np.arange(48.0).reshape(6, 8)
    results = scan.map(totals, factor=weights, workers=workers, progress=False)
    assert results.process == "Totals" and not results.failed
    assert np.array_equal(results["sum"][:], values.sum((2, 3)) * weights)
    assert np.array_equal(results["rows"][:], values.mean(3))
    assert (results["sum"].units, results["rows"].units) == ("counts", "")
    other = "threads" if workers == "processes" else "processes"
    assert scan.map(totals, factor=weights, workers=other, progress=False).outcome == "existing"
    assert totals(np.ones((1, 2, 2)))["sum"] == 4

    def lengths(spectra):
        return np.full(len(spectra), len(spectra))

    assert scan.map(lengths, batch=True, workers=workers, progress=False)["lengths"][:].max() > 1
    by_one = scan.map(lambda frame: frame.sum((0, 1)) * 1.0, name="one", workers=workers, progress=False)
    by_many = scan.map(lambda frame: frame.sum((1, 2)) * 1.0, name="one", batch=True, workers=workers, progress=False)
    assert by_one.group != by_many.group and np.array_equal(by_one["one"][:], by_many["one"][:])


@pytest.mark.parametrize("workers", ["processes", "threads"])
def test_of_many_spectra_only_those_fail_that_fail_alone(scan: pm.Scan, workers: str) -> None:
    def picky(spectra, number):
        if (number % 13 == 5).any():
            raise ValueError("one of them is wrong")
        return spectra.max((1, 2)) + number

    numbers = np.arange(48).reshape(6, 8)
    results = scan.map(picky, number=numbers, batch=True, workers=workers, progress=False)
    assert results.failed == dict.fromkeys([5, 18, 31, 44], "ValueError: one of them is wrong")
    expected = frames_of(scan).max((2, 3)) + numbers
    right = numbers % 13 != 5
    assert np.array_equal(results["picky"][:][right], expected[right])
    with pytest.raises(pm.FunctionError, match="for 2 spectra; the first axis has to be that of the spectra"):
        scan.map(lambda spectra: spectra.mean(0), name="wrong", batch=True, workers=workers, progress=False)


def test_names_and_units_are_those_that_are_given(scan: pm.Scan) -> None:
    def ends(frame):
        return frame.min(), frame.max()

    first = scan.map(ends, names=["Least", "Most"], units=["e", "e"], progress=False)
    assert set(first) == {"Least", "Most"} and first["Most"].units == "e"
    assert scan.map(ends, names=["Least", "Most"], units=["e", "eV"], progress=False).group != first.group
    single = scan.map(lambda frame: frame.mean(), name="mean", names="Mean of all", units="e", progress=False)
    assert single["Mean of all"].units == "e"
    by_key = scan.map(totals, batch=True, names={"rows": "Rows"}, progress=False)
    assert set(by_key) == {"Rows", "sum"}
    for wrong, told in [
        (["Least"], "has 2 outputs"),
        (["a", "a"], "called alike"),
        (["a", "b/c"], "can be called so in a file"),
        (["a", 3], "can't be one"),
    ]:
        with pytest.raises(pm.UsageError, match=told):
            scan.map(ends, names=wrong, progress=False)
    with pytest.raises(pm.FunctionError, match="no output `both`; its outputs: 0, 1"):
        scan.map(ends, units={"both": "e"}, progress=False)


class Window(pm.Process):
    """What stands out of its row."""

    above: float = 1.0
    label: str = "a"

    def create_results_datasets(self, source: pm.SourceInfo, results: pm.ResultsDatasets) -> None:
        results.main("Excess", "Excess over the mean", source.units, np.float32, source.axis(0))
        results.main("Count", "Number of values", dtype="u4")
        results.main("Ends", axes=[pm.Axis("End", "nm", np.array([-1.5, 2.5])), 3])

    def prepare(self, source: pm.SourceInfo) -> Any:
        return np.arange(len(source.axis(1)))[:, None] >= self.above

    def preprocess(self, spectrum: Any) -> Any:
        return spectrum.astype(float)

    def map_function(self, spectrum: Any, guess: float = 0.0) -> Any:
        kept = np.where(self.task, spectrum, 0)
        return kept.sum(0) - guess, int((kept > guess).sum()), kept[:2, :3]

    def postprocess(self, output: Any) -> Any:
        return {"Ends": output[2], "Excess": output[0], "Count": output[1]}

    def model(self, spectrum: Any, output: Any) -> Any:
        return {"doubled": spectrum * 2.0, "counted": np.full(spectrum.shape, output["Count"])}


def test_a_class_declares_its_results_and_computes_with_what_it_has_prepared(scan: pm.Scan) -> None:
    values = frames_of(scan)
    guess = scan.map(lambda frame: frame.mean(), name="guess", progress=False)["guess"]
    results = scan.run(Window(above=2), guess=guess, progress=False)
    kept = values * (np.arange(10) >= 2)[:, None]
    assert results.process == "Window" and list(results) == ["Count", "Ends", "Excess"]
    excess, ends = results["Excess"], results["Ends"]
    assert (excess.quantity, excess.dtype, excess.shape) == ("Excess over the mean", np.float32, (6, 8, 12))
    assert np.array_equal(excess[:], (kept.sum(2) - guess[:][..., None]).astype(np.float32))
    assert np.array_equal(results["Count"][:], (kept > guess[:][..., None, None]).sum((2, 3)))
    assert np.array_equal(ends[:], kept[..., :2, :3])
    assert results.parameters["above"] == 2 and results.parameters["label"] == "a"
    group = results.h5py()
    told = repr({name: dict(group[name].attrs) for name in group if isinstance(group[name], type(group["Ends"]))})
    group.file.close()
    assert "nm" in told or "End" in told

    assert scan.run(Window(above=2), guess=guess, progress=False).outcome == "existing"
    changed = Window()
    changed.above = 2.0
    assert scan.run(changed, guess=guess, progress=False).group != results.group  # 2.0 isn't 2
    assert scan.run(Window(above=2, label="b"), guess=guess, progress=False).group != results.group

    trial = scan.test(Window(above=2), at=(1, 2), guess=guess)
    assert trial.failure is None and (trial.position, trial.at) == (10, (1, 2))
    assert np.array_equal(trial.values["Excess"], excess[1, 2]) and trial.values["Count"] == results["Count"][1, 2]
    assert np.array_equal(trial.model["doubled"], values[1, 2] * 2)
    assert (trial.model["counted"] == trial.values["Count"]).all()
    assert trial.data is not None and np.array_equal(trial.data, values[1, 2].ravel())


class Spread(pm.Process):
    """Many spectra at once, found by trials."""

    backend = "numpy"

    def unit_computation(self, spectra: Any, by: Any = 1) -> Any:
        return {"low": spectra.min((1, 2)), "width": self.xp.ptp(spectra, (1, 2)) * by}


def test_a_class_may_compute_many_spectra_at_once_and_leave_the_results_to_trials(scan: pm.Scan) -> None:
    values, by = frames_of(scan), np.arange(48).reshape(6, 8)
    results = scan.run(Spread(), by=by, progress=False)
    assert np.array_equal(results["width"][:], np.ptp(values, (2, 3)) * by) and results["low"].dtype == np.uint16
    trial = scan.test(Spread(), at=(0, 3), by=by)
    assert trial.values["width"] == results["width"][0, 3] and not trial.model


def test_a_function_is_tried_at_one_position(scan: pm.Scan) -> None:
    by = np.arange(48).reshape(6, 8)

    def product(frame, by, power=1):
        if by == 7:
            raise ArithmeticError("seven")
        return (frame.max() * by) ** power, frame[0]

    trial = scan.test(product, at=(2, 3), by=by, power=2)
    assert trial.values["product_0"] == (frames_of(scan)[2, 3].max() * 19) ** 2 and trial.model == {}
    assert scan.test(product, at=(0, 7), by=by).failure == "ArithmeticError: seven"
    lines = pm.open(scan.file, "frames", (0, 1), along="axis 3")
    third = lines.test(functools.partial(product, power=1), at=(1, 1), spectrum=3, by=by)
    row = values_of(Path(scan.file), "frames")[1, 1, 3]
    assert third.values["product_0"] == row.max() * 9 and third.data is not None and (third.data == row).all()
    with pytest.raises(pm.PositionError):
        scan.test(product, at=(6, 0), by=by)
    assert (scan.test(np.max, at=np.array([1, 2])).values["max"] == frames_of(scan)[1, 2].max()).all()
    for wrong, told in [
        ({"at": (0.0, 1)}, "a step on each axis"),
        ({"at": (0, 1), "spectrum": 1000}, "hasn't got so many"),
        ({"at": (0, 1), "spectrum": -1}, "a number from 0 on"),
    ]:
        for process in ("sum", np.max):
            with pytest.raises(pm.UsageError, match=told):
                scan.test(process, **wrong)
    with pytest.raises(pm.UsageError, match="has no argument `pover`"):
        scan.test(product, at=(0, 0), by=by, pover=2)


# What pytest makes of an assertion isn't what the file has.
def check(holds):
    if not holds:
        raise AssertionError


def median(frame, neighbours, level=0.5):
    check(neighbours.shape[2:] == frame.shape and (neighbours[1, 1] == frame).all())
    return np.nanquantile(neighbours.astype(float), level, axis=(0, 1))


def medians(frames, neighbours):
    return np.nanquantile(neighbours.astype(float), 0.5, axis=(1, 2)) + 0 * frames


class Median(pm.Process):
    neighbours = (1, 2)
    edges = "nearest"

    def map_function(self, spectrum: Any, neighbours: Any) -> Any:
        return median(spectrum, neighbours[:, 1:4])


@pytest.mark.parametrize("workers", ["processes", "threads"])
@pytest.mark.parametrize(("edges", "padding"), [("reflect", "symmetric"), ("nearest", "edge"), ("missing", None)])
def test_neighbours_are_those_around_on_the_scan(frames: Path, edges: str, padding: Any, workers: str) -> None:
    scan = pm.open(frames, "frames", (0, 1), dark="/dark")
    values = scan.region().astype(np.float32)
    pad = [(1, 1), (1, 1), (0, 0), (0, 0)]
    fill: dict[str, Any] = {"mode": padding} if padding else {"constant_values": np.nan}
    around = np.pad(values, pad, **fill)
    windows = np.stack([around[y : y + 6, x : x + 8] for y in range(3) for x in range(3)])
    expected = np.nanquantile(windows.astype(float), 0.5, axis=0)
    of = functools.partial(scan.map, neighbours=(1, 1), edges=edges, workers=workers, progress=False)
    results = of(median)
    assert np.array_equal(results["median"][:], expected) and not results.failed
    assert np.array_equal(of(medians, batch=True)["medians"][:], expected)
    assert scan.map(median, neighbours=1, edges=edges, progress=False).outcome == "existing"


def test_a_class_has_neighbours_too_and_what_is_wrong_about_them_is_said(scan: pm.Scan) -> None:
    results = scan.run(Median(), progress=False)
    by_function = scan.map(median, neighbours=1, edges="nearest", progress=False)
    assert np.array_equal(results["Median"][:], by_function["median"][:])
    for wrong, told in [
        ({"neighbours": (1,)}, "a number of steps for each of the 2 axes"),
        ({"neighbours": 1, "edges": "wrap"}, 'it has to be "reflect", "nearest" or "missing"'),
        ({"neighbours": 1, "edges": "missing"}, "NaN, which uint16 hasn't"),
        ({}, "nothing says how far these reach, as neighbours=1 does"),
    ]:
        with pytest.raises(pm.UsageError, match=told):
            scan.map(median, **wrong, progress=False)
    with pytest.raises(pm.UsageError, match="unexpected keyword argument 'neighbours'|can't be called so"):
        scan.map(lambda frame: 1, name="none", neighbours=1, progress=False)


def test_an_array_that_a_function_keeps_stays_as_it_was(scan: pm.Scan) -> None:
    kept = []

    def keeps(frame, number):
        kept.append((int(number), frame))
        return frame.sum()

    numbers = np.arange(48).reshape(6, 8)
    results = scan.map(keeps, number=numbers, version=1, workers="threads", cores=2, progress=False)
    scan.map(keeps, number=numbers, version=2, workers="threads", cores=2, progress=False)
    assert not results.failed and {number for number, _ in kept} == set(range(48))
    values = values_of(Path(scan.file), "frames").reshape(48, 10, 12)
    for number, frame in kept:
        assert np.array_equal(frame, values[number]) and not frame.flags.writeable
        with pytest.raises(ValueError, match="read-only|WRITEABLE"):
            frame.flags.writeable = True


class Incomplete(pm.Process):
    pass


class Other(Window):
    def create_results_datasets(self, source: pm.SourceInfo, results: pm.ResultsDatasets) -> None:
        pass


class Unprepared(Window):
    def prepare(self, source: pm.SourceInfo) -> Any:
        raise LookupError("no such reference")


class Wrong(Window):
    def postprocess(self, output: Any) -> Any:
        return {"Excess": output[0][:3], "Count": output[1], "Ends": output[2]}


def test_what_a_class_lacks_or_does_wrong_is_said(scan: pm.Scan) -> None:
    for process, told in [
        (Incomplete(), "`Incomplete` has neither `map_function`, for one spectrum, nor `unit_computation`"),
        (Other(), "`create_results_datasets` of `Other` declares none"),
        (Unprepared(), "`prepare` failed with LookupError: no such reference"),
    ]:
        with pytest.raises(pm.FunctionError, match=told):
            scan.run(process, progress=False)
    assert "shape (3,), and (12,) was expected" in scan.run(Wrong(), progress=False).failed[0]
    assert "shape (3,), and (12,) was expected" in str(scan.test(Wrong(), at=(0, 0)).failure)
    with pytest.raises(TypeError, match="treshold"):
        Window(treshold=3)  # type: ignore[call-arg]
    with pytest.raises(pm.UsageError, match="has no argument `gues`"):
        scan.run(Window(), gues=3, progress=False)
    with pytest.raises(pm.UsageError, match=r"given to itself, as in Window\(…\)"):
        scan.run(Window(), parameters={"above": 3}, progress=False)
    with pytest.raises(pm.FunctionError, match=r"results of `Window` couldn't be recognised later: `above` is a"):
        scan.run(Window(above=random.Random(1)), progress=False)  # type: ignore[arg-type]
    results = pm.ResultsDatasets()
    results.main("A")
    for arguments, told in [(("A",), "two results"), (("",), "can't be called"), (("B", "", "", "f8", "x"), "axis")]:
        with pytest.raises(pm.FunctionError, match=told):
            results.main(*arguments)
    with pytest.raises(pm.FunctionError, match="another length at each: fill them up to one length"):
        scan.map(lambda frame, number: np.zeros(number), name="ragged", number=np.arange(48).reshape(6, 8))
    with pytest.raises(pm.UsageError, match="a class has `pixelmill.Process` as its base"):
        pm.process(Window)


def test_an_edited_class_is_another_computation(scan: pm.Scan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from test_map import module

    monkeypatch.syspath_prepend(tmp_path)
    text = """
import numpy as np
import pixelmill as pm

LEVEL = 3

def inner(spectrum):
    return spectrum.sum() + LEVEL

class Base(pm.Process):
    OFFSET = 5

    def prepare(self, source):
        return 2.0

class Edited(Base):
    times: float = 1.0
    workers = "processes"

    @staticmethod
    def scale(value):
        return value / 4

    @property
    def both(self):
        return self.times * self.task

    def map_function(self, spectrum):
        return self.scale(inner(spectrum)) * self.both + self.OFFSET
"""
    first = scan.run(module(tmp_path, text).Edited(), progress=False)
    assert first["Edited"][0, 0] == (scan[0, 0].sum() + 3) / 4 * 2 + 5
    same = text.replace('"processes"', '"threads"').replace("OFFSET = 5", "OFFSET = 5  # so")
    assert scan.run(module(tmp_path, same).Edited(), progress=False).outcome == "existing"
    groups = {first.group}
    edits = [
        ("LEVEL = 3", "LEVEL = 4"),
        ("OFFSET = 5", "OFFSET = 6"),
        ("return 2.0", "return 3.0"),
        ("/ 4", "/ 8"),
        ("self.times *", "self.times +"),
        ("times: float = 1.0", "times: float = 2.0"),
        ("class Edited(Base):", "class Edited(Base):\n    version = 2"),
    ]
    for old, new in edits:
        edited = module(tmp_path, text.replace(old, new)).Edited()
        results = scan.run(edited, progress=False)
        assert results.group not in groups, f"{new} was taken for {old}"
        groups.add(results.group)


class Compiled:
    """As Numba's functions look from outside."""

    def __init__(self, function: Any, nogil: bool) -> None:
        self.py_func = function
        self.targetoptions = {"nogil": nogil}
        functools.update_wrapper(self, function)

    def __call__(self, *arguments: Any) -> Any:
        return self.py_func(*arguments)


def test_what_releases_the_lock_is_computed_in_threads(scan: pm.Scan) -> None:
    def own(frame):
        return len(os.listdir("/proc/self/task")) * 0 + os.getpid()

    for function, is_here in [(own, False), (Compiled(own, True), True), (Compiled(own, False), False)]:
        results = scan.map(function, version=f"{is_here} {type(function)}", name="own", progress=False)
        assert (results["own"][0, 0] == os.getpid()) == is_here
    with pytest.raises(pm.UsageError, match='has to be "auto", "processes" or "threads"'):
        scan.map(own, workers="many", version=1, progress=False)
    squares = scan.map(np.square, name="square", progress=False)
    assert np.array_equal(squares["square"][:], np.square(values_of(Path(scan.file), "frames")))


STATE: dict[str, int] = {}


def test_what_it_changes_outside_of_itself_is_warned_of(scan: pm.Scan) -> None:
    def counts(frame):
        STATE["calls"] = STATE.get("calls", 0) + 1
        return float(STATE["calls"])

    with pytest.warns(UserWarning, match="`counts` changes what it uses outside of itself") as met:
        scan.map(counts, progress=False)
    assert met[0].filename == __file__
    with pytest.warns(UserWarning, match="`counts` changes what"):
        scan.map(counts, workers="threads", override=True, progress=False)

    def reads(frame):
        return float(os.environ.get("LEVEL", 0))

    class Reads(pm.Process):
        def map_function(self, spectrum: Any) -> Any:
            return reads(spectrum)

    for call in (functools.partial(scan.map, reads), functools.partial(scan.run, Reads())):
        with pytest.warns(UserWarning, match="`os.environ.get`, which `reads` uses, may be another thing") as met:
            call(progress=False)
        assert met[0].filename == __file__


def with_xp(frames, xp, weights):
    check(type(frames).__module__ == xp.__name__ == type(weights).__module__)
    return xp.sqrt((frames * weights).sum((1, 2)))


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Two GPUs that aren't there."""
    monkeypatch.syspath_prepend(Path(__file__).with_name("standins"))
    monkeypatch.setenv("STANDIN_DEVICES", "200000 100000")
    monkeypatch.setenv("STANDIN_LOG", str(tmp_path / "log"))
    return tmp_path / "log"


def test_a_gpu_gets_batches_that_it_has_room_for(scan: pm.Scan, devices: Path) -> None:
    weights = np.linspace(0, 1, 120).reshape(10, 12)
    on_gpu = scan.map(with_xp, weights=weights, batch=True, backend="cupy", cores=2, progress=False)
    here = scan.map(with_xp, weights=weights, batch=True, progress=False)
    assert np.array_equal(on_gpu["with_xp"][:], here["with_xp"][:]) and on_gpu.group != here.group
    lines = [line.split() for line in devices.read_text().splitlines()]
    # One process looks at all, then each device has one.
    uses = [(pid, what[1]) for pid, *what in lines if what[0] == "use" and pid != lines[0][0]]
    assert {device for _, device in uses} <= {"0", "1"} and len(uses) == len(set(uses)) == len(dict(uses)) <= 2, lines
    batches = [int(line[3]) for line in lines if line[1] == "asarray" and line[3] != "10"]
    assert batches and max(batches) <= 100000 // 2 // (3 * 248)
    assert str(os.getpid()) not in {line[0] for line in lines}


def test_a_class_computes_on_a_gpu_and_a_batch_that_is_too_large_is_halved(scan: pm.Scan, devices: Path) -> None:
    class OnGpu(Spread):
        backend = "cupy"

        def unit_computation(self, spectra: Any, by: Any = 1) -> Any:
            check(type(spectra).__module__ == "cupy" and type(by).__module__ == "cupy")
            if len(spectra) > 4:
                raise MemoryError("Out of memory allocating")
            return super().unit_computation(spectra, by=by)

    by = np.arange(48).reshape(6, 8)
    results = scan.run(OnGpu(), by=by, progress=False)
    assert not results.failed and np.array_equal(results["width"][:], np.ptp(frames_of(scan), (2, 3)) * by)
    assert scan.test(OnGpu(), at=(1, 1), by=by).values["width"] == results["width"][1, 1]


def test_one_by_one_on_a_gpu_and_with_neighbours(scan: pm.Scan, devices: Path) -> None:
    def middle(frame, neighbours, xp):
        return xp.median(neighbours, (0, 1))

    on_gpu = scan.map(middle, neighbours=1, backend="cupy", progress=False)
    assert np.array_equal(on_gpu["middle"][:], scan.map(middle, neighbours=1, progress=False)["middle"][:])


def test_without_a_gpu_it_says_so(scan: pm.Scan, devices: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of = functools.partial(scan.map, with_xp, weights=np.ones((10, 12)), batch=True, progress=False)
    monkeypatch.setenv("STANDIN_DEVICES", "")
    with pytest.raises(pm.UsageError, match="there is no GPU here"):
        of(backend="cupy")
    with pytest.raises(pm.UsageError, match='has to be "numpy" or "cupy"'):
        of(backend="torch")
    with pytest.raises(pm.UsageError, match="in processes of its own"):
        of(backend="cupy", workers="threads")
    monkeypatch.undo()
    with pytest.raises(pm.UsageError, match="it can't be imported .*; it computes on NVIDIA's GPUs, with the package"):
        of(backend="cupy")


def test_classes_of_a_script_are_the_same_in_workers(scan: pm.Scan, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        """
import dataclasses, sys
import pixelmill as pm

@dataclasses.dataclass(frozen=True, order=True)
class Pair:
    low: float
    high: float = 3.0

def pair(frame):
    return Pair(frame.min(), frame.max())

class Fields(pm.Process):
    by: int = 2
    def map_function(self, spectrum):
        return spectrum.sum() * self.by

class MoreFields(Fields):
    name = ""
    plus: int = 1
    def map_function(self, spectrum):
        return super().map_function(spectrum) + self.plus

class Made(pm.Process):
    def __init__(self, by):
        super().__init__()
        self.half = by / 2
    def map_function(self, spectrum):
        return spectrum.sum() * self.half

class Below(Made):
    def map_function(self, spectrum):
        return -super().map_function(spectrum)

if __name__ == "__main__":
    scan = pm.open(sys.argv[1], "frames", (0, 1))
    total = scan[0, 0].sum()
    assert scan.map(pair, progress=False)["high"][0, 0] == scan[0, 0].max()
    assert scan.run(Fields(), progress=False)["Fields"][0, 0] == total * 2
    assert scan.run(MoreFields(by=3), progress=False)["MoreFields"][0, 0] == total * 3 + 1
    assert scan.run(Made(3), progress=False)["Made"][0, 0] == total * 1.5
    assert scan.run(Below(by=3), progress=False)["Below"][0, 0] == total * -1.5
"""
    )
    ran = subprocess.run([sys.executable, script, scan.file], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_what_a_process_has_is_called_otherwise_than_what_each_has(scan: pm.Scan) -> None:
    class Hook(Spread):
        model: str = "lorentzian"  # type: ignore[assignment]

    class Given(Spread):
        source = 3.0  # type: ignore[assignment]

    class Made(Spread):
        def __init__(self) -> None:
            self.task = 3.0

    class Slots(Spread):
        __slots__ = ("level",)

    for process, told in [
        (Hook(), "something of its own called `model`"),
        (Given(), "something of its own called `source`"),
        (Made(), "something of its own called `task`"),
        (Slots(), "`Slots` has `__slots__`"),
    ]:
        for call in (scan.run, functools.partial(scan.test, at=(0, 0))):
            with pytest.raises(pm.FunctionError, match=told):
                call(process)


def test_another_default_of_a_parameter_is_annotated() -> None:
    with pytest.raises(pm.FunctionError, match=r"as in `above: float = …`"):
        type("Higher", (Window,), {"above": 2.0})
    higher = type("Higher", (Window,), {"above": 2.0, "__annotations__": {"above": float}})
    assert (higher().above, higher(above=3).above) == (2, 3)  # type: ignore[attr-defined, call-arg]


class Counting(pm.Process):
    def __init__(self, workers: str) -> None:
        self.counts = [0]
        self.total = np.zeros(1)
        self.workers = workers

    def map_function(self, spectrum: Any) -> Any:
        self.counts[0] += 1
        return self.counts[0]


class Adding(Counting):
    def map_function(self, spectrum: Any) -> Any:
        self.total += 1
        return self.total


@pytest.mark.parametrize("workers", ["processes", "threads"])
def test_what_a_process_changes_of_itself_is_warned_of_and_stays_with_it(scan: pm.Scan, workers: str) -> None:
    counting = Counting(workers)
    with pytest.warns(UserWarning, match="`Counting` changes what it uses"):
        scan.run(counting, progress=False)
    assert counting.counts == [0]
    adding = Adding(workers)
    if workers == "processes":
        with pytest.warns(UserWarning, match="`Adding` changes what it uses"):
            scan.run(adding, progress=False)
    else:
        # Threads would add to one array at the same time.
        with pytest.raises(pm.FunctionError, match="read-only"):
            scan.run(adding, progress=False)
    assert adding.total == 0


def test_an_axis_as_long_as_a_trial_is_no_axis_of_the_spectra(frames: Path) -> None:
    scan = pm.open(frames, "frames", (0, 1), crop=(slice(0, 2), slice(0, 3)))

    def both(spectra):
        return [spectra.sum((1, 2)), spectra.max((1, 2))]

    def across(spectra):
        return spectra.sum((0, 2))

    for function in (both, across):
        with pytest.raises(pm.FunctionError, match="for 3 spectra; the first axis has to be that of the spectra"):
            scan.map(function, batch=True, progress=False)


@dataclasses.dataclass
class Peak:
    low: Any
    high: Any


class Peaks(pm.Process):
    def map_function(self, spectrum: Any) -> Any:
        return Peak(spectrum.min(), spectrum.max())

    def model(self, spectrum: Any, output: Any) -> Any:
        return {"low": spectrum * 0.0 + output.low}


class ManyPeaks(Peaks):
    def unit_computation(self, spectra: Any) -> Any:
        return Peak(spectra.min((1, 2)), spectra.max((1, 2)))


def test_a_model_gets_what_was_returned(scan: pm.Scan) -> None:
    for process in (Peaks(), ManyPeaks()):
        trial = scan.test(process, at=(1, 2))
        assert (trial.model["low"] == frames_of(scan)[1, 2].min()).all() and trial.model["low"].shape == (10, 12)


def test_what_is_declared_wrongly_is_said(scan: pm.Scan) -> None:
    def around(frame, neighbours):
        return neighbours.sum()

    by_number = scan.map(around, neighbours=np.int64(1), progress=False)
    assert scan.map(around, neighbours=1, progress=False).group == by_number.group
    for neighbours in (1.5, "a", 10**6):
        with pytest.raises(pm.UsageError, match="a number of steps|the memory budget is"):
            scan.map(around, neighbours=neighbours, progress=False)

    def with_what(frame, by):
        return by.size

    empty = scan.map(with_what, by=np.zeros((6, 8, 0)), progress=False)
    assert not empty.failed and not empty["with_what"][:].any()
    for by in (np.zeros((6, 8), [("a", "i4")]), np.zeros((6, 8), "M8[s]")):
        with pytest.raises(pm.UsageError, match="holds numbers or texts"):
            scan.map(with_what, by=by, progress=False)
    with pytest.raises(pm.UsageError, match="a number or a text"):
        scan.map(with_what, by=1, version=[1], progress=False)
    for subject, told in [(Spread, r"give one of this class, Spread\(…\)"), (around, "functions are for `map`")]:
        with pytest.raises(pm.UsageError, match=told):
            scan.run(subject, progress=False)

    class Negative(Spread):
        def memory_per_position(self, source: pm.SourceInfo) -> int:
            return -1

    class Endless(Spread):
        def create_results_datasets(self, source: pm.SourceInfo, results: pm.ResultsDatasets) -> None:
            results.main("low", axes=pm.Axis("Level", "nm", np.array([0, np.nan])))

    class Unnamed(Spread):
        def create_results_datasets(self, source: pm.SourceInfo, results: pm.ResultsDatasets) -> None:
            results.main("low", 3)  # type: ignore[arg-type]

    for process, told in [
        (Negative(), "no number of bytes"),
        (Endless(), "finite numbers in a row"),
        (Unnamed(), "are texts, not 3"),
    ]:
        with pytest.raises(pm.FunctionError, match=told):
            scan.run(process, progress=False)
