"""What `pixelmill.usid` promises, beside pyUSID: `usid_scenarios.py NAME`, in the Python that has pyUSID."""

import fcntl
import importlib
import linecache
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType, SimpleNamespace

import h5py
import numpy as np
import pixelmill as pm
import pyUSID
from pixelmill import usid
from pixelmill.usid import _durable, _record
from pyUSID.processing.comp_utils import parallel_compute  # noqa: F401 - it is replaced here

POSITIONS = 60
Theirs = pyUSID.Process


def made(path: str, group: str = "/", **options: object) -> str:
    """A file with a main dataset of 6 × 10 positions."""
    values = np.random.default_rng(1).normal(size=(POSITIONS, 24)).astype(np.float32)
    with h5py.File(path, "a" if group != "/" else "w") as whole:
        file = whole.require_group(group)
        axes = [pyUSID.Dimension("Y", "um", np.arange(6)), pyUSID.Dimension("X", "um", np.arange(10))]
        spectral = pyUSID.Dimension("Bias", "V", np.linspace(-1, 1, 24))
        pyUSID.hdf_utils.write_main_dataset(file, values, "Raw", "Current", "nA", axes, spectral, **options)
    return path


def class_on(base: type, map_function=None, **members: object) -> type:
    """A class as pyUSID's users write it."""

    class Moments(base):
        def __init__(self, h5_main, scale=2.0, name="Moments", more=None, **options):
            parameters = {"scale": scale, "orders": [1, 2, 3], "title": "a text"} | (more or {})
            super().__init__(h5_main, name, parms_dict=parameters, **options)

        def _create_results_datasets(self):
            self.h5_results_grp = pyUSID.hdf_utils.create_results_group(
                self.h5_main, self.process_name, h5_parent_group=self._h5_target_group
            )
            pyUSID.hdf_utils.write_simple_attrs(self.h5_results_grp, self.parms_dict | {"last_pixel": 0})
            self.h5_curve = pyUSID.hdf_utils.create_empty_dataset(
                self.h5_main, np.float64, "Curve", h5_group=self.h5_results_grp
            )
            self.h5_number = pyUSID.hdf_utils.write_main_dataset(
                self.h5_results_grp, (len(self.h5_main), 2), "Number", "a", "b", None,
                pyUSID.Dimension("n", "", 2), dtype=np.int32, aux_spec_prefix="Number_",
                h5_pos_inds=self.h5_main.h5_pos_inds, h5_pos_vals=self.h5_main.h5_pos_vals,
            )  # fmt: skip

        def _get_existing_datasets(self):
            self.h5_curve, self.h5_number = self.h5_results_grp["Curve"], self.h5_results_grp["Number"]

        def _write_results_chunk(self):
            positions = self._get_pixels_in_current_batch()
            self.h5_curve[positions, :] = np.array([one[0] for one in self._results])
            self.h5_number[positions, :] = np.array([one[1] for one in self._results])

        def _unit_computation(self, *args, **kwargs):
            return super()._unit_computation(*args, scale=self.parms_dict["scale"], **kwargs)

    def mapped(values, scale):
        values *= scale
        return np.sort(values) + np.random.rand() * 0, [values.argmax(), values.argmin()]

    Moments._map_function = staticmethod(map_function or mapped)
    Moments.positions_are_independent = True
    for name, value in members.items():
        setattr(Moments, name, value)
    return Moments


def results(group: h5py.Group) -> dict[str, bytes]:
    return {name: group[name][()].tobytes() for name in ("Curve", "Number", "completed_positions")}


def of(path: str, mode: str = "r+") -> h5py.Dataset:
    return h5py.File(path, mode)["Raw"]


def numbers_are_those_of_pyusid() -> None:
    expected = results(class_on(Theirs)(of(made("theirs.h5"))).compute())
    source = of(made("ours.h5", compression="gzip"))
    process = class_on(usid.Process)(source)
    process._max_pos_per_read = 7
    group = process.compute()
    assert results(group) == expected
    assert source.compression == "gzip" and group["Curve"].compression is None
    assert group.attrs["last_pixel"] == POSITIONS and group["Number"].attrs["quantity"] == "a"
    assert process.compute() == group and class_on(usid.Process)(source).compute() == group
    assert process.compute(override=True).name == "/Raw-Moments_001"


def duplicates_are_exact() -> None:
    source = of(made("a.h5"))
    ours = class_on(usid.Process)

    def number(*given, **named) -> str:
        return ours(*given, **named).compute().name[-3:]

    assert number(source) == number(source) == "000"
    assert number(source, scale=np.nextafter(2.0, 3)) == number(source, scale=np.nextafter(2.0, 3)) == "001"
    assert number(source, more={"small": [1e-9]}) == "002" and number(source, more={"small": [2e-9]}) == "003"
    assert number(source) == "000", "one with more parameters isn't it"
    assert number(source, more={"big": np.arange(9)}) == number(source, more={"big": list(range(9))}) == "004"
    assert ours(source, name="Moment").compute().name == "/Raw-Moment_000", "the name is a part of the other's"
    for one, other in (([1, "a"], ["1", "a"]), ([2**53 + 1, 0.5], [2**53, 0.5]), (["a\0"], ["a"])):
        assert number(source, name="Lists", more={"x": one}) != number(source, name="Lists", more={"x": other})
    edited = class_on(usid.Process, lambda values, scale: (values, [1, 2]))
    assert edited(source).compute().name[-3:] == "005"
    with_argument = class_on(usid.Process, lambda values, add=0, scale=1: (values + add, [1, 2]))
    assert [with_argument(source).compute(add=add).name[-3:] for add in (1, 2, 1)] == ["006", "007", "006"]
    source[17, 3] += 1
    assert number(source) == number(source) == "008", "the data have changed"
    axis = source.file[source.attrs["Spectroscopic_Values"]]
    axis[0, 5] = 7
    assert number(source) == "009", "so has an axis"
    with h5py.File("results.h5", "w") as target:
        found = [number(of(made(path)), h5_target_group=target) for path in ("b.h5", "c.h5")]
        assert found == ["000", "001"] and number(of("b.h5"), h5_target_group=target) == "000"
        other = h5py.File(made("b.h5", "elsewhere"), "r+")["elsewhere/Raw"]
        assert number(other, h5_target_group=target) == number(other, h5_target_group=target) == "002"


def imported(name: str) -> ModuleType:
    """A module of the working directory, as it is now."""
    importlib.invalidate_caches()
    linecache.clearcache()
    shutil.rmtree("__pycache__", ignore_errors=True)
    sys.modules.pop(name, None)
    sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(os.getcwd())


def an_edited_class_is_another() -> None:
    source = of(made("edited.h5"))
    text = (
        "import numpy as np\n"
        "def on(base):\n"
        "    class Kind(base):\n"
        "        def _write_results_chunk(self):\n"
        "            positions = self._get_pixels_in_current_batch()\n"
        "            self.h5_curve[positions, :] = np.array([one[0] for one in self._results])\n"
        "    return Kind\n"
    )
    numbers = []
    for edited in (
        text,
        text.replace("    return", "    # A comment.\n\n    return"),
        text.replace("results])", "results]) + 1"),
    ):
        Path("edited_kind.py").write_text(edited)
        kind = imported("edited_kind").on(class_on(usid.Process))
        numbers.append(kind(source).compute().name[-3:])
    assert numbers == ["000", "000", "001"]


def what_a_parameter_refers_to_is_looked_at() -> None:
    source = of(made("refers.h5"))
    guess = source.file.create_dataset("guess", data=np.arange(5.0))
    some = np.array([True, True, False, True, True])

    def number(value: object) -> str:
        return class_on(usid.Process)(source, more={"guess": value}).compute().name[-3:]

    assert [number(guess.ref), number(guess.regionref[some]), number(guess.regionref[:])] == ["000", "001", "002"]
    assert [number(guess.ref), number(guess.regionref[some]), number(guess.regionref[:])] == ["000", "001", "002"]
    guess[2] = 77
    assert number(guess.ref) == "003" and number(guess.regionref[some]) == "004"
    assert number(source.file.ref) != number(source.file.ref), "nobody knows what is used of a group"


def offset(values):
    return values + OFFSET


OFFSET = 1.0


def what_a_class_uses_is_a_part_of_it() -> None:
    global OFFSET
    source = of(made("uses.h5"))

    def unit(self, *args, **kwargs):
        self._results = [(offset(row), [1, 2]) for row in self.data]

    def number(map_function=None, **members) -> str:
        return class_on(usid.Process, map_function, **members)(source).compute().name[-3:]

    assert [number(_unit_computation=unit) for _ in range(2)] == ["000", "000"]
    OFFSET = 2.0
    assert number(_unit_computation=unit) == "001"
    numbers = []
    for text in ("values + np.random.rand()", "values - np.random.rand()", "values - np.random.rand()"):
        Path("drawing.py").write_text(f"import numpy as np\ndef drawn(values, scale):\n    return {text}, [1, 2]\n")
        numbers.append(number(imported("drawing").drawn))
    assert numbers == ["002", "003", "003"]
    for text in ("values", "values + 1"):
        names: dict[str, object] = {}
        exec(f"def without_text(values, scale):\n    return {text}, [1, 2]", names)
        numbers.append(number(names["without_text"]))
    assert numbers[-2:] == ["004", "005"]
    assert [number(factor=factor) for factor in (1, 2)] == ["006", "007"]


def a_later_computation_without_parameters_is_recognised_by_its_class() -> None:
    source = of(made("later.h5"))

    def fit(by: float) -> type:
        def create(self):
            self.parms_dict = {"scale": 2.0}
            usid_create(self)
            self.parms_dict = {}

        usid_create = class_on(usid.Process)._create_results_datasets

        def unit(self, *args, **kwargs):
            self._results = [(row * by, [1, 2]) for row in self.data]

        return class_on(usid.Process, _create_results_datasets=create, _unit_computation=unit)

    found = []
    for by in (1.0, 2.0, 2.0):
        process = fit(by)(source)
        process._status_dset_name, process.parms_dict = "completed_fit_positions", {}
        found.append(process.compute().name[-3:])
    assert found == ["000", "001", "001"]


def pyusid_and_we_go_on_with_each_other() -> None:
    theirs, ours = class_on(Theirs), class_on(usid.Process)
    expected = results(theirs(of(made("whole.h5"))).compute())

    class Enough(Exception):
        pass

    def stopping(base: type) -> type:
        write = base._write_results_chunk

        def stop(self):
            if len(done) == 2:
                raise Enough
            done.append(write(self))

        return class_on(usid.Process if base is ours else Theirs, _write_results_chunk=stop)

    for first, then in ((theirs, ours), (ours, theirs)):
        done: list[None] = []
        source = of(made("half.h5"))
        process = stopping(first)(source)
        process._max_pos_per_read = 13
        try:
            process.compute()
        except Enough:
            pass
        status = source.file["Raw-Moments_000/completed_positions"][()]
        assert 0 < status.sum() < POSITIONS
        second = then(source)
        assert [group.name for group in second.partial_h5_groups] == ["/Raw-Moments_000"]
        assert results(second.compute()) == expected
        source.file.close()


def some_fail(values: np.ndarray, scale: float) -> tuple[np.ndarray, list[int]]:
    if values[0] == some_fail.raising:
        raise ValueError("no peak here")
    if values[0] == some_fail.dying:
        os.kill(os.getpid(), signal.SIGSEGV)
    return values * scale, [3, 4]


def a_bad_position_fails_alone() -> None:
    source = of(made("bad.h5"))
    some_fail.raising, some_fail.dying = source[7, 0], source[11, 0]
    process = class_on(usid.Process, some_fail)(source, cores=2)
    group = process.compute()
    bad = np.isin(np.arange(POSITIONS), [7, 11])
    assert np.array_equal(group["Curve"][()][~bad], source[()][~bad] * 2.0) and np.isnan(group["Curve"][()][bad]).all()
    assert (group["Number"][()] == np.where(bad[:, None], 0, [3, 4])).all()
    lines, texts = group["failed_positions"][()], group["failure_messages"][()]
    assert np.array_equal(np.flatnonzero(lines), [7, 11]) and group["completed_positions"][()].all()
    assert texts[lines[7]] == b"ValueError: no peak here" and b"SIGSEGV" in texts[lines[11]]


def what_fails_in_a_whole_batch_is_found() -> None:
    source = of(made("batch.h5"))

    def unit(self, *args, **kwargs):
        if any((row == source[23]).all() for row in self.data):
            raise ZeroDivisionError("a bad row")
        self._results = [(row * 2.0, [1, 2]) for row in self.data]

    group = class_on(usid.Process, _unit_computation=unit)(source).compute()
    assert np.flatnonzero(np.isnan(group["Curve"][:, 0])).tolist() == [23]
    assert group["failure_messages"][group["failed_positions"][23]] == b"ZeroDivisionError: a bad row"
    dependent = class_on(usid.Process, _unit_computation=unit, positions_are_independent=None)
    for broken in (dependent, class_on(usid.Process, lambda *given, **named: 1 / 0)):
        try:
            broken(source, name="Other").compute()
        except ZeroDivisionError:
            continue
        raise AssertionError("it went on")


def a_result_that_cannot_be_written_fails_alone() -> None:
    source = of(made("shape.h5"))
    bad = source[41, 0]

    def mapped(values, scale):
        return None if values[0] == bad else (values * scale, [1, 2])

    group = class_on(usid.Process, mapped)(source).compute()
    assert np.flatnonzero(np.isnan(group["Curve"][:, 0])).tolist() == np.flatnonzero(group["failed_positions"]).tolist()
    assert np.flatnonzero(group["failed_positions"]).tolist() == [41] and group["completed_positions"][()].all()
    try:
        class_on(usid.Process, lambda values, scale: None)(source, name="None").compute()
    except TypeError:
        return
    raise AssertionError("nothing can be written")


def results_that_are_gone_are_computed_anew() -> None:
    source = of(made("gone.h5"))
    del class_on(usid.Process)(source).compute()["Number"]
    group = class_on(usid.Process)(source).compute()
    assert group.name == "/Raw-Moments_001" and len(group["Number"]) == POSITIONS


def a_fit_whose_guess_was_changed_is_another() -> None:
    def on(self):
        self.h5_curve, self.h5_number = (
            self.h5_results_grp.require_dataset(name, (POSITIONS, columns), kind)
            for name, columns, kind in (("Fit", 24, np.float64), ("Fit_Number", 2, np.int32))
        )

    fit = class_on(usid.Process, _create_results_datasets=on, _get_existing_datasets=on)
    group = class_on(usid.Process)(of(made("fit.h5"))).compute()

    def computed() -> h5py.Group:
        process = fit(group.file["Raw"])
        process._status_dset_name, process.h5_results_grp = "completed_fit_positions", group
        return process.compute()

    assert computed() == computed() == group
    group["Curve"][7, 0] += 1
    try:
        computed()
    except pm.ResultsError as error:
        assert "compute what they are based on anew" in str(error)
    else:
        raise AssertionError("the guess has changed")


def a_bad_first_position_is_no_reason_to_stop() -> None:
    source = of(made("first.h5"))
    some_fail.raising, some_fail.dying = source[0, 0], None
    calls: list[int] = []

    def unit(self, *args, **kwargs):
        calls.append(len(self.data))
        usid.Process._unit_computation(self, *args, scale=2.0)

    process = class_on(usid.Process, some_fail, _unit_computation=unit)(source)
    process._max_pos_per_read = 1
    group = process.compute()
    assert np.flatnonzero(group["failed_positions"]).tolist() == [0] and group["completed_positions"][()].all()
    calls.clear()
    broken = class_on(usid.Process, lambda values, scale: 1 / 0, _unit_computation=unit)(source, name="Broken")
    broken._max_pos_per_read = 3
    try:
        broken.compute()
    except ZeroDivisionError:
        assert sum(calls) == 18, calls
    else:
        raise AssertionError("all positions fail")


def what_cannot_be_told_is_computed_anew() -> None:
    class Odd(class_on(usid.Process)):
        def _create_results_datasets(self):
            thing = self.parms_dict.pop("thing")
            super()._create_results_datasets()
            self.parms_dict["thing"] = thing

    source, lock = of(made("odd.h5")), threading.Lock()
    names = [Odd(source, more={"thing": lock}).compute().name for _ in range(2)]
    assert names == ["/Raw-Moments_000", "/Raw-Moments_001"]
    assert class_on(usid.Process)(source).compute().name == "/Raw-Moments_002"


def what_a_class_makes_of_incomplete_results_is_made_again() -> None:
    class Derived(class_on(usid.Process)):
        def _get_existing_datasets(self):
            super()._get_existing_datasets()
            if "Mean" not in self.h5_results_grp:
                self.h5_results_grp["Mean"] = self.h5_curve[()].mean(axis=1)
            if "Kept" not in self.h5_results_grp:
                self.h5_kept = self.h5_results_grp.create_dataset("Kept", (POSITIONS, 2))

    source = of(made("derived.h5"))
    process = Derived(source)
    write, process._write_results_chunk = process._write_results_chunk, lambda: 1 / 0
    try:
        process.compute()
    except ZeroDivisionError:
        process._write_results_chunk = write
    group = process.compute()
    assert group.name == "/Raw-Moments_000" and process.h5_kept == group["Kept"] and "Mean" not in group
    process._get_existing_datasets()
    assert np.array_equal(group["Mean"], group["Curve"][()].mean(axis=1))


def batches_of_dependent_positions_are_always_the_same() -> None:
    seen: list[list[int]] = []

    def unit(self, *args, **kwargs):
        # What the function uses by itself would make it another.
        if len(self.seen) == self.stop:
            raise InterruptedError
        self.seen.append(self._get_pixels_in_current_batch().tolist())
        drawn = np.random.rand()
        self._results = [(row - self.data.mean() + drawn, [1, 2]) for row in self.data]

    found = []
    for stop in (None, 3 + 2):
        process = class_on(usid.Process, _unit_computation=unit, positions_are_independent=None)(of(made("d.h5")))
        process.seen, process.stop, process._max_pos_per_read = seen, stop, 25
        try:
            process.compute()
        except InterruptedError:
            process.h5_main.file["Raw-Moments_000/completed_positions"][30:40] = 0
            process.stop, process._max_pos_per_read = None, 11
            process.compute()
        found.append(results(process.h5_main.file["Raw-Moments_000"]))
        process.h5_main.file.close()
    whole = [list(range(0, 25)), list(range(25, 50)), list(range(50, 60))]
    assert seen == [*whole, *whole[:2], *whole[1:]] and found[0] == found[1]


def marks_come_after_results() -> None:
    source = of(made("order.h5"))
    mark, marked = _record.Record.mark, []

    def looked_at(self, positions):
        shutil.copy("order.h5", "copy.h5")
        with h5py.File("copy.h5") as copy:
            group = copy[self.group.name]
            assert np.array_equal(group["Curve"][positions, 0], np.sort(source[positions] * 2.0)[:, 0])
            assert not group["completed_positions"][positions].any()
        marked.extend(positions)
        mark(self, positions)

    _record.Record.mark = looked_at
    process = class_on(usid.Process)(source)
    process._max_pos_per_read = 20
    process.compute()
    assert marked == list(range(POSITIONS))


def metadata_changes_at_once_or_not_at_all() -> None:
    before = Path(made("whole.h5")).read_bytes()
    with h5py.File("whole.h5", "r+") as file:
        _durable.commit(file)
        before = Path("whole.h5").read_bytes()
        with _durable.changing(file):
            for number in range(100):
                file.create_dataset(f"group_{number}/new", (100, 100), np.float32, compression="gzip").attrs["a"] = 1
                file.flush()
            assert Path("whole.h5").read_bytes()[: len(before)] == before
        after = Path("whole.h5").read_bytes()
        file["group_7/new"][()] = 1
        file["group_7/new"].attrs.modify("a", 2)
        _durable.commit(file)
        written = Path("whole.h5").read_bytes()
        assert len(written) == len(after), "it grew"
    with h5py.File("whole.h5") as file:
        assert len(file) == 105 and file["group_7/new"][5, 5] == 1
    # The flush is another process's: one that kills this one at once finds it done.
    script = (
        "import h5py, os; from pixelmill.usid import _durable; file = h5py.File('whole.h5', 'r+')\n"
        "for number in range(300): file.create_dataset(f'late_{number}/x', data=[number])\n"
        "here, flush = os.getpid(), h5py.h5f.flush\n"
        "h5py.h5f.flush = lambda *given: (os.getpid() == here and os.kill(here, 9), flush(*given))\n"
        "_durable.commit(file)"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == -signal.SIGKILL
    with h5py.File("whole.h5") as file:
        assert [file[f"late_{number}/x"][0] for number in range(300)] == list(range(300))


def a_newer_file_opens_after_a_kill() -> None:
    with h5py.File(made("plain.h5")) as plain, h5py.File("new.h5", "w", libver="latest", userblock_size=1024) as file:
        for own in plain:
            plain.copy(own, file)
        for own in ("Position_Indices", "Position_Values", "Spectroscopic_Indices", "Spectroscopic_Values"):
            file["Raw"].attrs[own] = file[own].ref
    script = (
        "import os, h5py, usid_scenarios; from pixelmill import usid\n"
        "process = usid_scenarios.class_on(usid.Process)(h5py.File('new.h5', 'r+')['Raw'])\n"
        "process._write_results_chunk = lambda: os.kill(os.getpid(), 9)\n"
        "process.compute()"
    )
    environment = os.environ | {"PYTHONPATH": f"{Path(__file__).parent}:{os.environ['PYTHONPATH']}"}
    ran = subprocess.run([sys.executable, "-W", "ignore", "-c", script], env=environment)
    assert ran.returncode == -signal.SIGKILL
    with h5py.File("new.h5", "r+") as file:
        assert not file["Raw-Moments_000/completed_positions"][()].any()
        group = class_on(usid.Process)(file["Raw"]).compute().name
    with h5py.File("new.h5") as file:
        assert file[group]["completed_positions"][()].all()


def a_newer_source_opens_after_a_kill() -> None:
    with h5py.File(made("plain.h5")) as plain, h5py.File("new.h5", "w", libver="latest") as file:
        for own in plain:
            plain.copy(own, file)
        for own in ("Position_Indices", "Position_Values", "Spectroscopic_Indices", "Spectroscopic_Values"):
            file["Raw"].attrs[own] = file[own].ref
    script = (
        "import os, h5py, usid_scenarios; from pixelmill import usid\n"
        "source, target = h5py.File('new.h5', 'r+')['Raw'], h5py.File('target.h5', 'w')\n"
        "process = usid_scenarios.class_on(usid.Process)(source, h5_target_group=target)\n"
        "process._write_results_chunk = lambda: os.kill(os.getpid(), 9)\n"
        "process.compute()"
    )
    environment = os.environ | {"PYTHONPATH": f"{Path(__file__).parent}:{os.environ['PYTHONPATH']}"}
    ran = subprocess.run([sys.executable, "-W", "ignore", "-c", script], env=environment)
    assert ran.returncode == -signal.SIGKILL
    with h5py.File("new.h5") as file:
        assert file["Raw"].shape == (POSITIONS, 24)


def slow(values: np.ndarray, scale: float) -> tuple[np.ndarray, list[int]]:
    threading.Event().wait(0.02)
    return np.sort(values * scale), [values.argmax(), values.argmin()]


def compute_slowly() -> None:
    with h5py.File(sys.argv[2], "r+") as file:
        process = class_on(usid.Process, slow)(file["Raw"], cores=1)
        process._max_pos_per_read = 2
        print("begins", flush=True)
        process.compute()


def a_killed_run_is_resumed() -> None:
    made("fresh.h5")
    for copy in ("killed.h5", "calm.h5"):
        shutil.copy("fresh.h5", copy)
    whole = results(class_on(usid.Process, slow)(of("calm.h5")).compute())
    random, kills, partial = np.random.default_rng(), 0, 0
    while True:
        command = [sys.executable, __file__, "compute_slowly", "killed.h5"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
        assert process.stdout is not None and process.stdout.readline()
        try:
            process.wait(random.uniform(0, 1.5) if kills < 3 else None)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
            with open("killed.h5") as file:
                # What was being flushed still is; then the lock is gone.
                fcntl.flock(file, fcntl.LOCK_SH)
            with h5py.File("killed.h5") as file:
                group = file.get("Raw-Moments_000")
                done = group["completed_positions"][()] != 0 if group is not None else np.zeros(POSITIONS, bool)
                partial += 0 < done.sum() < POSITIONS
                expected = np.frombuffer(whole["Curve"]).reshape(POSITIONS, -1)
                assert not done.any() or np.array_equal(group["Curve"][()][done], expected[done])
            continue
        assert process.returncode == 0
        with h5py.File("killed.h5") as file:
            assert results(file["Raw-Moments_000"]) == whole and "Raw-Moments_001" not in file
        if kills == 3:
            break
        # It was done before it was to be killed.
        shutil.copy("fresh.h5", "killed.h5")
    print(f"{kills} kills, {partial} of them with some positions done")


def it_takes_pyusids_place() -> None:
    earlier = class_on(Theirs)
    here = sys.modules[__name__]
    usid.install()
    assert pyUSID.Process is usid.Process is pyUSID.processing.process.Process is here.Theirs
    assert here.parallel_compute is usid.parallel_compute is pyUSID.comp_utils.parallel_compute
    assert usid.Process in earlier.__mro__ and not any(base.__module__.startswith("pyUSID") for base in earlier.__mro__)
    process = earlier(of(made("place.h5")))
    assert "parameter_hash" in process.compute().attrs
    usid.install()
    assert class_on(pyUSID.Process)(of("place.h5")).compute().name == "/Raw-Moments_000"


def what_is_wrong_is_said() -> None:
    source = of(made("wrong.h5"))
    ours = class_on(usid.Process)

    def says(kind: type, text: str, *given, **named) -> None:
        try:
            ours(*given, **named)
        except kind as error:
            assert isinstance(error, pm.Error) and text in str(error), error
        else:
            raise AssertionError(text)

    says(TypeError, "cores should be an integer", source, cores=1.5)
    says(ValueError, "give more memory", source, max_mem_mb=0)
    says(ValueError, "Main", source.file["Position_Indices"])
    says(TypeError, "process_name", source, name={})
    process = ours(source)
    source.file.close()
    for call in (process.compute, lambda: ours(source)):
        try:
            call()
        except pm.UsageError as error:
            assert "is closed" in str(error)
        else:
            raise AssertionError("it is closed")
    says(OSError, "mode='r+'", of("wrong.h5", "r"))
    world = SimpleNamespace(Get_size=lambda: 4)
    sys.modules["mpi4py"] = ModuleType("mpi4py")
    sys.modules["mpi4py"].MPI = SimpleNamespace(COMM_WORLD=world)
    says(pm.UnsuitableError, "4 ranks", source)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
