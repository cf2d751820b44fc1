"""Writes, processes and checks h5USID files with the real pyUSID, for the interoperability tests.

    usid.py write FILE                     a scan, written by pyUSID's write_main_dataset
    usid.py run   FILE PROCESS             a pyUSID Process: all of it, killed half-way, or resumed
    usid.py mark  FILE GROUP               rewrites a group's record of completed positions
    usid.py check FILE GROUP [DATASET...]  opens results as USIDataset and describes them

What a test needs to know comes as one JSON object on standard output; what pyUSID prints goes to
standard error. A failed expectation ends the program with a message and exit code 1.
"""

import argparse
import contextlib
import hashlib
import json
import os
import signal
import sys
import warnings

warnings.filterwarnings("ignore")

import h5py
import numpy as np
import pyUSID
from pyUSID.io.hdf_utils import check_if_main, create_results_group, write_main_dataset, write_simple_attrs
from scipy.signal import find_peaks_cwt

RAW_DATA = "/Measurement_000/Channel_000/Raw_Data"


class Resumable(pyUSID.Process):
    """What the two processes below share: results datasets, small batches, and a death at a chosen instant.

    A subclass says which parameters it has and what it writes; `results` lists (name, quantity, units, type).
    """

    def __init__(self, source, parameters, batch=None, kill_after=None, kill_at="compute", target=None):
        super().__init__(source, type(self).__name__, parms_dict=parameters, cores=1, h5_target_group=target)
        if batch is not None:
            self._max_pos_per_read = batch
        self.kill_after = kill_after
        self.kill_at = kill_at
        self.batches = 0
        self.computed = 0

    def _create_results_datasets(self):
        self.h5_results_grp = create_results_group(
            self.h5_main, self.process_name, h5_parent_group=self._h5_target_group
        )
        write_simple_attrs(self.h5_results_grp, self.parms_dict)
        ancillary = {"h5_pos_inds": self.h5_main.h5_pos_inds, "h5_pos_vals": self.h5_main.h5_pos_vals}
        self.outputs = []
        for name, quantity, units, dtype in self.results():
            output = write_main_dataset(
                self.h5_results_grp,
                (self.h5_main.shape[0], 1),
                name,
                quantity,
                units,
                None,
                pyUSID.Dimension("Empty", "a. u.", 1),
                dtype=dtype,
                **ancillary,
            )
            self.outputs.append(output)
            ancillary.update(h5_spec_inds=output.h5_spec_inds, h5_spec_vals=output.h5_spec_vals)

    def _get_existing_datasets(self):
        self.outputs = [pyUSID.USIDataset(self.h5_results_grp[name]) for name, _, _, _ in self.results()]

    def _unit_computation(self, *args, **kwargs):
        self._die_if("compute", self.kill_after)
        super()._unit_computation(*args, **kwargs)

    def _write_results_chunk(self):
        positions = self._get_pixels_in_current_batch()
        values = np.array(self._results, ndmin=2).reshape(len(positions), len(self.outputs))
        for column, output in enumerate(self.outputs):
            output[positions, 0] = values[:, column]
        self._die_if("write", self.kill_after)
        self.batches += 1
        self.computed += len(positions)

    def _die_if(self, place, batches):
        """SIGKILL once this many batches are done: before the next is computed, or in the midst of writing it."""
        if self.kill_at == place and self.batches == batches:
            os.kill(os.getpid(), signal.SIGKILL)


class Sum(Resumable):
    """The sum of each real spectrum."""

    DEFAULTS = {}

    def results(self):
        return [("Sum", self.h5_main.attrs["quantity"], self.h5_main.attrs["units"], np.float64)]

    @staticmethod
    def _map_function(spectrum):
        return np.sum(spectrum, dtype=np.float64)

    def arguments(self):
        return {}


class Slow(Sum):
    """As the trial process of that name, without its pause."""

    DEFAULTS = {"pause": 1000}

    def results(self):
        return [("Slow_Sum", "Sum", "V", np.float64)]


class Peak_Finding(Resumable):
    """The class of pyUSID's tutorial: the one peak nearest the centre, the centre itself if there is none.

    The parameters that the tutorial leaves to SciPy are spelled out, and Peak_Position is added.
    """

    DEFAULTS = {
        "width_min": 20.0,
        "width_max": 60.0,
        "num_steps": 30,
        "min_snr": 1.0,
        "noise_percentile": 10.0,
        "gap_threshold": None,
        "window_size": None,
        "min_length": None,
    }

    def results(self):
        axis, units = (self.h5_main.h5_spec_vals.attrs[name][0] for name in ("labels", "units"))
        axis, units = (text.decode() if isinstance(text, bytes) else text for text in (axis, units))
        return [
            ("Peak_Response", "Amplitude", self.h5_main.attrs["units"], np.float32),
            ("Peak_Position", axis, units, np.float64),
        ]

    @staticmethod
    def _map_function(spectrum, axis, widths, **settings):
        peaks = find_peaks_cwt(np.abs(spectrum), widths, **settings)
        centre = len(spectrum) // 2
        index = peaks[np.argmin(np.abs(peaks - centre))] if len(peaks) else centre
        return np.abs(spectrum[index]), axis[index]

    def arguments(self):
        given = self.parms_dict
        return {
            "axis": self.h5_main.h5_spec_vals[0],
            "widths": np.linspace(given["width_min"], given["width_max"], given["num_steps"]),
            "min_snr": given["min_snr"],
            "noise_perc": given["noise_percentile"],
            "gap_thresh": given["gap_threshold"],
            "window_size": given["window_size"],
            "min_length": given["min_length"],
        }


PROCESSES = {"Sum": Sum, "Slow": Slow, "Peak_Finding": Peak_Finding}


def resonances(rows, columns, bins, seed):
    """Simulated resonances of a cantilever over two domains, with noise, as complex64 (positions, bins)."""
    random = np.random.default_rng(seed)
    frequency = np.linspace(300e3, 350e3, bins, dtype=np.float32)
    positions = rows * columns
    centre = 325e3 + random.normal(0, 4e3, positions)[:, None]
    sign = np.where(np.arange(positions) % columns < columns // 2, 1, -1)[:, None]
    response = sign * 1e-3 * centre**2 / (centre**2 - frequency**2 + 1j * frequency * centre / 60)
    noise = random.normal(0, 2e-3, (2, positions, bins))
    return frequency, (response + noise[0] + 1j * noise[1]).astype(np.complex64)


def write(options):
    frequency, spectra = resonances(options.rows, options.cols, options.bins, options.seed)
    if options.type == "f32":
        spectra = np.abs(spectra)
    group, name = options.dataset.rsplit("/", 1)
    with h5py.File(options.file, "w") as file:
        main = write_main_dataset(
            file.require_group(group or "/"),
            spectra,
            name,
            "Response",
            "V",
            [
                pyUSID.Dimension("Y", "um", np.linspace(0, 1, options.rows)),
                pyUSID.Dimension("X", "um", np.linspace(0, 2, options.cols)),
            ],
            [pyUSID.Dimension("Frequency", "Hz", frequency)],
            slow_to_fast=True,
        )
        return {"dataset": main.name, "shape": main.shape, "dtype": str(main.dtype), "sha256": digest(main)}


def run(options):
    target_name, _, target_group = (options.target or "").partition(":")
    with contextlib.ExitStack() as files:
        file = files.enter_context(h5py.File(options.file, "r" if options.target else "r+"))
        target = None
        if options.target:
            target = files.enter_context(h5py.File(target_name, "a")).require_group(target_group or "/")
        kind = PROCESSES[options.process]
        given = json.loads(options.parameters)
        unknown = set(given) - set(kind.DEFAULTS)
        expect(not unknown, f"{options.process} has no parameter {sorted(unknown)}")
        process = kind(
            file[options.dataset],
            {**kind.DEFAULTS, **given},
            batch=options.batch,
            kill_after=options.kill_after,
            kill_at=options.kill_at,
            target=target,
        )
        report = {
            "duplicates": [group.name for group in process.duplicate_h5_groups],
            "partials": [group.name for group in process.partial_h5_groups],
        }
        if options.look:
            return report
        if options.use:
            process.use_partial_computation((target or file[options.dataset].parent)[options.use])
        group = process.compute(override=options.override, **process.arguments())
        expect(options.kill_after is None, f"the run ended after {process.batches} batches, before it was to be killed")
        return {**report, "group": group.name, "computed": process.computed}


def mark(options):
    with h5py.File(options.file, "r+") as file:
        group = file[options.group]
        if options.status is not None:
            size = group["completed_positions"].shape[0] if "completed_positions" in group else None
            if size is None:
                size = next(item.shape[0] for item in group.values() if check_if_main(item))
            else:
                del group["completed_positions"]
            if options.status != "none":
                done = np.zeros(size, np.uint8)
                done[: int(options.status)] = 1
                group["completed_positions"] = done
        if options.last_pixel is not None:
            group.attrs.pop("last_pixel", None)
            if options.last_pixel != "none":
                group.attrs["last_pixel"] = int(options.last_pixel)
        return state(group)


def check(options):
    with h5py.File(options.file, "r") as file:
        expect(options.group in file, f"{options.file} has no group {options.group}")
        group = file[options.group]
        found = {}
        for name, item in group.items():
            if isinstance(item, h5py.Dataset):
                found[name] = describe(item, options.values)
        mains = [name for name, dataset in found.items() if dataset["main"]]
        for name in options.names:
            expect(name in found, f"{group.name} has no dataset {name}, only {sorted(found)}")
            expect(name in mains, f"check_if_main is false for {group.name}/{name}")
        expect(mains, f"{group.name} has no main dataset, only {sorted(found)}")
        attributes = {name: attribute(group, name) for name in group.attrs}
        return {"group": group.name, **state(group), "attributes": attributes, "datasets": found}


def state(group):
    """What the group itself says of its completeness."""
    status = group.get("completed_positions")
    last_pixel = group.attrs.get("last_pixel")
    return {
        "completed": None if status is None else int(np.sum(status[()], dtype=np.int64)),
        "positions": None if status is None else status.shape[0],
        "status_dtype": None if status is None else str(status.dtype),
        "status_sha256": None if status is None else digest(status),
        "last_pixel": None if last_pixel is None else int(last_pixel),
    }


def describe(item, with_values):
    with contextlib.redirect_stdout(sys.stderr):
        is_main = bool(check_if_main(item, verbose=True))
    told = {"main": is_main, "shape": item.shape, "dtype": str(item.dtype), "sha256": digest(item)}
    if item.dtype.kind in "fc":
        told["nan"] = int(np.count_nonzero(np.isnan(item[()])))
    if with_values and item.dtype.kind in "fiu":
        told["values"] = [None if value != value else value for value in item[()].ravel().tolist()]
    if is_main:
        main = pyUSID.USIDataset(item)
        told.update(
            quantity=main.attrs["quantity"],
            units=main.attrs["units"],
            pos_dims=main.pos_dim_descriptors,
            pos_labels=main.pos_dim_labels,
            pos_sizes=main.pos_dim_sizes,
            spec_dims=main.spec_dim_descriptors,
            spec_labels=main.spec_dim_labels,
            spec_sizes=main.spec_dim_sizes,
            n_dim_shape=main.get_n_dim_form(lazy=True).shape,
            ancillary={
                name: main.file[main.attrs[name]].name
                for name in ("Position_Indices", "Position_Values", "Spectroscopic_Indices", "Spectroscopic_Values")
            },
        )
    return told


def attribute(item, name):
    """The value of an attribute and its type in the file; a reference as the path it leads to."""
    kind = item.attrs.get_id(name).get_type()
    names = {h5py.h5t.INTEGER: "integer", h5py.h5t.FLOAT: "float", h5py.h5t.ENUM: "enum"}
    names[h5py.h5t.REFERENCE] = "reference"
    text = names.get(kind.get_class(), "other")
    if kind.get_class() == h5py.h5t.STRING:
        length = "variable" if kind.is_variable_str() else "fixed"
        text = f"{length} {'UTF-8' if kind.get_cset() == h5py.h5t.CSET_UTF8 else 'ASCII'} string"
    value = item.attrs[name]
    if isinstance(value, h5py.Reference):
        value = item.file[value].name
    elif isinstance(value, bytes):
        value = value.decode()
    elif isinstance(value, np.ndarray):
        value = [entry.decode() if isinstance(entry, bytes) else entry for entry in value.tolist()]
    elif isinstance(value, np.generic):
        value = value.item()
    return {"value": value, "type": text, "bytes": kind.get_size(), "shape": item.attrs.get_id(name).shape}


def digest(dataset):
    """SHA-256 of the values as they lie in memory, row by row."""
    return hashlib.sha256(np.ascontiguousarray(dataset[()]).tobytes()).hexdigest()


def expect(condition, message):
    if not condition:
        sys.exit(f"usid.py: {message}")


def command_line():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)

    command = commands.add_parser("write", help="a scan, written by pyUSID")
    command.add_argument("file")
    command.add_argument("--rows", type=int, default=4)
    command.add_argument("--cols", type=int, default=5)
    command.add_argument("--bins", type=int, default=119)
    command.add_argument("--type", choices=["f32", "c64"], default="f32")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--dataset", default=RAW_DATA)
    command.set_defaults(action=write)

    command = commands.add_parser("run", help="a pyUSID Process over a file")
    command.add_argument("file")
    command.add_argument("process", choices=PROCESSES)
    command.add_argument("--dataset", default=RAW_DATA)
    command.add_argument("--parameters", default="{}", metavar="JSON", help="those that differ from the defaults")
    command.add_argument("--batch", type=int, help="positions per batch")
    command.add_argument("--kill-after", type=int, metavar="N", help="SIGKILL itself when N batches are done")
    command.add_argument("--kill-at", choices=["compute", "write"], default="compute",
                         help="before the next batch is computed, or when its results are written but not flushed")
    command.add_argument("--look", action="store_true", help="only report what pyUSID finds")
    command.add_argument("--override", action="store_true", help="compute afresh whatever is there")
    command.add_argument("--use", metavar="GROUP", help="resume this group, named as in its parent")
    command.add_argument("--target", metavar="FILE[:GROUP]", help="results go to this file")
    command.set_defaults(action=run)

    command = commands.add_parser("mark", help="rewrite a group's record of completed positions")
    command.add_argument("file")
    command.add_argument("group")
    command.add_argument("--status", metavar="N|none", help="the first N positions are done, or no status dataset")
    command.add_argument("--last-pixel", metavar="N|none", help="the attribute last_pixel, or none of it")
    command.set_defaults(action=mark)

    command = commands.add_parser("check", help="open results with pyUSID and describe them")
    command.add_argument("file")
    command.add_argument("group")
    command.add_argument("names", nargs="*", metavar="DATASET", help="these must be main datasets")
    command.add_argument("--values", action="store_true", help="with the values of real datasets, NaN as null")
    command.set_defaults(action=check)
    return parser.parse_args()


def main():
    options = command_line()
    with contextlib.redirect_stdout(sys.stderr):
        told = options.action(options)
    json.dump(told, sys.stdout)
    print()


if __name__ == "__main__":
    main()
