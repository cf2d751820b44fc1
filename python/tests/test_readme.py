"""The examples of the README and of the page about the package, run as they stand there."""

import subprocess
import sys
from pathlib import Path

from conftest import ROOT


def blocks() -> list[str]:
    """The Python of the README's section for it, and that of the page, which goes on from there."""
    section = (ROOT / "README.md").read_text().split("\n## From Python\n")[1].split("\n## ")[0]
    text = section + (ROOT / "docs/python.md").read_text()
    return [block.split("```")[0] for block in text.split("```python\n")[1:]]


def test_the_examples_run(line_scan: Path) -> None:
    script = line_scan.with_name("examples.py")
    script.write_text("\n".join(blocks()))
    ran = subprocess.run([sys.executable, script], cwd=line_scan.parent, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "Deflection [V]" in ran.stdout and "V 0.00" in ran.stdout and "Raw_Data-Peak_Finding_000 {}" in ran.stdout
    assert " existing\n" in ran.stdout and ran.stdout.endswith("V True ['without']\n") and len(blocks()) == 5
