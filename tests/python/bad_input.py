"""Files that can't be used, or only with some care, for `tests/bad_input.rs`."""

import h5py
import numpy as np

from answer import answer


def unreadable(path):
    """Datasets that nothing can read."""
    with h5py.File(path, "w") as file:
        space = h5py.h5s.create_simple((4, 8))
        creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        creation.set_chunk((2, 8))
        creation.set_filter(32013, h5py.h5z.FLAG_OPTIONAL, (1, 2))
        h5py.h5d.create(file.id, b"zfp", h5py.h5t.IEEE_F32LE, space, creation).write_direct_chunk(
            (0, 0), bytes(30)
        )
        layout = h5py.VirtualLayout((4, 8), "f4")
        layout[:2] = h5py.VirtualSource("gone.h5", "data", (2, 8))
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("text", data=np.array([["a", "b"]], dtype=object), dtype=h5py.string_dtype())
        file.create_dataset("cut", data=np.zeros((4, 0)))


def array(path):
    """A plain array of random numbers."""
    with h5py.File(path, "w") as file:
        file["d"] = np.random.default_rng(1).random((6, 5, 8)).astype("f4")


def offset_means(path, output, digest, mean):
    """Whether the means have an earlier result added, and that of position 17."""
    with h5py.File(path) as source, h5py.File(output) as results:
        digest, mean = results[digest + "/Digest"][()], results[mean + "/Mean"][()].reshape(6, 5)
        right = source["d"][()].astype("f8").mean(axis=2) + digest
        return [bool(np.allclose(mean, right, rtol=1e-5)), float(mean.ravel()[17])]


def main():
    answer(globals())


if __name__ == "__main__":
    main()
