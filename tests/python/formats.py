"""Writes files of N-dimensional formats with the formats' own libraries, and reads what pixelmill wrote with them.

    formats.py write KIND FILE                   a small scan of this kind, see KINDS below
    formats.py write-all FOLDER                  one of each kind; what is to be known of them, by kind
    formats.py check LISTING                     all the checks below that a JSON list names, each as its arguments
    formats.py check-hspy FILE                   all signals, as HyperSpy loads them, at once and lazily
    formats.py check-nsid FILE                   all main datasets, as pyNSID finds and reads them
    formats.py check-scales FILE DATASET         labels and dimension scales, as h5py sees them
    formats.py check-values FILE DATASET         shape and values, as h5py reads them
    formats.py check-sums FILE DATASET AXES      the sums along these axes, by NumPy
    formats.py check-libertem FILE DATASET N     the sum over the last N axes, by LiberTEM
    formats.py kinds                             the names of all kinds

What a test needs to know comes as one JSON object on standard output; what the libraries print goes to standard
error. A failed expectation ends the program with a message and exit code 1.
"""

import argparse
import contextlib
import json
import logging
import sys
import warnings

warnings.filterwarnings("ignore")

import h5py
import numpy as np

POSITION, SPECTRUM, UNKNOWN = "position", "spectrum", "unknown"


class Axis:
    """One axis as the file is to tell it."""

    def __init__(self, name, units, values, role):
        self.name, self.units, self.values, self.role = name, units, np.asarray(values, float), role

    def even(self):
        """First value and step."""
        step = self.values[1] - self.values[0] if len(self.values) > 1 else 1.0
        return float(self.values[0]), float(step)


def row(length=4, role=POSITION):
    return Axis("Y", "um", 0.5 * np.arange(length), role)


def column(length=5, role=POSITION):
    return Axis("X", "um", 10 + 0.25 * np.arange(length), role)


def energy(length=16, role=SPECTRUM):
    return Axis("Energy", "eV", 100 + 2.0 * np.arange(length), role)


def detector(name, length, role=SPECTRUM):
    return Axis(name, "1/nm", -1 + 0.5 * np.arange(length), role)


def values_for(axes, kind=np.float32):
    """Numbers whose sums are exact."""
    shape = [len(axis.values) for axis in axes]
    return np.random.default_rng(sum(shape)).integers(0, 4096, shape).astype(kind) / kind(4)


def told(path, axes, data, quantity="", units=""):
    """What a test is to find in the file."""
    spectrum = tuple(number for number, axis in enumerate(axes) if axis.role == SPECTRUM)
    decided = all(axis.role != UNKNOWN for axis in axes)
    positions = [number for number, axis in enumerate(axes) if axis.role == POSITION]
    report = {
        "dataset": path,
        "shape": data.shape,
        "dtype": str(data.dtype),
        "quantity": quantity,
        "units": units,
        "position_axes": positions if decided else None,
        "spectrum_axes": list(spectrum) if decided else None,
        "axes": [
            {
                "name": axis.name,
                "units": axis.units,
                "first": float(axis.values[0]),
                "last": float(axis.values[-1]),
                "length": len(axis.values),
                "role": axis.role,
            }
            for axis in axes
        ],
    }
    if decided and data.dtype.kind in "fiu":
        report["sums"] = data.sum(axis=spectrum, dtype=np.float64).ravel().tolist()
    return report


# NSID


def write_nsid(name, axes, data_type, folder="Measurement_000/Channel_000"):
    def write(path):
        import pyNSID.io.hdf_io
        import sidpy

        data = values_for(axes)
        dataset = sidpy.Dataset.from_array(data, title=name)
        dataset.data_type, dataset.quantity, dataset.units = data_type, "Current", "nA"
        dataset.modality, dataset.source = "IV", "simulation"
        types = {POSITION: "SPATIAL", UNKNOWN: "UNKNOWN"}
        for number, axis in enumerate(axes):
            kind = types.get(axis.role, "RECIPROCAL" if axis.units == "1/nm" else "SPECTRAL")
            dimension = sidpy.Dimension(axis.values, axis.name, f"{axis.name} value", axis.units, kind)
            dataset.set_dimension(number, dimension)
        with h5py.File(path, "w") as file:
            main = pyNSID.io.hdf_io.write_nsid_dataset(dataset, file.require_group(folder))
            return told(main.name, axes, data, "Current", "nA")

    return write


def write_nsid_root(path):
    """Everything in the root group, which no group is around."""
    report = KINDS["nsid"](path)
    with h5py.File(path, "r+") as file:
        group = file[report["dataset"]].parent
        for name in list(group):
            file.move(f"{group.name}/{name}", name)
        del file["Measurement_000"]
    return {**report, "dataset": "/scan"}


def write_nsid_ascii(path):
    """The same with every text an ASCII string of fixed length, and lower-case types, as older software has it."""
    report = KINDS["nsid"](path)

    def rewrite(_, item):
        for name, value in item.attrs.items():
            if isinstance(value, str):
                value = value.lower() if name == "dimension_type" else value
                item.attrs[name] = np.bytes_(value)

    with h5py.File(path, "r+") as file:
        file.visititems(rewrite)
    return report


# HyperSpy


def write_hspy(axes, lists=()):
    def write(path):
        import hyperspy.api as hs

        data = values_for(axes)
        signal_axes = sum(axis.role == SPECTRUM for axis in axes)
        described = []
        for number, axis in enumerate(axes):
            offset, scale = axis.even()
            one = {"name": axis.name, "units": axis.units, "navigate": axis.role == POSITION}
            even = {"offset": offset, "scale": scale, "size": len(axis.values)}
            described.append({**one, **({"axis": axis.values} if number in lists else even)})
        kind = {1: hs.signals.Signal1D, 2: hs.signals.Signal2D}[signal_axes]
        signal = kind(data, axes=described)
        signal.metadata.General.title = "scan"
        signal.metadata.Signal.quantity = "Intensity (Counts)"
        signal.save(path, overwrite=True, file_format="HSPY")
        return told("/Experiments/scan/data", axes, data, "Intensity", "Counts")

    return write


def write_hspy_old(path):
    """As HyperSpy 1.0 wrote it: no axis says whether it navigates, the metadata says `record_by`."""
    report = KINDS["hspy"](path)
    with h5py.File(path, "r+") as file:
        file.attrs["file_format_version"] = "2.2"
        signal = file["Experiments/scan"]
        for number in range(3):
            axis = signal[f"axis-{number}"]
            for name in ("navigate", "_type", "is_binned"):
                axis.attrs.pop(name, None)
        signal["metadata/Signal"].attrs["record_by"] = "spectrum"
        for name in ("package", "package_version"):
            signal.attrs.pop(name, None)
        if "attributes" in signal:
            del signal["attributes"]
    return report


def write_hspy_functional(path):
    """An axis by an expression, whose values the file doesn't have."""
    import hyperspy.api as hs

    axes = [row(), column(), Axis("Energy", "eV", 1240 / (101 + 2 * np.arange(16)) + 10, SPECTRUM)]
    data = values_for(axes)
    signal = hs.signals.Signal1D(
        data,
        axes=[
            *({"name": axis.name, "units": axis.units, "navigate": True, "offset": axis.even()[0],
               "scale": axis.even()[1], "size": len(axis.values)} for axis in axes[:2]),
            {"name": "Energy", "units": "eV", "navigate": False, "expression": "a / (x + 1) + b", "a": 1240, "b": 10,
             "x": {"size": 16, "offset": 100, "scale": 2}},
        ],
    )
    signal.metadata.General.title = "scan"
    signal.save(path, overwrite=True, file_format="HSPY")
    return told("/Experiments/scan/data", axes, data)


def write_hspy_ragged(path):
    import hyperspy.api as hs

    data = np.empty((2, 3), object)
    for number, index in enumerate(np.ndindex(data.shape)):
        data[index] = np.arange(number + 1.0)
    signal = hs.signals.BaseSignal(data, ragged=True)
    signal.metadata.General.title = "scan"
    signal.save(path, overwrite=True, file_format="HSPY")
    return {"dataset": "/Experiments/scan/data", "shape": data.shape, "ragged": True}


# EMD


def write_emd_ncem(path):
    from ncempy.io import emd

    axes = [row(role=UNKNOWN), column(role=UNKNOWN), energy(role=UNKNOWN)]
    axes[0].units = axes[1].units = "nm"
    data = values_for(axes)
    units = ["[n_m]", "[n_m]", "[eV]"]
    with emd.fileEMD(path, readonly=False) as file:
        group = file.put_emdgroup(
            "stack", data, tuple((axis.values, axis.name, unit) for axis, unit in zip(axes, units))
        )
        return told(f"{group.name}/data", axes, data)


def write_emd_py4dstem(path):
    """EMD 1.0, with py4DSTEM's class and names."""
    import emdfile

    class DataCube(emdfile.Array):
        pass

    axes = [Axis("Rx", "A", 0.5 * np.arange(4), POSITION), Axis("Ry", "A", 0.25 * np.arange(5), POSITION)]
    axes += [detector("Qx", 6), detector("Qy", 7)]
    data = values_for(axes)
    cube = DataCube(
        data,
        name="datacube",
        units="intensity",
        dims=[[axis.values[0], axis.values[1]] for axis in axes],
        dim_names=[axis.name for axis in axes],
        dim_units=[axis.units for axis in axes],
    )
    emdfile.save(path, cube, mode="o")
    found = []
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.append(item.name) if isinstance(item, h5py.Dataset) else None)
    (dataset,) = [name for name in found if name.endswith("/data")]
    return told(dataset, axes, data, units="intensity")


def write_velox(path):
    """By hand, after the files that Velox writes: no library does."""
    axes = [Axis("y", "m", 1e-9 * np.arange(6), POSITION), Axis("x", "m", 1e-9 * np.arange(7), POSITION)]
    axes.append(Axis("Time", "s", 0.5 * np.arange(5), SPECTRUM))
    data = np.round(values_for(axes)).astype(np.uint16)
    about = {
        "Core": {"MetadataDefinitionVersion": "7.9"},
        "Scan": {"FrameTime": "0.5", "ScanSize": {"width": "7", "height": "6"}},
        "BinaryResult": {
            "Offset": {"x": "0", "y": "0"},
            "PixelSize": {"width": "1e-09", "height": "1e-09"},
            "PixelUnitX": "m",
            "PixelUnitY": "m",
            "DetectorIndex": "0",
        },
        "Detectors": {"Detector-0": {"DetectorName": "HAADF"}},
    }
    text = json.dumps(about, indent=4).encode()
    metadata = np.zeros((4096, data.shape[2]), np.uint8)
    metadata[: len(text)] = np.frombuffer(text, np.uint8)[:, None]
    with h5py.File(path, "w") as file:
        file.create_dataset("Version", data=[json.dumps({"format": "Velox", "version": "6"})], dtype=h5py.string_dtype())
        image = file.create_group("Data/Image/7d37124c3fdb4093b74813e100bf5dc9")
        image.create_dataset("Data", data=data, chunks=(*data.shape[:2], 1))
        image.create_dataset("Metadata", data=metadata)
        return told(f"{image.name}/Data", axes, data)


# NeXus


def write_nexus(axes, interpretation=None):
    def write(path):
        from nexusformat.nexus import NXdata, NXentry, NXfield, NXroot

        data = values_for(axes)
        signal = NXfield(data, name="counts", units="cps", long_name="Count rate")
        if interpretation:
            signal.attrs["interpretation"] = interpretation
        fields = [NXfield(axis.values, name=axis.name, units=axis.units) for axis in axes]
        NXroot(NXentry(data=NXdata(signal, fields))).save(path, mode="w")
        return told("/entry/data/counts", axes, data, "Count rate", "cps")

    return write


def write_nexus_linked(plot):
    """The signal lies with the instrument, and the plottable group has a link to it."""

    def write(path):
        return write_linked(path, plot)

    return write


def write_linked(path, plot):
    from nexusformat.nexus import NXdata, NXdetector, NXentry, NXfield, NXinstrument, NXlink, NXroot

    axes = [row(), column(), energy()]
    data = values_for(axes)
    root = NXroot(NXentry(NXinstrument(NXdetector(name="detector"), name="instrument")))
    root.entry.instrument.detector.counts = NXfield(data, units="cps", interpretation="spectrum")
    signal = NXlink("/entry/instrument/detector/counts", name="counts")
    fields = [NXfield(axis.values, name=axis.name, units=axis.units) for axis in axes]
    root.entry[plot] = NXdata(signal, fields)
    root.save(path, mode="w")
    return told(f"/entry/{plot}/counts", axes, data, "counts", "cps")


def write_nexus_old(numbered):
    """The forms before 2014, which today's library doesn't write: the signal, or each axis, says what it is."""

    def write(path):
        axes = [row(role=UNKNOWN), column(role=UNKNOWN), energy(role=UNKNOWN)]
        data = values_for(axes)
        with h5py.File(path, "w") as file:
            file.create_group("entry").attrs["NX_class"] = np.bytes_("NXentry")
            group = file.create_group("entry/data")
            group.attrs["NX_class"] = np.bytes_("NXdata")
            counts = group.create_dataset("counts", data=data)
            counts.attrs["signal"] = np.int32(1)
            counts.attrs["units"] = np.bytes_("cps")
            if not numbered:
                counts.attrs["axes"] = np.bytes_(":".join(axis.name for axis in axes))
            for number, axis in enumerate(axes, 1):
                dataset = group.create_dataset(axis.name, data=axis.values)
                dataset.attrs["units"] = np.bytes_(axis.units)
                if numbered:
                    dataset.attrs["axis"] = np.int32(number)
                    dataset.attrs["primary"] = np.int32(1)
            return told(counts.name, axes, data, "counts", "cps")

    return write


# No format


def write_plain(path):
    axes = [Axis(f"axis {number}", "", np.arange(length), UNKNOWN) for number, length in enumerate((4, 5, 16))]
    data = values_for(axes)
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("scan/values", data=data)
        return told(dataset.name, axes, data, "values")


def write_plain_scales(path):
    axes = [row(role=UNKNOWN), column(role=UNKNOWN), energy(role=UNKNOWN)]
    data = values_for(axes)
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("scan/values", data=data)
        dataset.attrs.update(long_name="Intensity", units="counts")
        for number, axis in enumerate(axes):
            scale = file.create_dataset(f"scan/{axis.name}", data=axis.values)
            scale.attrs["units"] = axis.units
            scale.make_scale(axis.name)
            dataset.dims[number].attach_scale(scale)
        return told(dataset.name, axes, data, "Intensity", "counts")


def write_text(path):
    data = [[f"{row} {column}" for column in range(3)] for row in range(2)]
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("notes", data=data, dtype=h5py.string_dtype())
        return {"dataset": dataset.name, "shape": dataset.shape, "text": True}


KINDS = {
    "nsid": write_nsid("scan", [row(), column(), energy()], "spectral_image"),
    "nsid-ascii": write_nsid_ascii,
    "nsid-top": write_nsid("scan", [row(), column(), energy()], "spectral_image", "/"),
    "nsid-root": write_nsid_root,
    "nsid-image": write_nsid("scan", [row(), column()], "image"),
    "nsid-spectra-first": write_nsid("scan", [energy(), row(), column()], "spectral_image"),
    "nsid-4d": write_nsid("scan", [row(), column(), detector("kx", 6), detector("ky", 7)], "image_4d"),
    "hspy": write_hspy([row(), column(), energy()]),
    "hspy-4d": write_hspy([row(), column(), detector("ky", 6), detector("kx", 7)]),
    "hspy-1nav": write_hspy([column(20), energy()]),
    "hspy-old": write_hspy_old,
    "hspy-uneven": write_hspy([row(), column(), Axis("Energy", "eV", np.arange(1.0, 17) ** 2, SPECTRUM)], lists=(2,)),
    "hspy-uneven-rows": write_hspy([Axis("Y", "um", [0, 1, 3, 7], POSITION), column(), energy()], lists=(0,)),
    # Whose spectra make several chunks of results.
    "hspy-large": write_hspy([row(), column(), energy(60_000)]),
    "hspy-functional": write_hspy_functional,
    "hspy-ragged": write_hspy_ragged,
    "emd-ncem": write_emd_ncem,
    "emd-py4dstem": write_emd_py4dstem,
    "velox": write_velox,
    "nexus": write_nexus([row(), column(), energy()], "spectrum"),
    "nexus-image": write_nexus([row(), column(), detector("ky", 6), detector("kx", 7)], "image"),
    "nexus-bare": write_nexus([row(role=UNKNOWN), column(role=UNKNOWN), energy(role=UNKNOWN)]),
    "nexus-linked": write_nexus_linked("data"),
    "nexus-linked-late": write_nexus_linked("plot"),
    "nexus-old": write_nexus_old(numbered=False),
    "nexus-oldest": write_nexus_old(numbered=True),
    "plain": write_plain,
    "plain-scales": write_plain_scales,
    "text": write_text,
}


def write(options):
    return {"kind": options.kind, **KINDS[options.kind](options.file)}


def write_all(options):
    """All files in one process: importing the libraries takes longer than writing."""
    reports = {}
    for kind, write_kind in KINDS.items():
        path = f"{options.folder}/{kind}.{'hspy' if kind.startswith('hspy') else 'h5'}"
        reports[kind] = {"kind": kind, "file": path, **write_kind(path)}
    return reports


# What pixelmill, or anybody, wrote


def listed(values):
    """Values for JSON: NaN and infinities as null, complex numbers as pairs, records field by field."""
    values = np.asarray(values)
    if values.dtype.names:
        return {name: listed(values[name]) for name in values.dtype.names}
    if values.dtype.kind == "c":
        return {"real": listed(values.real), "imag": listed(values.imag)}
    return [value if value == value and abs(value) != np.inf else None for value in values.ravel().tolist()]


def signal_axis(axis):
    report = {"name": plain(axis.name), "units": plain(axis.units), "size": axis.size, "index": axis.index_in_array}
    report.update(uniform=axis.is_uniform, navigate=axis.navigate)
    if axis.is_uniform:
        report.update(scale=axis.scale, offset=axis.offset)
    report.update(first=float(axis.axis[0]), last=float(axis.axis[-1]))
    return report


def plain(value):
    """Text as it is; what HyperSpy has for none of it as null."""
    return value if isinstance(value, str) and value != "<undefined>" else None


def check(options):
    with open(options.listing) as listing:
        wanted = [command_line(arguments) for arguments in json.load(listing)]
    return [one.action(one) for one in wanted]


class Warned(logging.Handler):
    """Keeps what a library warns of."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.messages = []

    def emit(self, record):
        self.messages.append(record.getMessage())


def check_hspy(options):
    import hyperspy.api as hs

    def report(signal):
        data = signal.data
        chunks = getattr(data, "chunks", None)
        if signal._lazy:
            data = data.compute()
        signal_axes = [axis.index_in_array for axis in signal.axes_manager.signal_axes]
        about = {
            "title": signal.metadata.General.title,
            "class": type(signal).__name__,
            "signal_type": signal.metadata.get_item("Signal.signal_type"),
            "quantity": signal.metadata.get_item("Signal.quantity"),
            # HyperSpy lists the fastest axis first.
            "navigation": [signal_axis(axis) for axis in signal.axes_manager.navigation_axes[::-1]],
            "signal": [signal_axis(axis) for axis in signal.axes_manager.signal_axes[::-1]],
            "shape": data.shape,
            "dtype": str(data.dtype),
            "lazy": signal._lazy,
            "chunks": chunks,
            "metadata": signal.metadata.as_dictionary(),
            "sums": listed(data.sum(axis=tuple(signal_axes), dtype=np.float64)) if data.dtype.kind in "fiu" else None,
        }
        return {**about, "values": listed(data)} if options.values else about

    reports = {}
    warned = Warned()
    logging.getLogger("hyperspy").addHandler(warned)
    for name, lazy in (("eager", False), ("lazy", True)):
        signals = hs.load(options.file, lazy=lazy, reader="HSPY")
        signals = signals if isinstance(signals, list) else [signals]
        reports[name] = [report(signal) for signal in signals]
    logging.getLogger("hyperspy").removeHandler(warned)
    reports["warnings"] = warned.messages
    return json.loads(json.dumps(reports, default=str))


def check_nsid(options):
    from pyNSID.io.hdf_utils import check_if_main, get_all_main, read_h5py_dataset

    reports = {}
    with h5py.File(options.file, "r") as file:
        names = options.datasets or [dataset.name for dataset in get_all_main(file)]
        for name in names:
            expect(name in file, f"{options.file} has no dataset {name}")
            main = bool(check_if_main(file[name], verbose=True))
            reports[name] = {"main": main}
            if not main:
                continue
            dataset = read_h5py_dataset(file[name])
            reports[name].update(
                shape=dataset.shape,
                quantity=dataset.quantity,
                units=dataset.units,
                data_type=dataset.data_type.name,
                modality=dataset.modality,
                source=dataset.source,
                title=dataset.title,
                axes=[
                    {
                        "name": axis.name,
                        "quantity": axis.quantity,
                        "units": axis.units,
                        "type": axis.dimension_type.name,
                        "length": len(axis),
                        "first": float(axis.values[0]),
                        "last": float(axis.values[-1]),
                    }
                    for axis in dataset._axes.values()
                ],
            )
            if options.values:
                reports[name]["values"] = listed(file[name][()])
    return reports


def check_scales(options):
    with h5py.File(options.file, "r") as file:
        expect(options.dataset in file, f"{options.file} has no dataset {options.dataset}")
        dataset = file[options.dataset]
        axes = []
        for number, length in enumerate(dataset.shape):
            dimension = dataset.dims[number]
            scales = [
                {
                    "name": name,
                    "path": scale.name,
                    "is_scale": bool(scale.is_scale),
                    "length": scale.size,
                    "units": text(scale.attrs.get("units", "")),
                    "back": [
                        [file[reference].name, int(axis)] for reference, axis in scale.attrs.get("REFERENCE_LIST", [])
                    ],
                    "values": listed(scale[()]) if scale.dtype.kind in "fiu" else None,
                }
                for name, scale in dimension.items()
            ]
            axes.append({"label": dimension.label, "length": length, "scales": scales})
        return {"dataset": dataset.name, "shape": dataset.shape, "axes": axes}


def check_values(options):
    with h5py.File(options.file, "r") as file:
        expect(options.dataset in file, f"{options.file} has no dataset {options.dataset}")
        dataset = file[options.dataset]
        return {"shape": dataset.shape, "values": listed(dataset[()])}


def check_sums(options):
    axes = tuple(json.loads(options.axes))
    with h5py.File(options.file, "r") as file:
        values = file[options.dataset][()].astype(np.float64)
    return {"sums": listed(values.sum(axis=axes)), "sums_of_sizes": listed(np.abs(values).sum(axis=axes))}


def text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


def check_libertem(options):
    import libertem.api
    from libertem.udf.sumsigudf import SumSigUDF

    with libertem.api.Context.make_with("inline") as context:
        data = context.load("hdf5", path=options.file, ds_path=options.dataset, sig_dims=options.signal_axes)
        sums = context.run_udf(dataset=data, udf=SumSigUDF())["intensity"].data
        return {
            "navigation": tuple(data.shape.nav),
            "signal": tuple(data.shape.sig),
            "dtype": str(np.dtype(data.dtype)),
            "sums": listed(sums),
        }


def kinds(_):
    return list(KINDS)


def expect(condition, message):
    if not condition:
        sys.exit(f"formats.py: {message}")


def write_single(options):
    """One spectrum of a Gaussian, with the variance of its noise as a signal of its own, by HyperSpy."""
    import hyperspy.api as hs

    path = f"{options.folder}/single.hspy"
    energy = np.arange(200) * 0.05 - 1.0
    axes = [{"name": "E", "size": 200, "scale": 0.05, "offset": -1.0, "units": "eV", "navigate": False}]
    signal = hs.signals.Signal1D(np.exp(-0.5 * ((energy - 4) / 0.5) ** 2), axes=axes)
    signal.set_noise_variance(hs.signals.Signal1D(np.ones(200), axes=axes))
    signal.save(path, overwrite=True)
    return {"file": path}


def check_single(options):
    """What HyperSpy loads of the results for one spectrum."""
    import hyperspy.api as hs

    loaded = hs.load(options.file)
    loaded = loaded if isinstance(loaded, list) else [loaded]
    with h5py.File(options.file) as file:
        records = [dataset for group in file.values() for dataset in group.values()
                   if isinstance(dataset, h5py.Dataset) and "centre [eV]" in (dataset.dtype.names or ())]
        centre = float(records[0]["centre [eV]"][0])
    (chi_square,) = (signal for signal in loaded if signal.metadata.General.title.endswith("Chi_Square"))
    return {"centre": centre, "shape": list(chi_square.data.shape)}


def command_line(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)

    command = commands.add_parser("write", help="a small scan, written by the format's library")
    command.add_argument("kind", choices=KINDS)
    command.add_argument("file")
    command.set_defaults(action=write)

    command = commands.add_parser("write-all", help="a small scan of each kind")
    command.add_argument("folder")
    command.set_defaults(action=write_all)

    command = commands.add_parser("single", help="a single spectrum")
    command.add_argument("folder")
    command.set_defaults(action=write_single)

    command = commands.add_parser("single-results", help="what was fitted to it")
    command.add_argument("file")
    command.set_defaults(action=check_single)

    command = commands.add_parser("check", help="many checks at once")
    command.add_argument("listing", help="a JSON list of lists of arguments")
    command.set_defaults(action=check)

    command = commands.add_parser("check-values", help="what h5py reads")
    command.add_argument("file")
    command.add_argument("dataset")
    command.set_defaults(action=check_values)

    command = commands.add_parser("check-sums", help="sums along axes, by NumPy")
    command.add_argument("file")
    command.add_argument("dataset")
    command.add_argument("axes", help="a JSON list of numbers")
    command.set_defaults(action=check_sums)

    command = commands.add_parser("check-hspy", help="load a file with HyperSpy")
    command.add_argument("file")
    command.add_argument("--values", action="store_true", help="with all values, NaN as null")
    command.set_defaults(action=check_hspy)

    command = commands.add_parser("check-nsid", help="read main datasets with pyNSID")
    command.add_argument("file")
    command.add_argument("datasets", nargs="*", metavar="DATASET", help="these, main or not; all main ones if none")
    command.add_argument("--values", action="store_true", help="with all values, NaN as null")
    command.set_defaults(action=check_nsid)

    command = commands.add_parser("check-scales", help="what h5py says of a dataset's axes")
    command.add_argument("file")
    command.add_argument("dataset")
    command.set_defaults(action=check_scales)

    command = commands.add_parser("check-libertem", help="the sum over the last axes, by LiberTEM")
    command.add_argument("file")
    command.add_argument("dataset")
    command.add_argument("signal_axes", type=int)
    command.set_defaults(action=check_libertem)

    command = commands.add_parser("kinds", help="the names of all kinds")
    command.set_defaults(action=kinds)
    return parser.parse_args(arguments)


def main():
    options = command_line()
    with contextlib.redirect_stdout(sys.stderr):
        told = options.action(options)
    json.dump(told, sys.stdout)
    print()


if __name__ == "__main__":
    main()
