"""What the documentation shows: both columns print the same, and the notebooks run."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import hyperspy.api as hs
import nbformat
import numpy as np
import pixelmill as pm
import pytest
from conftest import ROOT
from nbclient import NotebookClient

PAGE = ROOT / "docs/from-python.md"
NOTEBOOKS = sorted((ROOT / "docs/notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the page takes."""
    folder = tmp_path_factory.mktemp("files")
    shutil.copy(ROOT / "data/be_line_scan_64x64.h5", folder / "scan.h5")
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:32, :32] - 15.5
    counts = np.empty((12, 16, 32, 32), np.uint16)
    for row, column in np.ndindex(12, 16):
        distance = np.hypot(y - 2 * np.sin(row / 3), x - 2 * np.cos(column / 4))
        counts[row, column] = rng.poisson(20.0 * (distance < 7) + 2 * np.exp(-((distance - 11) ** 2)) + 0.1)
    hs.signals.Signal2D(counts).save(folder / "frames.hspy")
    return folder


def columns(section: str) -> tuple[str, str]:
    """Their code and ours, of a section of the page."""
    text = PAGE.read_text().split(f"\n## {section}\n")[1].split("\n## ")[0]
    blocks = [block.split("```")[0] for block in text.split("```python\n")[1:]]
    return "\n".join(blocks[::2]), "\n".join(blocks[1::2])


def printed(script: str, python: Path | str, files: Path, folder: Path) -> list[str]:
    """What a script prints, which has the files for itself."""
    shutil.copytree(files, folder)
    (folder / "script.py").write_text(script)
    command = [str(python), "-W", "ignore", "script.py"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout.splitlines()


@pytest.mark.parametrize("section", ["pyUSID", "HyperSpy", "LiberTEM"])
def test_both_columns_print_the_same(files: Path, tmp_path: Path, section: str) -> None:
    theirs, ours = columns(section)
    # pyUSID takes an older NumPy, and tells what it does between what is printed.
    python = ROOT / ".venv/tests/bin/python" if section == "pyUSID" else sys.executable
    their_lines = printed(theirs, python, files, tmp_path / "theirs")
    our_lines = printed(ours, sys.executable, files, tmp_path / "ours")
    assert len(our_lines) == ours.count("print(")
    assert [line for line in their_lines if line in our_lines] == our_lines, (their_lines, our_lines)


def test_what_else_the_page_says(files: Path, tmp_path: Path) -> None:
    theirs, ours = columns("pyUSID")
    our_lines = printed(ours, sys.executable, files, tmp_path / "ours")
    on_ours = "from pixelmill.usid import Process\n" + theirs.replace("usid.Process", "Process")
    assert printed(on_ours, ROOT / ".venv/tests/bin/python", files, tmp_path / "theirs")[-1] == our_lines[-1]
    opens = "import h5py, pyUSID\nprint(pyUSID.USIDataset(h5py.File('scan.h5')[{!r}]).get_n_dim_form().shape)"
    scan = pm.open(tmp_path / "ours/scan.h5")
    (group,) = [group["group"] for group in json.loads(pm._pixelmill.info(scan.file))["groups"]]
    script = tmp_path / "ours/opens.py"
    script.write_text(opens.format(f"{group}/highest"))
    python = ROOT / ".venv/tests/bin/python"
    ran = subprocess.run([python, "-W", "ignore", script.name], cwd=script.parent, capture_output=True, text=True)
    assert ran.stdout.splitlines()[-1] == "(64, 64, 1)", ran
    sums = pm.open(shutil.copy(files / "frames.hspy", tmp_path / "frames.hspy")).run("sum", progress=False)
    loaded = hs.load(sums.file)
    assert np.array_equal(loaded.data, sums["Sum"][:])


def pictures(notebook: Any) -> int:
    """How many pictures a notebook has drawn, which are kept where `PIXELMILL_PICTURES` says."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return sum("image/png" in output.get("data", {}) for output in outputs)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_run_and_draw(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert not pictures(notebook) and all(cell.get("execution_count") is None for cell in notebook.cells)
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(path.parent)}})
    client.execute()
    assert pictures(notebook) == {"hyperspy": 7, "libertem": 4, "pyusid": 4}[path.stem]
    kept = os.environ.get("PIXELMILL_PICTURES")
    if kept:
        nbformat.write(notebook, Path(kept) / path.name)
