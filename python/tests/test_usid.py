"""Classes on pyUSID's Process, in the Python that has pyUSID, which needs older packages than the other tests."""

import ast
import os
import subprocess
from pathlib import Path

import pixelmill as pm
import pytest
from conftest import ROOT

SCENARIOS = Path(__file__).with_name("usid_scenarios.py")
# A function of it that takes nothing and returns nothing is a scenario, but for what it runs by itself.
NAMES = [
    node.name
    for node in ast.parse(SCENARIOS.read_text()).body
    if isinstance(node, ast.FunctionDef) and not node.args.args and node.name != "compute_slowly"
]


@pytest.mark.parametrize("name", NAMES)
def test_usid(name: str, tmp_path: Path) -> None:
    # The package alone: what lies beside it may be of another Python.
    (tmp_path / "package").mkdir()
    (tmp_path / "package/pixelmill").symlink_to(Path(pm.__file__).parent)
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "package")}
    command = [ROOT / ".venv/tests/bin/python", "-B", "-W", "ignore", SCENARIOS, name]
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
