"""Files that tests compute on."""

import importlib.util
import shutil
import signal
from pathlib import Path

import h5py
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
# Those tests are for a Python that has the packages which are used beside this one.
collect_ignore = [] if importlib.util.find_spec("libertem") else ["peers"]


@pytest.fixture(autouse=True)
def hears_ctrl_c() -> None:
    """Whoever runs the tests in the background doesn't let them hear it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def line_scan(tmp_path: Path) -> Path:
    """Complex spectra in an h5USID file, 64 × 64 positions with 119 points."""
    return Path(shutil.copy(ROOT / "data/be_line_scan_64x64.h5", tmp_path / "scan.h5"))


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """Frames in a plain file, chunked and compressed: 6 × 8 positions with 10 × 12 points."""
    path = tmp_path / "frames.h5"
    values = np.random.default_rng(1).integers(0, 1000, (6, 8, 10, 12), np.uint16)
    with h5py.File(path, "w") as file:
        file.create_dataset("frames", data=values, chunks=(2, 3, 10, 12), compression="gzip")
        file["dark"] = np.linspace(0, 1, 120, dtype=np.float32).reshape(10, 12)
    return path


def rewritten(path: Path, positions: int, chunks: tuple[int, int] | None = None) -> None:
    """Makes the line scan one that ends before its grid is full, or is chunked."""
    with h5py.File(path, "r+") as file:
        group = file["Measurement_000/Channel_000"]
        raw, tables = group["Raw_Data"], ("Position_Indices", "Position_Values")
        kept = {name: (group[name][:positions], dict(group[name].attrs)) for name in ("Raw_Data", *tables)}
        for name, (values, attributes) in kept.items():
            del group[name]
            group.create_dataset(name, data=values, chunks=chunks if name == "Raw_Data" else None)
            group[name].attrs.update(attributes)
        for name in tables:
            group["Raw_Data"].attrs[name] = group[name].ref


@pytest.fixture(scope="session")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames of floats in chunks, so many that there are six units: 24 × 32 positions with 16 × 128 points."""
    path = tmp_path_factory.mktemp("many") / "many.h5"
    values = np.random.default_rng(3).normal(size=(24, 32, 16, 128)).astype(np.float32)
    with h5py.File(path, "w") as file:
        file.create_dataset("frames", data=values, chunks=(4, 4, 8, 64), compression="lzf")
    return path


def values_of(path: Path, dataset: str) -> np.ndarray:
    """What h5py reads."""
    with h5py.File(path) as file:
        return file[dataset][()]
