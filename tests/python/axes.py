"""Scans whose positions have several axes of values, and what NumPy says of parts of them."""

import h5py
import numpy as np

from answer import answer
from digest import digests

FREQUENCY, BIAS = 300000.0 + 1000.0 * np.arange(16), 0.5 * np.arange(5)


def values():
    """Positions × frequencies × biases, rows of positions before columns."""
    return np.random.default_rng(3).normal(size=(12, 16, 5)).astype("f4")


def order(kind):
    """The axes of the array by their numbers in position rows, position columns, frequencies, biases."""
    return {"transposed": (2, 1, 3, 0), "usid-slow-bias": (0, 1, 3, 2)}.get(kind, (0, 1, 2, 3))


AXES = (
    ("Y", "um", np.arange(3.0)),
    ("X", "um", np.arange(4.0)),
    ("Frequency", "Hz", FREQUENCY),
    ("Bias", "V", BIAS),
)


def write(path, kind):
    """A scan of one of the KINDS."""
    data = values().reshape(3, 4, 16, 5).transpose(order(kind))
    axes = [AXES[number] for number in order(kind)]
    with h5py.File(path, "w") as file:
        if kind.startswith("usid"):
            usid(file, data.reshape(12, -1), axes)
        elif kind == "hspy":
            hspy(file, data, axes)
        else:
            how = {} if kind == "transposed" else {"chunks": (2, 3, 5, 2), "compression": "gzip"}
            main = file.create_dataset("d", data=data, **how)
            for at, (name, units, steps) in enumerate(axes):
                scale = file.create_dataset(name, data=steps)
                scale.attrs["units"] = units
                scale.make_scale(name)
                main.dims[at].attach_scale(scale)


def usid(file, rows, axes):
    main = file.create_dataset("d", data=rows)
    main.attrs["quantity"], main.attrs["units"] = "Current", "nA"
    for name, two, is_table in (("Position", axes[:2], True), ("Spectroscopic", axes[2:], False)):
        steps = np.indices([len(axis[2]) for axis in two]).reshape(2, -1)
        listed = np.array([axis[2][of] for axis, of in zip(two, steps, strict=True)])
        for part, table in (("Indices", steps.astype("u4")), ("Values", listed.astype("f4"))):
            made = file.create_dataset(f"{name}_{part}", data=table.T if is_table else table)
            made.attrs["labels"] = np.array([axis[0] for axis in two], "S")
            made.attrs["units"] = np.array([axis[1] for axis in two], "S")
            main.attrs[f"{name}_{part}"] = made.ref


def hspy(file, data, axes):
    file.attrs["file_format"], file.attrs["file_format_version"] = "HyperSpy", "3.3"
    signal = file.create_group("Experiments/scan")
    signal.create_dataset("data", data=data, chunks=(1, 4, 16, 5), compression="gzip")
    for at, (name, units, steps) in enumerate(axes):
        signal.create_group(f"axis-{at}").attrs.update({
            "_type": "UniformDataAxis", "name": name, "units": units, "size": len(steps), "is_binned": name == "Bias",
            "offset": steps[0], "scale": steps[1] - steps[0], "navigate": at < 2, "index_in_array": at,
        })  # fmt: skip
    signal.create_group("metadata/General").attrs["title"] = "scan"
    signal.create_group("metadata/Signal").attrs["signal_type"] = ""


def numbered(path):
    """HyperSpy axes that are called by numbers which aren't theirs."""
    axes = [*AXES[:2], ("1", "V", np.arange(16.0)), ("0", "V", np.arange(5.0))]
    with h5py.File(path, "w") as file:
        hspy(file, values().reshape(3, 4, 16, 5), axes)


def uneven(path):
    """A scan each of whose frequencies has biases of its own."""
    write(path, "usid")
    with h5py.File(path, "r+") as file:
        table = file["Spectroscopic_Values"]
        table[1] = table[1] * (1 + np.arange(80) // 5)


def zero(path):
    """Channels whose zero is none, as NumPy counts them, an axis that turns back, and one step of another."""
    with h5py.File(path, "w") as file:
        main = file.create_dataset("d", data=np.ones((2, 21, 1), "f4") * np.arange(21, dtype="f4")[:, None])
        for at, (name, steps) in enumerate((("Y", [0.0, 1.0]), ("Bias", np.arange(-1, 1.05, 0.1)), ("One", [0.0]))):
            scale = file.create_dataset(name, data=steps)
            scale.attrs["units"] = "V"
            scale.make_scale(name)
            main.dims[at].attach_scale(scale)
            main.dims[at].label = name


def frames(path):
    """A map of frames in chunks, 4 × 4 of them a frame."""
    data = np.random.default_rng(4).normal(size=(4, 4, 32, 32)).astype("f4")
    with h5py.File(path, "w") as file:
        file.create_dataset("d", data=data, chunks=(2, 2, 8, 8), compression="gzip")


def compare(path, kind, results, group, part):
    """How many digests differ from those of the part, `FREQUENCIES,BIASES;ALONG`, and the axes of the results."""
    crop, _, along = part.partition(";")
    index = [
        int(text) if ":" not in text else slice(*(int(bound) if bound else None for bound in text.split(":")))
        for text in crop.split(",")
    ]
    # The axes that are left, in the order of the file.
    left = [number for number in order(kind) if number > 1 and not isinstance(index[number - 2], int)]
    named = {"Frequency": 2, "Bias": 3}
    along = [named[name] for name in along.split(",") if name] or left
    others = [number for number in left if number not in along]
    data = values().reshape(3, 4, 16, 5)[:, :, index[0] if isinstance(index[0], slice) else [index[0]]]
    data = data[:, :, :, index[1] if isinstance(index[1], slice) else [index[1]]]
    single = [number for number in (2, 3) if number not in along + others]
    data = data.transpose(0, 1, *single, *others, *along)
    spectra = data.reshape(12 * int(np.prod([data.shape[2 + len(single) + at] for at in range(len(others))])), -1)
    with h5py.File(results) as file:
        held = []
        file[group].visititems(lambda name, it: held.append(it) if name.rsplit("/", 1)[-1] in ("Digest", "data") else None)
        found = next(it for it in held if isinstance(it, h5py.Dataset))
        found, axes = found[()].astype(float).reshape(-1), labels(file, found)
    return {
        "different": int((found != digests(spectra)).sum()) if found.size == len(spectra) else -1,
        "axes": axes,
        "expected_axes": axes if axes is None else [AXES[number][0] for number in others],
    }


def labels(file, found):
    """The spectral axes of results, where the format names them."""
    if "Spectroscopic_Indices" not in found.attrs:
        return None
    labels = file[found.attrs["Spectroscopic_Indices"]].attrs["labels"]
    names = [label.decode() if isinstance(label, bytes) else label for label in np.atleast_1d(labels)]
    return [name for name in names if name in ("Frequency", "Bias")]


def main():
    answer(globals())


if __name__ == "__main__":
    main()
