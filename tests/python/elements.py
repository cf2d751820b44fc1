"""Element types beyond plain numbers, for `tests/elements.rs`."""

import h5py
import numpy as np

from answer import answer

SHAPE = (6, 5, 40)
RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])


def numbers(seed, shape=SHAPE):
    return np.random.default_rng(seed).integers(0, 200, shape)


def colours(path):
    """Frames of colours, a record with a text and one whose parts are a complex number."""
    data = np.empty(SHAPE, RGB)
    for seed, name in enumerate(RGB.names):
        data[name] = numbers(seed)
    with h5py.File(path, "w") as file:
        file["colours"] = data
        file["plain"] = numbers(7).astype("f4")
        named = np.zeros(SHAPE, [("label", "S4"), ("value", ">f8")])
        named["value"] = numbers(8) / 8
        file["named"] = named
        file["phases"] = numbers(9).astype("c8")


def sums(path, dataset, field, results, group):
    """Whether the sums of a group are those of a field."""
    with h5py.File(path) as file, h5py.File(results) as found:
        data = file[dataset][field].astype(float)
        return bool(np.array_equal(data.sum(axis=-1), found[group + "/Sum"][()]))


def bits(path, dataset):
    """The bits of a dataset."""
    with h5py.File(path) as file:
        return file[dataset][()].tobytes().hex()


def change(path, dataset, field):
    """Gives one field other values."""
    with h5py.File(path, "r+") as file:
        data = file[dataset][()]
        data[field] += 1
        file[dataset][...] = data


def longer(path):
    """Numbers that single precision, or double, doesn't have."""
    rng = np.random.default_rng(1)
    with h5py.File(path, "w") as file:
        for order in "<>":
            for name, data in {
                "f8": rng.normal(size=SHAPE) * 10.0 ** rng.integers(-30, 30, SHAPE),
                "i4": rng.integers(-(2**31), 2**31, SHAPE),
                "u4": rng.integers(0, 2**32, SHAPE),
                "i8": rng.integers(-(2**63), 2**63, SHAPE),
                "u8": rng.integers(0, 2**64, SHAPE, dtype="u8"),
                "f4": rng.normal(size=SHAPE),
            }.items():
                file[order + name] = data.astype(order + name)
        file["c16"] = rng.normal(size=SHAPE).astype("c16")


def first(path, dataset, group):
    """Whether the first values of a group have the bits of NumPy's conversion."""
    with h5py.File(path) as file:
        expected = file[dataset][..., 0].astype("f4")
        return bool(np.array_equal(expected.view("u4"), file[group + "/First"][()].view("u4")))


def doubles(path, dataset, group):
    """Whether sums are those of the numbers in double precision, added from the left, eight side by side."""
    with h5py.File(path) as file:
        data = file[dataset][()].astype("f8").reshape(*SHAPE[:2], -1, 8)
        side_by_side = np.zeros((*SHAPE[:2], 8))
        for part in range(data.shape[2]):
            side_by_side = side_by_side + data[:, :, part]
        total = np.zeros(SHAPE[:2])
        for lane in range(8):
            total = total + side_by_side[..., lane]
        return bool(np.array_equal(total, file[group + "/Sum"][()]))


def named(path):
    """Truth values and an enumeration, and nothing else."""
    with h5py.File(path, "w") as file:
        file["mask"] = numbers(1) > 100
    with h5py.File(path + ".enum", "w") as file:
        kind = h5py.enum_dtype({"OFF": -1, "ON": 1}, ">i4")
        file.create_dataset("state", data=numbers(2) % 2 * 2 - 1, dtype=kind)


def named_sums(path, group):
    with h5py.File(path + ".enum") as file:
        return bool(np.array_equal((numbers(2) % 2 * 2 - 1).sum(axis=-1), file[group + "/Sum"][()]))


def signal(path):
    """A signal of colours, as HyperSpy saves them."""
    import hyperspy.api as hs

    data = np.empty(SHAPE, RGB)
    for seed, name in enumerate(RGB.names):
        data[name] = numbers(seed)
    hs.signals.Signal1D(data).save(path)
    with h5py.File(path) as file:
        return {"dtype": str(file["Experiments/__unnamed__/data"].dtype)}


def array(path):
    """An array with values of its own along each axis."""
    with h5py.File(path, "w") as file:
        data = file.create_dataset("data", data=np.arange(np.prod(SHAPE)).reshape(SHAPE).astype("f4"))
        for number, (name, length) in enumerate(zip("yxe", SHAPE)):
            axis = file.create_dataset(name, data=np.cumsum(np.arange(length) % 3 + 0.5))
            axis.make_scale(name)
            data.dims[number].attach_scale(axis)


def places(path, axes, group):
    """Whether results hold where each position lies on two axes of an array."""
    axes = [int(axis) for axis in axes.split(",")]
    with h5py.File(path) as file:
        found = file[group]
        for which, axis in zip(("Slow", "Fast"), axes):
            shape = [SHAPE[axis] for axis in axes]
            steps = np.indices(shape)[axes.index(axis)]
            if not np.array_equal(found[which + "_Step"], steps) or not np.array_equal(found[which], file["yxe"[axis]][()][steps]):
                return False
        return True


def main():
    answer(globals())


if __name__ == "__main__":
    main()
