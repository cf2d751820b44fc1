"""Folds that are written in Python: the same bits everywhere, and what becomes of what fails."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pixelmill as pm
import pytest
from conftest import values_of
from pixelmill import _scan

POSITIONS = 24 * 32


@pytest.fixture
def scan(many: Path, tmp_path: Path) -> pm.Scan:
    return pm.open(shutil.copy(many, tmp_path / "many.h5"), "frames", (0, 1))


def frames_of(scan: pm.Scan) -> np.ndarray:
    return values_of(Path(scan.file), "frames").astype(float)


class Largest(pm.Reduction):
    """The largest value of each point, and where the position's is: written three times."""

    def prepare(self, source, buffers):
        buffers.per_point("Largest", source.dtype, neutral=-np.inf, quantity="Intensity", units="counts")
        buffers.per_position("Peak", "i4")
        buffers.single("Count", "i8")

    def merge(self, into, other):
        np.maximum(into["Largest"], other["Largest"], out=into["Largest"])
        into["Count"] += other["Count"]


class ByPartition(Largest):
    name = "Largest_by_partition"

    def process_partition(self, spectra, parts):
        np.maximum(parts["Largest"], spectra.max(axis=0), out=parts["Largest"])
        parts["Peak"] = spectra.reshape(len(spectra), -1).argmax(axis=1)
        parts["Count"] += len(parts.positions)


class BySpectrum(Largest):
    def process_spectrum(self, spectrum, parts):
        np.maximum(parts["Largest"], spectrum, out=parts["Largest"])
        parts["Peak"] = spectrum.argmax()
        parts["Count"] += 1


class ByTile(Largest):
    def prepare(self, source, buffers):
        super().prepare(source, buffers)
        buffers.per_point("Points", "i8", shape=2, role="private")

    def merge(self, into, other):
        super().merge(into, other)
        into["Points"] += other["Points"]

    def finish(self, parts):
        points = np.arange(16 * 128).reshape(16, 128)
        parts["Count"] += np.count_nonzero(parts["Points"] != np.stack([points * 0 + 1, points], -1) * POSITIONS)

    def process_tile(self, tile, parts):
        largest = parts["Largest"]
        np.maximum(largest, tile.max(axis=0), out=largest)
        parts["Points"][:, 0] += len(tile)
        parts["Points"][:, 1] += parts.points * len(tile)

    def postprocess(self, parts):
        parts["Count"] += len(parts.positions)
        parts["Peak"] = parts.positions % 7


@pytest.mark.parametrize("of", [ByPartition, BySpectrum, ByTile])
@pytest.mark.parametrize("workers", ["processes", "threads"])
def test_what_is_folded_is_what_numpy_says(scan: pm.Scan, of: Any, workers: str) -> None:
    results = scan.reduce(of(), workers=workers, cores=2, progress=False)
    values = frames_of(scan)
    assert results.outcome == "finished" and list(results) == ["Count", "Largest", "Peak"]
    assert np.array_equal(results["Largest"][:], values.max((0, 1))) and results["Largest"].dtype == np.float32
    assert results["Count"][:].tolist() == [POSITIONS] and results["Largest"].units == "counts"
    expected = values.reshape(24, 32, -1).argmax(2) if of is not ByTile else np.arange(POSITIONS).reshape(24, 32) % 7
    assert np.array_equal(results["Peak"][:], expected) and results.process == (of.name or of.__name__)
    other = "threads" if workers == "processes" else "processes"
    assert scan.run(of(), progress=False).outcome == "existing"
    assert scan.reduce(of(), workers=other, progress=False).group == results.group


class Moments(pm.Reduction):
    """Mean and variance over the scan, and how far each position's sum is from their mean."""

    def __init__(self, power=1.0):
        self.power = power

    def prepare(self, source, buffers):
        self.weights = np.linspace(1, 2, int(np.prod(source.spectrum_shape)))
        for number in (1, 2):
            buffers.per_point(f"sum_{number}", role="private")
        buffers.single("weighted")
        buffers.per_position("Sum")
        buffers.per_position("Distance", role="at end")
        buffers.per_point("Moment", shape=2, role="at end", units="V")

    def preprocess(self, parts):
        parts["weighted"] = 0.0

    def process_partition(self, spectra, parts):
        values = spectra.astype(float) ** self.power
        parts["sum_1"] += values.sum(axis=0)
        parts["sum_2"] += (values**2).sum(axis=0)
        flat = values.reshape(len(values), -1)
        parts["weighted"] += (flat @ self.weights).sum()
        parts["Sum"][:] = flat.sum(axis=1)

    def finish(self, parts):
        parts["Moment"][..., 0] = parts["sum_1"] / POSITIONS
        parts["Moment"][..., 1] = parts["sum_2"] / POSITIONS
        parts["Distance"] = parts["Sum"] - parts["Sum"].mean()


def test_sums_are_merged_by_themselves_and_results_made_at_the_end(scan: pm.Scan) -> None:
    results = scan.reduce(Moments(), cores=1, progress=False)
    values = frames_of(scan)
    assert np.allclose(results["Moment"][:][..., 0], values.mean((0, 1)), atol=1e-12)
    assert np.allclose(results["Moment"][:][..., 1], (values**2).mean((0, 1)))
    sums = values.sum((2, 3))
    assert np.allclose(results["Distance"][:], sums - sums.mean()) and "sum_1" not in results
    of_two = pm.open(shutil.copy(scan.file, scan.file + ".two"), "frames", (0, 1))
    two = of_two.reduce(Moments(), cores=2, override=True, memory="200M", progress=False)
    assert all(two[name][:].tobytes() == results[name][:].tobytes() for name in results)
    assert scan.reduce(Moments(power=2.0), progress=False).group != results.group
    assert scan.reduce(Moments(), progress=False).outcome == "existing"
    assert results.parameters["power"] == 1.0


class Steps(pm.Reduction):
    """How much a position's sum is above that of the position before it, which may have failed."""

    def prepare(self, source, buffers):
        buffers.per_position("Sum", "f4")
        buffers.mask("Valid")
        buffers.per_position("Step", "f4", role="at end", valid_in="Valid")

    def process_spectrum(self, spectrum, parts):
        if parts.positions[0] == 100:
            raise ValueError("no sum")
        parts["Sum"] = spectrum.sum()

    def finish(self, parts):
        parts["Valid"][1:] &= parts["Valid"][:-1]
        parts["Valid"][0] = 0
        parts["Step"][1:] = np.diff(parts["Sum"])


def test_a_mask_tells_for_which_positions_results_are_valid(scan: pm.Scan) -> None:
    results = scan.reduce(Steps(), progress=False)
    assert list(results.failed) == [100]
    valid = results["Valid"][:].ravel()
    assert np.flatnonzero(valid == 0).tolist() == [0, 100, 101]
    assert np.array_equal(np.isnan(results["Step"][:].ravel()), valid == 0)
    assert results["Step"][4, 4] == results["Sum"][4, 4] - results["Sum"][4, 3]


class Picky(pm.Reduction):
    def __init__(self, how, which):
        self.how = how
        self.which = which

    def prepare(self, source, buffers):
        buffers.single("Total")
        buffers.per_position("Own")

    def process_spectrum(self, spectrum, parts):
        number = int(parts.positions[0])
        parts["Total"] += spectrum.sum()
        parts["Own"] = number
        if number in self.which:
            if self.how == "raises":
                raise ValueError(f"no number {number}")
            if self.how == "changes":
                spectrum[0, 0] = 1
            if self.how == "sets":
                self.how = "raises"
            os.kill(os.getpid(), signal.SIGSEGV)


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("raises", "ValueError: no number 7"),
        ("changes", "ValueError: assignment destination is read-only"),
        ("sets", "`self.how` can't be set while it computes"),
        ("dies", "the worker process was ended by SIGSEGV"),
    ],
)
def test_a_position_that_fails_is_left_out(scan: pm.Scan, how: str, told: str) -> None:
    results = scan.reduce(Picky(how, [7, 700]), cores=2, progress=False)
    assert sorted(results.failed) == [7, 700] and told in results.failed[7], results.failed
    sums = np.delete(frames_of(scan).reshape(POSITIONS, -1).sum(1), [7, 700])
    assert results["Total"][:] == pytest.approx([sums.sum()], abs=1e-3)
    assert np.isnan(results["Own"][:].ravel()[[7, 700]]).all() and results["Own"][1, 1] == 33


def test_an_edited_class_is_another_computation(scan: pm.Scan, tmp_path: Path) -> None:
    text = """
import numpy as np
import pixelmill as pm

LEAST = 0

def counted(values):
    return values > LEAST

class Count(pm.Reduction):
    '''Counts.'''
    step = 1

    def prepare(self, source, buffers):
        buffers.single("Count", "u4")

    @staticmethod
    def kept(values):
        return counted(values)

    def process_partition(self, spectra, parts):
        parts["Count"] += np.uint32(self.kept(spectra[::self.step]).sum())
"""
    groups: set[str] = set()
    for old, new, is_same in [
        ("", "", False),
        ("class Count", "# A comment.\n\nclass Count", True),
        ("LEAST = 0", "LEAST = 0.5", False),
        ("step = 1", "step = 2", False),
        ("return counted(values)", "return ~counted(values)", False),
        (">", "<", False),
    ]:
        (tmp_path / "of_user.py").write_text(text.replace(old, new) if old else text)
        job = tmp_path / "job.py"
        job.write_text(
            f"import pixelmill as pm, of_user\n"
            f"scan = pm.open({scan.file!r}, 'frames', (0, 1))\n"
            "results = scan.reduce(of_user.Count(), workers='threads', progress=False)\n"
            "print(results.group, results['Count'][0])\n"
        )
        ran = subprocess.run([sys.executable, "-B", job], capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        group = ran.stdout.split()[0]
        assert (group in groups) == is_same, f"{new}: {ran.stdout}"
        groups.add(group)


def test_what_is_wrong_is_said(scan: pm.Scan) -> None:
    class NoWay(Largest):
        pass

    class TwoWays(ByPartition, BySpectrum):
        pass

    class Sums(pm.Reduction):
        neutral, dtype, role = 0, "f8", "published"

        def prepare(self, source, buffers):
            buffers.single("x", self.dtype, neutral=self.neutral, role=self.role)

        def process_partition(self, spectra, parts):
            parts["x"] += parts["x"].dtype.type(200)

    def with_(**attributes: Any) -> pm.Reduction:
        made = Sums()
        vars(made).update(attributes)
        return made

    def scan_with(reduction: Any) -> None:
        scan.reduce(reduction, workers="threads", progress=False)

    for reduction, error, told in [
        (NoWay(), pm.FunctionError, "needs one of `process_partition`, .* and has none"),
        (TwoWays(), pm.FunctionError, "and has `process_partition` and `process_spectrum`"),
        (with_(neutral=1), pm.FunctionError, "`x` begins with 1, and what is folded is summed unless it has a `merge`"),
        (with_(neutral="a"), pm.UsageError, "`x` can't begin with 'a'"),
        (with_(dtype="i2", neutral=1 << 20), pm.UsageError, "`x` can't begin with 1048576, which is no int16"),
        (with_(dtype="U5"), pm.UsageError, "buffers hold integers"),
        (with_(role="public"), pm.UsageError, """role='public': it has to be .* or "at end" .did you mean "published".?"""),
        (with_(role="private"), pm.FunctionError, "all its buffers are private"),
        (with_(dtype="u1"), pm.UnsuitableError, "merge what was folded: OverflowError: the sum in `x` is too large"),
        (with_(dtype="i1", neutral=0, unhashable=object()), pm.FunctionError, "couldn't be recognised later"),
        (with_(role="at end", neutral=1), pm.UsageError, "is made at the end and begins with nothing"),
        (Sums, pm.UsageError, "a reduction is needed, not type"),
    ]:
        with pytest.raises(error, match=told):
            scan_with(reduction)
    with pytest.raises(pm.UsageError, match="parameters of `Sums` are given to itself"):
        scan.run(with_(), parameters={"power": 3})
    with pytest.raises(pm.UsageError, match="`Sums` has no argument `power`; it has none but the spectrum"):
        scan.run(with_(), power=3)


CACHE: list[int] = []


class Counts(pm.Reduction):
    """How many units were folded before, which nobody may know."""

    def __init__(self):
        self.seen = []

    def prepare(self, source, buffers):
        self.drawn = np.random.default_rng(1)
        buffers.single("Count", "i8")

    def process_partition(self, spectra, parts):
        self.seen.append(1)
        parts["Count"] += len(self.seen)


class CountsInClass(Counts):
    seen: list[int] = []

    def __init__(self):
        pass


class CountsOutside(CountsInClass):
    def process_partition(self, spectra, parts):
        CACHE.append(1)
        parts["Count"] += len(CACHE)


class Draws(CountsInClass):
    def process_partition(self, spectra, parts):
        parts["Count"] += self.drawn.integers(1000)


@pytest.mark.parametrize(
    ("of", "told"),
    [
        (Counts, "it changes what is in `self.seen` while it computes"),
        (Draws, "it changes what is in `self.drawn` while it computes"),
        (CountsInClass, "it changes what it uses outside of itself"),
        (CountsOutside, "it changes what it uses outside of itself"),
    ],
)
@pytest.mark.parametrize("workers", ["processes", "threads"])
def test_what_is_kept_from_one_unit_to_the_next_ends_the_run(scan: pm.Scan, of: Any, told: str, workers: str) -> None:
    with pytest.raises(pm.FunctionError, match=told):
        scan.reduce(of(), workers=workers, cores=2, progress=False)
    with h5py.File(scan.file) as file:
        marked = [group["completed_positions"][:].any() for name, group in file.items() if name != "frames"]
    assert marked == [False]


class Prepares(pm.Reduction):
    version = 1

    def __init__(self, prepared):
        self.list = [1]
        Prepares.how = staticmethod(prepared)

    def prepare(self, source, buffers):
        Prepares.how(self, buffers)

    def process_partition(self, spectra, parts):
        parts["x"] += len(spectra)

    def merge(self, into, other):
        into["x"] += other["x"]


def test_what_is_prepared_is_part_of_what_is_computed(scan: pm.Scan) -> None:
    groups = set()
    for neutral, weight in [(0, 1.0), (1, 1.0), (0, 2.0), (0, 1.0)]:

        def prepared(reduction: Any, buffers: pm.Buffers, neutral: int = neutral, weight: float = weight) -> None:
            reduction.weights = np.full(3, weight)
            buffers.single("x", "i8", neutral=neutral)

        groups.add(scan.reduce(Prepares(prepared), workers="threads", progress=False).group)
    assert len(groups) == 3

    def changes(reduction: Any, buffers: pm.Buffers) -> None:
        reduction.list.append(1)
        buffers.single("x", "i8")

    with pytest.raises(pm.FunctionError, match="`prepare` changes what is in an attribute"):
        scan.reduce(Prepares(changes), progress=False)


def test_an_attribute_of_a_class_is_part_of_it_whatever_its_name(scan: pm.Scan) -> None:
    class Steps(pm.Reduction):
        workers = 2

        def prepare(self, source, buffers):
            buffers.single("x", "i8")

        def process_partition(self, spectra, parts):
            parts["x"] += self.workers * len(spectra)

    found = []
    for Steps.workers in (2, 3):
        found.append(scan.reduce(Steps(), workers="threads", progress=False)["x"][0])
    assert found == [2 * POSITIONS, 3 * POSITIONS]


def test_what_dies_while_it_merges_ends_the_run_and_nothing_of_it_counts(scan: pm.Scan, tmp_path: Path) -> None:
    dies_while = tmp_path / "dies"
    dies_while.touch()
    path = str(dies_while)

    class Dies(pm.Reduction):
        version = 1

        def prepare(self, source, buffers):
            buffers.single("Total")
            buffers.per_position("Own")

        def process_partition(self, spectra, parts):
            parts["Total"] += spectra.sum(dtype=float)
            parts["Own"] = parts.positions

        def merge(self, into, other):
            if os.path.exists(path):
                os._exit(3)
            into["Total"] += other["Total"]

    with pytest.raises(pm.FunctionError, match="in `merge`, the worker process ended itself with status 3"):
        scan.reduce(Dies(), cores=2, progress=False)
    dies_while.unlink()
    results = scan.reduce(Dies(), cores=2, progress=False)
    assert not results.failed and results["Total"][0] == pytest.approx(frames_of(scan).sum(), abs=1e-3)
    assert np.array_equal(results["Own"][:].ravel(), np.arange(POSITIONS))


def test_a_second_ctrl_c_ends_what_hangs_and_fails_nothing(
    scan: pm.Scan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs_while = tmp_path / "hangs"
    hangs_while.touch()
    path = str(hangs_while)

    class Hangs(pm.Reduction):
        def prepare(self, source, buffers):
            buffers.single("Count", "i8")

        def process_partition(self, spectra, parts):
            while parts.positions[0] > 400 and os.path.exists(path):
                Path(path + ".reached").touch()
                time.sleep(0.01)
            parts["Count"] += len(spectra)

    class Presses(_scan.Progress):
        def __call__(self, news: str) -> None:
            if '"progress"' in news and '"done":0,' not in news and os.path.exists(path + ".reached"):
                signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr(_scan, "Progress", Presses)
        with pytest.raises(KeyboardInterrupt, match="ended at once; the same call goes on"):
            scan.reduce(Hangs(), cores=1, checkpoint=0.1)
    hangs_while.unlink()
    results = scan.reduce(Hangs(), progress=False)
    assert not results.failed and results["Count"][:].tolist() == [POSITIONS]
    assert results.report is not None and results.report["positions"] < POSITIONS


JOB = """
import os, sys, time
import numpy as np
import pixelmill as pm
from pixelmill import _scan

class Slow(pm.Reduction):
    def prepare(self, source, buffers):
        buffers.per_point("Total", "f4")
        buffers.per_position("Own", "f4")

    def process_partition(self, spectra, parts):
        time.sleep(float(os.environ.get("SECONDS", 0)))
        parts["Total"] += spectra.sum(axis=0)
        parts["Own"] = spectra.sum((1, 2))

class Tells(_scan.Progress):
    def __call__(self, news):
        print(news, flush=True)

if __name__ == "__main__":
    _scan.Progress = Tells
    scan = pm.open(sys.argv[1], "frames", (0, 1))
    results = scan.reduce(Slow(), cores=int(sys.argv[2]), checkpoint=0.01, durability="process")
    print(results.report and results.report["positions"])
    print("bytes", results["Total"][:].tobytes().hex(), results["Own"][:].tobytes().hex())
"""


def test_a_killed_fold_is_resumed_with_the_same_bytes(scan: pm.Scan, tmp_path: Path) -> None:
    job = tmp_path / "job.py"
    job.write_text(JOB)
    undisturbed = shutil.copy(scan.file, tmp_path / "undisturbed.h5")

    def lines(file: str, cores: int) -> list[str]:
        ran = subprocess.run([sys.executable, job, file, str(cores)], capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.splitlines()

    expected = lines(undisturbed, 1)[-1]
    assert lines(shutil.copy(scan.file, tmp_path / "two.h5"), 2)[-1] == expected
    environment = os.environ | {"SECONDS": "0.2"}
    for cores in (2, 1):
        command = [sys.executable, str(job), scan.file, str(cores)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as run:
            assert run.stdout is not None
            next(line for line in run.stdout if '"progress"' in line and '"done":0,' not in line)
            run.kill()
    *_, positions, last = lines(scan.file, 2)
    assert last == expected and 0 < int(positions) < POSITIONS, positions
