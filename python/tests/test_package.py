"""The package as it is installed."""

import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pixelmill as pm
import pytest
from conftest import ROOT
from pixelmill import _errors, _pixelmill


def test_no_symbol_of_hdf5_is_visible() -> None:
    nm = shutil.which("nm")
    assert nm is not None
    listed = subprocess.run([nm, "-D", "--defined-only", _pixelmill.__file__], capture_output=True, text=True)
    defined = [line.split()[-1] for line in listed.stdout.splitlines()]
    assert listed.returncode == 0 and defined == ["PyInit__pixelmill"]
    all_symbols = subprocess.run([nm, "-D", _pixelmill.__file__], capture_output=True, text=True).stdout
    assert not re.search(r"\bH5[A-Z]", all_symbols), "HDF5 is taken from elsewhere"


def test_types_and_stubs_are_right() -> None:
    folder = Path(pm.__file__).parent
    assert (folder / "py.typed").is_file()
    config = str(ROOT / "python/pyproject.toml")
    for command in (
        ["mypy", "--config-file", config, "-p", "pixelmill"],
        ["mypy.stubtest", "--mypy-config-file", config, "pixelmill._pixelmill"],
    ):
        ran = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, cwd="/")
        assert ran.returncode == 0, ran.stdout + ran.stderr


def test_everything_public_has_a_docstring() -> None:
    for name in pm.__all__:
        value = getattr(pm, name)
        if not callable(value):
            continue
        assert value.__doc__ and not value.__doc__.startswith(f"{name}("), name
        for member, of in inspect.getmembers(value if inspect.isclass(value) else None):
            is_own = inspect.isfunction(of) or isinstance(of, property)
            if is_own and not member.startswith("_") and member in vars(value):
                assert of.__doc__, f"{name}.{member}"


def test_every_error_of_the_engine_has_a_class() -> None:
    text = (ROOT / "core/src/error.rs").read_text()
    variants = text.split("pub enum Error {")[1].split("\n}\n")[0]
    kinds = set(re.findall(r"^    ([A-Z]\w+) \{", variants, re.MULTILINE))
    assert len(kinds) > 50 and kinds == set(_errors._CLASS_OF)


def test_it_is_imported_quickly() -> None:
    script = "import numpy, time; t = time.process_time(); import pixelmill; print(time.process_time() - t)"

    def seconds() -> float:
        return float(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout)

    assert min(seconds() for _ in range(5)) < 0.15


SLOW = """
    asyncio cloudpickle cupy dask dis email http h5py hyperspy importlib.metadata IPython libertem matplotlib mpi4py
    multiprocessing numba pandas scipy sidpy site subprocess tqdm unittest urllib.request xarray
"""


def test_what_takes_its_time_is_imported_when_it_is_needed() -> None:
    script = "import sys, numpy; before = set(sys.modules); import pixelmill; print(*set(sys.modules) - before)"
    # What `site` imports, of others' files beside the packages, isn't known before.
    script = f"import sys; sys.path[:] = {sys.path!r}; {script}"
    ran = subprocess.run([sys.executable, "-S", "-c", script], capture_output=True, text=True, check=True)
    assert not set(SLOW.split()) & set(ran.stdout.split())


@pytest.mark.parametrize("first", ["h5py", "pixelmill"])
def test_it_lives_beside_another_hdf5(first: str, line_scan: Path) -> None:
    second = "pixelmill" if first == "h5py" else "h5py"
    script = f"""
import sys, {first}, {second}
with h5py.File(sys.argv[1]) as file:
    scan = pixelmill.open(sys.argv[1])
    dataset = file[scan.dataset]
    assert (scan[10, 20] == dataset[10 * 64 + 20]).all()
    assert (scan.region(63) == dataset[63 * 64:].reshape(scan.region(63).shape)).all()
scan.run("peak-finding", positions="0:4", progress=False)
with h5py.File(sys.argv[1], "a") as file:
    file["more"] = [1, 2]
"""
    subprocess.run([sys.executable, "-c", script, line_scan], check=True)
