"""What a reduction gets beside spectra, which of a position's spectra it folds, and what it says of one position."""

import os
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pixelmill as pm
import pytest
from conftest import values_of
from pixelmill import _fold, _map

SCAN = (24, 32)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames in chunks, so many that there are several units, and what varies beside them."""
    path = tmp_path_factory.mktemp("inputs") / "inputs.h5"
    generator = np.random.default_rng(5)
    with h5py.File(path, "w") as file:
        values = generator.normal(size=(*SCAN, 6, 320)).astype(np.float32)
        file.create_dataset("frames", data=values, chunks=(4, 4, 3, 160), compression="lzf")
        file["lines"] = generator.normal(size=(*SCAN, 320))
        file["dark"] = generator.normal(size=(6, 320)).astype(np.float32)
    return path


@pytest.fixture
def path(stored: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(stored, tmp_path / "inputs.h5"))


@pytest.fixture
def scan(path: Path) -> pm.Scan:
    return pm.open(path, "frames", (0, 1))


def frames_of(scan: pm.Scan) -> np.ndarray:
    return values_of(Path(scan.file), "frames").astype(float)


def expect(is_so):
    """What `assert` does, which here is no more the text of the file."""
    if not is_so:
        raise AssertionError


class Weighted(pm.Reduction):
    """The sum of all, by a weight, a line and a factor, and what each position has of these: written three times."""

    def prepare(self, source, buffers):
        buffers.per_point("Total")
        buffers.single("Lines", shape=320)
        buffers.per_position("Weight")
        buffers.per_position("Line", shape=320)
        buffers.per_position("Position", "i8")


class ByPartition(Weighted):
    def process_partition(self, spectra, parts, weight, line, factor=1.0):
        expect(not (weight.flags.writeable or line.flags.writeable))
        parts["Total"] += factor * np.einsum("i,i...->...", weight, spectra.astype(float))
        parts["Lines"] += line.sum(axis=0)
        parts["Weight"] = weight
        parts["Line"] = line
        parts["Position"] = parts.positions


class BySpectrum(Weighted):
    def process_spectrum(self, spectrum, parts, weight, line, factor=1.0):
        expect(weight.shape == () and line.shape == (320,) and not line.flags.writeable)
        parts["Total"] += factor * weight * spectrum.astype(float)
        parts["Lines"] += line
        parts["Weight"] = weight
        parts["Line"] = line
        parts["Position"] = parts.positions[0]


class ByTile(Weighted):
    def process_tile(self, tile, parts, weight, line, factor=1.0):
        parts["Total"] += factor * weight @ tile.astype(float)
        # The lines come with each tile.
        if parts.points[0] == 0:
            parts["Lines"] += line.sum(axis=0)
        parts["Weight"] = weight
        parts["Line"] = line
        parts["Position"] = parts.positions


@pytest.mark.parametrize("of", [ByPartition, BySpectrum, ByTile])
@pytest.mark.parametrize("workers", ["processes", "threads"])
def test_inputs_are_those_of_each_position(scan: pm.Scan, of: Any, workers: str) -> None:
    weight, lines = np.random.default_rng(7).normal(size=SCAN), pm.open(scan.file, "lines", (0, 1))
    results = scan.reduce(of(), weight=weight, line=lines, factor=2.0, workers=workers, cores=2, progress=False)
    expected = np.einsum("ij,ij...->...", weight, frames_of(scan))
    assert not results.failed and np.allclose(results["Total"][:], 2 * expected)
    line = values_of(Path(scan.file), "lines")
    assert np.allclose(results["Lines"][:].ravel(), line.sum((0, 1)))
    assert np.array_equal(results["Weight"][:], weight) and np.array_equal(results["Line"][:], line)
    assert np.array_equal(results["Position"][:].ravel(), np.arange(24 * 32)) and results.parameters["factor"] == 2.0
    again = scan.run(of(), weight=weight, line=lines, factor=2.0, progress=False)
    assert (again.outcome, again.group) == ("existing", results.group)


def test_inputs_are_part_of_what_a_reduction_is_recognised_by(scan: pm.Scan) -> None:
    weight, lines = np.ones(SCAN), pm.open(scan.file, "lines", (0, 1))

    def group(**given: Any) -> str:
        of = {"weight": weight, "line": lines} | given
        return scan.reduce(ByPartition(), workers="threads", progress=False, **of).group

    own = scan.reduce(ByPartition(), weight=weight, line=lines, workers="threads", progress=False)
    groups = [own.group, group(weight=2 * weight), group(factor=3.0), group(line=values_of(Path(scan.file), "lines"))]
    # Results of other results, by the dataset that these are in.
    groups += [group(weight=own["Weight"]), group(line=own["Line"])]
    assert len(set(groups)) == len(groups) and group() == own.group
    with h5py.File(scan.file, "r+") as file:
        file["lines"][0, 0, 0] += 1
    assert group(line=pm.open(scan.file, "lines", (0, 1))) not in groups


def test_what_isnt_called_so_is_said(scan: pm.Scan) -> None:
    class Options(ByPartition):
        def process_partition(self, spectra, parts, memory):
            pass

    class Fills(ByPartition):
        def process_partition(self, spectra, parts, weight, seen):
            seen.append(len(spectra))
            parts["Weight"] = weight

    weight = np.ones(SCAN)
    for of, arguments, told in [
        (ByPartition, {"wieght": weight}, r"no argument `wieght` \(did you mean `weight`\?\); it has: weight, line, factor"),
        (ByPartition, {"weight": weight}, "can't be called so: missing a required argument: 'line'"),
        (ByPartition, {"parts": 1}, "has no argument `parts`"),
        (Options, {}, "has an argument `memory`, which is an option here"),
        (ByPartition, {"weight": pm.open(scan.file, "lines", (0,)), "line": 1}, "it has the positions"),
    ]:
        with pytest.raises(pm.UsageError, match=told):
            scan.reduce(of(), progress=False, **arguments)
    for workers in ("threads", "processes"):
        with pytest.raises(pm.FunctionError, match="it changes what is in `seen` while it computes"):
            scan.reduce(Fills(), weight=weight, seen=[], workers=workers, progress=False)
    with pytest.raises(pm.FunctionError, match="couldn't be recognised later: `line`"):
        scan.reduce(ByPartition(), weight=weight, line=object(), progress=False)


class Dies(pm.Reduction):
    version = 1

    def prepare(self, source, buffers):
        buffers.single("Total")
        buffers.per_position("Weight")

    def process_partition(self, spectra, parts, weight):
        if (weight == 7).any():
            os.kill(os.getpid(), signal.SIGKILL)
        parts["Total"] += weight.sum()
        parts["Weight"] = weight


def test_the_inputs_of_what_dies_are_its_own(scan: pm.Scan) -> None:
    weight = np.arange(100.0, 100 + 24 * 32).reshape(SCAN)
    weight[3, 4] = weight[20, 30] = 7
    results = scan.reduce(Dies(), weight=weight, cores=2, progress=False)
    assert sorted(results.failed) == [3 * 32 + 4, 20 * 32 + 30]
    assert results["Total"][:] == [weight.sum() - 14]


class Along(pm.Reduction):
    """What of each spectrum of a position, and of all of them."""

    def __init__(self, fails=()):
        self.fails = fails

    def prepare(self, source, buffers):
        expect(source.spectrum_shape == tuple(map(len, source.spectral_axes)))
        buffers.per_point("Total")
        buffers.per_point("Pairs", shape=2, role="at end")
        buffers.single("Count", "i8")
        buffers.per_position("Own")
        buffers.per_position("Ends", shape=2)
        buffers.mask("Valid")
        buffers.per_position("Made", role="at end", valid_in="Valid")

    def put(self, spectra, parts):
        flat = spectra.reshape(len(spectra), -1).astype(float)
        parts["Total"] += spectra.astype(float).sum(axis=0)
        parts["Count"] += len(spectra)
        parts["Own"] = flat.sum(axis=1)
        parts["Ends"] = flat[:, [0, -1]]

    def postprocess(self, parts):
        expect(len(parts.positions) == len(parts["Own"]))

    def finish(self, parts):
        parts["Pairs"][:, 0] = parts["Total"]
        parts["Made"] = 2 * parts["Own"]
        parts["Valid"][1] = 0


class AlongByPartition(Along):
    def process_partition(self, spectra, parts):
        if len(self.fails):
            raise ValueError("not these")
        self.put(spectra, parts)


class AlongBySpectrum(Along):
    def process_spectrum(self, spectrum, parts):
        if parts.positions[0] in self.fails and spectrum[0] > 0:
            raise ValueError("not this")
        one = {name: parts[name] if name in ("Total", "Count") else parts[name][None] for name in parts}
        self.put(spectrum[None], one)
        parts["Own"] = one["Own"][0]
        parts["Ends"] = one["Ends"][0]


class AlongByTile(Along):
    def process_tile(self, tile, parts):
        expect(parts.points.tolist() == list(range(tile.shape[1])))
        self.put(tile, parts)


def check_along(results: pm.Results, spectra: np.ndarray, failed: tuple[int, ...] = ()) -> None:
    """Looks whether results are those of spectra along the last axis, several at each position."""
    is_in = ~np.isin(np.arange(24 * 32), failed).reshape(SCAN)
    kept = spectra[is_in].reshape(-1, spectra.shape[-1])
    assert sorted(results.failed) == list(failed) and results["Count"][:].tolist() == [len(kept)]
    assert np.allclose(results["Total"][:], kept.sum(axis=0)) and results["Total"].shape == spectra.shape[-1:]
    assert np.allclose(results["Pairs"][:][:, 0], results["Total"][:])
    sums = np.where(is_in[..., None], spectra.sum(axis=-1), np.nan)
    assert np.allclose(results["Own"][:], sums, equal_nan=True)
    ends = np.where(is_in[..., None, None], spectra[..., [0, -1]], np.nan)
    assert np.array_equal(results["Ends"][:], ends, equal_nan=True)
    valid = np.isfinite(sums)
    valid.reshape(-1)[1] = False
    assert np.array_equal(results["Valid"][:] == 1, valid)
    assert np.allclose(results["Made"][:], np.where(valid, 2 * sums, np.nan), equal_nan=True)


@pytest.mark.parametrize(
    ("of", "axis"),
    [(AlongByPartition, 2), (AlongByPartition, 3), (AlongBySpectrum, 3), (AlongByTile, 2), (AlongByTile, 3)],
)
def test_each_spectrum_along_an_axis_is_folded(path: Path, of: Any, axis: int) -> None:
    along = pm.open(path, "frames", (0, 1), along=f"axis {axis}")
    results = along.reduce(of(), cores=2, progress=False)
    spectra = frames_of(along) if axis == 3 else np.swapaxes(frames_of(along), 2, 3)
    check_along(results, spectra)
    alone = pm.open(shutil.copy(path, f"{path}.alone.h5"), "frames", (0, 1), along=f"axis {axis}")
    one = alone.reduce(of(), workers="threads", cores=1, override=True, progress=False)
    assert all(one[name][:].tobytes() == results[name][:].tobytes() for name in results)


def test_along_is_part_of_what_is_folded_and_spectra_fail_with_their_position(path: Path) -> None:
    scan = pm.open(path, "frames", (0, 1), along="axis 3")
    failed = (0, 33, 700)
    results = scan.reduce(AlongBySpectrum(failed), cores=2, progress=False)
    check_along(results, frames_of(scan), failed)
    assert results.failed[33] == "ValueError: not this"
    groups = {results.group, scan.reduce(AlongBySpectrum(), workers="threads", progress=False).group}
    for along in ("axis 2", ["axis 2", "axis 3"], ["axis 3", "axis 2"]):
        of = pm.open(path, "frames", (0, 1), along=along)
        total = of.reduce(Sums(), workers="threads", progress=False)["Total"]
        assert total.shape == of._each_shape
        groups.add(total._place)
    assert len(groups) == 5
    every = scan.reduce(AlongByPartition((1,)), positions="0:40", workers="threads", progress=False)
    assert every.outcome != "existing" and len(every.failed) == 40


class Sums(pm.Reduction):
    def prepare(self, source, buffers):
        buffers.per_point("Total")

    def process_partition(self, spectra, parts):
        parts["Total"] += spectra.astype(float).sum(axis=0)


def test_corrections_and_inputs_are_those_of_each_spectrum(path: Path) -> None:
    class Both(Sums):
        def process_partition(self, spectra, parts, weight):
            parts["Total"] += weight @ spectra.astype(float)

    with h5py.File(path, "r+") as file:
        file["dead"] = np.zeros((6, 320), bool)
        file["dead"][2, 319] = file["dead"][4, 5] = True
    scan = pm.open(path, "frames", (0, 1), along="axis 3", dark="/dark", dead_pixels="/dead")
    weight = np.random.default_rng(2).normal(size=SCAN)
    expected = frames_of(scan) - values_of(path, "dark")
    expected[..., 2, 319] = expected[..., 2, 318]
    expected[..., 4, 5] = (expected[..., 4, 4] + expected[..., 4, 6]) / 2
    total = scan.reduce(Both(), weight=weight, progress=False)["Total"][:]
    assert np.allclose(total, np.einsum("ij,ijkl->l", weight, expected), atol=1e-3)


def test_a_fold_along_an_axis_is_resumed_with_the_same_bytes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of = {"dataset": "frames", "positions_axes": (0, 1), "along": "axis 3"}
    undisturbed = pm.open(shutil.copy(path, f"{path}.whole.h5"), **of).reduce(AlongByPartition(), progress=False)
    scan = pm.open(path, **of)
    seen: list[str] = []

    def stops(news: str) -> None:
        if '"progress"' in news and '"done":0,' not in news and not seen:
            seen.append(news)
            raise RuntimeError("enough")

    folding = _fold.Folding(scan, AlongByPartition(), {}, {})
    options = scan._with(cores=1, checkpoint=0.001)
    slow = _fold.Folding.step

    def step(self: Any, *given: Any) -> Any:
        time.sleep(0.1)
        return slow(self, *given)

    with monkeypatch.context() as patched:
        patched.setattr(_fold.Folding, "step", step)
        with pytest.raises(RuntimeError, match="enough"):
            _fold.run(folding, "threads", options, stops)
    results = scan.reduce(AlongByPartition(), progress=False)
    assert results.report is not None and 0 < results.report["positions"] < 24 * 32
    assert all(results[name][:].tobytes() == undisturbed[name][:].tobytes() for name in results)


def test_a_reduction_says_what_it_makes_of_one_position(scan: pm.Scan) -> None:
    before = Path(scan.file).read_bytes()
    weight, lines = np.random.default_rng(7).normal(size=SCAN), pm.open(scan.file, "lines", (0, 1))
    looked = scan.test(ByTile(), at=(3, 4), weight=weight, line=lines)
    frame = scan[3, 4].astype(float)
    assert looked.failure is None and looked.position == 3 * 32 + 4 and np.array_equal(looked.data, scan[3, 4].ravel())
    assert np.allclose(looked.values["Total"], weight[3, 4] * frame) and looked.values["Total"].shape == (6, 320)
    assert looked.values["Weight"] == weight[3, 4] and looked.values["Line"].shape == (320,)
    assert looked.values["Position"] == 100 and np.array_equal(looked.values["Lines"], looked.values["Line"])
    along = pm.open(scan.file, "frames", (0, 1), along="axis 3")
    for spectrum in (0, 5):
        of_spectrum = along.test(AlongByPartition(), at=(3, 4), spectrum=spectrum)
        assert np.allclose(of_spectrum.values["Own"], frame[spectrum].sum())
        assert np.array_equal(of_spectrum.data, frame[spectrum])
    with pytest.raises(pm.UsageError, match="the position hasn't got so many"):
        along.test(AlongByPartition(), at=(3, 4), spectrum=6)
    with pytest.raises(pm.PositionError):
        scan.test(Sums(), at=(24, 0))
    assert Path(scan.file).read_bytes() == before


def test_what_is_wrong_with_a_reduction_is_said_of_one_position_too(scan: pm.Scan) -> None:
    class Fails(Sums):
        def process_spectrum(self, spectrum, parts):
            raise ValueError("no sum here")

        process_partition = pm.Reduction.process_partition

    class Begins(Sums):
        def preprocess(self, parts):
            raise ValueError("can't begin")

    class Averages(Sums):
        def merge(self, into, other):
            into["Total"] = (into["Total"] + other["Total"]) / 2

    assert scan.test(Fails(), at=(0, 1)).failure == "ValueError: no sum here"
    assert "its merge isn't associative" in str(scan.test(Averages(), at=(0, 1)).failure)
    with pytest.raises(pm.FunctionError, match="its `preprocess` failed: ValueError: can't begin"):
        scan.test(Begins(), at=(0, 1))
    with pytest.raises(pm.UsageError, match="`Sums` is no process: give one of this class"):
        scan.test(Sums, at=(0, 1))
    with pytest.raises(pm.UsageError, match="parameters of `Sums` are given to itself"):
        scan.test(Sums(), at=(0, 1), parameters={"a": 1})


def test_ctrl_c_ends_a_test_that_hangs(scan: pm.Scan, tmp_path: Path) -> None:
    reached = tmp_path / "reached"
    path = str(reached)

    class Hangs(Sums):
        def process_partition(self, spectra, parts):
            Path(path).touch()
            while True:
                time.sleep(0.01)

    def press() -> None:
        while not reached.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    presses = threading.Thread(target=press)
    presses.start()
    with pytest.raises(KeyboardInterrupt):
        scan.test(Hangs(), at=(0, 0))
    presses.join()


def test_auto_is_what_it_is_for_maps(scan: pm.Scan) -> None:
    assert not _map.in_threads("auto", Sums) and _map.in_threads("auto", np.sin)
    auto = scan.reduce(Sums(), workers="auto", progress=False)
    assert scan.reduce(Sums(), progress=False).group == auto.group
    with pytest.raises(pm.UsageError, match="""workers='thread': it has to be "auto", "processes" or "threads" """):
        scan.reduce(Sums(), workers="thread", progress=False)


class Swapped(pm.Reduction):
    """Sums that depend on the order in which they are summed."""

    def __init__(self, own):
        self.own = own

    def prepare(self, source, buffers):
        buffers.per_position("Each")
        buffers.single("Constant")
        buffers.single("Nested")
        buffers.single("Own")

    def process_partition(self, spectra, parts, each, constant, nested):
        parts["Each"] = each.sum(axis=(1, 2))
        parts["Constant"] += constant.sum()
        parts["Nested"] += nested["of"][0].sum()
        parts["Own"] += self.own.sum()


@pytest.mark.parametrize("way", ["transposed", "swapped", "backwards"])
def test_arrays_in_any_order_are_summed_alike_by_threads_and_processes(tmp_path: Path, way: str) -> None:
    path, generator = tmp_path / "line.h5", np.random.default_rng(1)
    with h5py.File(path, "w") as file:
        file["line"] = generator.normal(size=(150, 2))
    values = generator.normal(size=(150, 31, 40)) * 10.0 ** generator.integers(-8, 8, (150, 31, 40))
    if way == "transposed":
        values = np.asfortranarray(values)
    elif way == "swapped":
        values = np.swapaxes(values, 1, 2).copy().swapaxes(1, 2)
    else:
        values = values[::-1, ::-1].copy()[::-1, ::-1]
    line = pm.open(path, "line", (0,))

    def found(workers: str) -> list[bytes]:
        given = {"each": values, "constant": values[1:], "nested": {"of": (values[2:],)}}
        results = line.reduce(Swapped(values), workers=workers, cores=2, override=True, progress=False, **given)
        return [results[name][:].tobytes() for name in results]

    assert found("threads") == found("processes")


def test_what_has_another_form_than_when_it_was_opened_isnt_taken_for_it(path: Path) -> None:
    scan, lines, weight = pm.open(path, "frames", (0, 1)), pm.open(path, "lines", (0, 1)), np.ones(SCAN)

    def firsts(frame, line):
        return frame[0, 0] + line[0]

    def attempts(refused: str, line: Any) -> None:
        with pytest.raises(pm.Error, match=f"`/{refused}`( of .*)? has another shape or type than when"):
            scan.reduce(ByPartition(), weight=weight, line=line, workers="threads", progress=False)
        with pytest.raises(pm.Error, match=f"`/{refused}`( of .*)? has another shape or type than when"):
            scan.map(firsts, line=line, output_dtype="f4", output_shape=(), progress=False)

    def replaced(name: str, values: np.ndarray) -> None:
        with h5py.File(path, "r+") as file:
            del file[name]
            file[name] = values

    before, frames = values_of(path, "lines"), values_of(path, "frames")
    # As many bytes at each position.
    for values in (before.astype(np.int64), np.repeat(before.astype(np.float32), 2, axis=2)):
        replaced("lines", values)
        attempts("lines", lines)
    replaced("lines", before)
    # As many positions.
    for values in (np.swapaxes(frames, 0, 1), np.swapaxes(frames, 2, 3)):
        replaced("frames", values)
        attempts("frames", before)
    replaced("frames", frames)
    along = pm.open(path, "frames", (0, 1), along="axis 3")
    replaced("frames", frames[:, :, :3])
    for compute in (along.reduce, along.test):
        options = {"at": (0, 0)} if compute == along.test else {"progress": False}
        with pytest.raises(pm.FileError, match="has another shape or type than when it was opened"):
            compute(AlongByPartition(), **options)


def test_numbers_of_one_position_are_what_they_are(scan: pm.Scan) -> None:
    class Large(Sums):
        def prepare(self, source, buffers):
            buffers.single("Single", "i8")
            buffers.per_position("Pair", "u8", shape=2)
            buffers.per_position("Infinite")

        def process_partition(self, spectra, parts):
            parts["Single"] += 2**60 + 1
            parts["Pair"] = np.array([1, 2**64 - 1], "u8")
            parts["Infinite"] = -np.inf

    values = scan.test(Large(), at=(3, 4)).values
    assert values["Single"].shape == () and values["Single"] == 2**60 + 1
    assert values["Pair"].tolist() == [1, 2**64 - 1] and values["Infinite"] == -np.inf


def test_results_that_were_made_anew_with_another_type_arent_taken_for_those_before(scan: pm.Scan) -> None:
    def made(frame):
        return frame[0, 0]

    def counted(frame):
        return int(frame[0, 0] > 0)

    before = scan.map(made, name="made", output_dtype="f8", workers="threads", progress=False)
    with h5py.File(scan.file, "r+") as file:
        del file[before.group]
    results = scan.map(counted, name="made", output_dtype="i8", workers="threads", progress=False)
    assert results.group == before.group and set(np.unique(results["made"][:])) == {0, 1}
    with pytest.raises(pm.ResultsError, match="isn't there any more, or was changed"):
        before["made"][:]
    with pytest.raises(pm.Error, match="has another shape or type than when it was opened"):
        scan.reduce(ByPartition(), weight=before["made"], line=1.0, workers="threads", progress=False)


def test_arrays_by_position_count_in_the_budget(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "small.h5", "w") as file:
        file["data"] = np.ones((2, 3, 4))
    small = pm.open(tmp_path / "small.h5", "data", (0, 1))
    wide = np.zeros((2, 3, 1 << 20))
    small.map(first_of, wide=wide[..., :9], output_dtype="f8", output_shape=(), memory="16M", progress=False)
    with pytest.raises(pm.UsageError, match="raise memory=…") as refused:
        small.map(first_of, wide=wide, output_dtype="f8", output_shape=(), memory="16M", progress=False)
    assert refused.value.kind == "TooLittleMemory" and refused.value.needed > 3 * wide[0, 0].nbytes


def first_of(spectrum: Any, wide: Any) -> Any:
    return wide[0]
