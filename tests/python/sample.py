"""The sample, changed."""

import h5py

from answer import answer

DATASET = "Measurement_000/Channel_000/Raw_Data"


def rechunk(path, rows, columns):
    """Rewrites the spectra in compressed chunks."""
    with h5py.File(path, "r+") as file:
        data, attributes = file[DATASET][()], dict(file[DATASET].attrs)
        del file[DATASET]
        chunks = (int(rows), int(columns))
        chunked = file.create_dataset(DATASET, data=data, chunks=chunks, compression="gzip", shuffle=True)
        chunked.attrs.update(attributes)


def main():
    answer(globals())


if __name__ == "__main__":
    main()
