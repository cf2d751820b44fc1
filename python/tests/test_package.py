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


@pytest.mark.parametrize("module", ["h5py", "IPython", "cloudpickle"])
def test_what_is_optional_is_imported_when_it_is_needed(module: str) -> None:
    script = f"import sys, pixelmill; sys.exit({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
