"""Scans to be drawn, for `tests/plot.rs` and `tests/show.rs`."""

import h5py
import numpy as np

from answer import answer


def noiseless(path, dataset):
    """Makes the first spectrum an oscillator without noise."""
    with h5py.File(path, "r+") as file:
        w = file["Measurement_000/Channel_000/Spectroscopic_Values"][0].astype(float)
        w0, q = 331e3, 40
        file[dataset][0] = 3e-5 * np.exp(0.4j) * w0**2 / (w**2 - 1j * w * w0 / q - w0**2)


def slow_axis(path, dataset):
    """Gives the spectra a second, slower axis."""
    with h5py.File(path, "r+") as file:
        channel = file["Measurement_000/Channel_000"]
        for name in ("Spectroscopic_Indices", "Spectroscopic_Values"):
            fast, old = np.tile(np.arange(17), 7), channel[name]
            slow, attributes = np.repeat(np.arange(7), 17), dict(old.attrs)
            table = np.array([fast, slow])
            if name.endswith("Values"):
                table = np.array([3e5 + 1e3 * fast, 0.5 * slow])
            dtype = old.dtype
            del channel[name]
            new = channel.create_dataset(name, data=table.astype(dtype))
            for key in attributes:
                new.attrs[key] = attributes[key]
            new.attrs["labels"] = np.array([b"Frequency", b"Bias"])
            new.attrs["units"] = np.array([b"Hz", b"V"])
            file[dataset].attrs[name] = new.ref

def map_of(path, dataset, completed):
    """The values of a map that are computed and finite, and NumPy's percentiles of them."""
    with h5py.File(path) as file:
        values = file[dataset][:, 0][: int(completed)].astype(float)
        finite = values[np.isfinite(values)]
        return [[None if np.isnan(value) else value for value in values], *np.percentile(finite, [2, 98])]


def frames(path):
    """Writes frames with a bright disk, and datasets of which there is little to see."""
    rows, columns = np.mgrid[:24, :32]
    with h5py.File(path, "w") as file:
        scan = np.empty((4, 5, 24, 32), "f4")
        for y in range(4):
            for x in range(5):
                scan[y, x] = 10.0 * ((rows - 10 - y) ** 2 + (columns - 14 - x) ** 2 <= 25)
        data = file.create_dataset("scan", data=scan)
        data.attrs["quantity"], data.attrs["units"] = "Intensity", "counts"
        axes = [("y", "nm", 0.5), ("x", "nm", 0.5), ("qy", "1/nm", 0.1), ("qx", "1/nm", 0.1)]
        for axis, (name, units, step) in enumerate(axes):
            scale = file.create_dataset(name, data=step * np.arange(scan.shape[axis]))
            scale.make_scale(name)
            scale.attrs["units"] = units
            data.dims[axis].label = name
            data.dims[axis].attach_scale(scale)
        file["text"] = np.array([b"a", b"b"])
        file["empty"] = np.zeros((0, 3))
        file["none"] = np.full((5, 6), np.nan)
        file["same"] = np.full((5, 6), 3.0)
        file["wave"] = np.exp(1j * np.arange(100) / 4)


def scattered(path):
    """Writes eight positions that are no grid, with a value each."""
    with h5py.File(path, "w") as file:
        places = np.array([[0, 0], [3, 1], [1, 2], [4, 3], [2, 4], [0, 5], [5, 1], [6, 6]])
        main = file.create_dataset("Raw_Data", data=np.arange(8.0)[:, None])
        main.attrs["quantity"], main.attrs["units"] = "Height", "m"
        tables = {
            "Position_Indices": (places, "u4"),
            "Position_Values": (places * 0.5, "f4"),
            "Spectroscopic_Indices": ([[0]], "u4"),
            "Spectroscopic_Values": ([[0]], "f4"),
        }
        for name, (values, dtype) in tables.items():
            table = file.create_dataset(name, data=np.array(values, dtype))
            is_positions = name.startswith("Position")
            table.attrs["labels"] = np.array([b"X", b"Y"] if is_positions else [b"None"])
            table.attrs["units"] = np.array([b"um", b"um"] if is_positions else [b""])
            main.attrs[name] = table.ref


def large(path):
    """Writes a scan of half a GiB, most of which is a hole in the file."""
    with h5py.File(path, "w") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        space = h5py.h5s.create_simple((2048, 2048, 32))
        h5py.h5d.create(file.id, b"scan", h5py.h5t.NATIVE_FLOAT, space, properties)
        map_space = h5py.h5s.create_simple((2048, 2048))
        h5py.h5d.create(file.id, b"map", h5py.h5t.NATIVE_FLOAT, map_space, properties)
        file["map"][:512] = 1.0


def main():
    answer(globals())


def alike(path):
    """A scan whose frames have as many rows and columns as it has itself, and one of three axes."""
    with h5py.File(path, "w") as file:
        file["frames"] = np.arange(5 * 6 * 5 * 6, dtype="f4").reshape(5, 6, 5, 6)
        file["stack"] = np.arange(3 * 4 * 5 * 2, dtype="f4").reshape(3, 4, 5, 2)


if __name__ == "__main__":
    main()
