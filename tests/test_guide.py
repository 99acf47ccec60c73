"""docs/guide.md and the example that it explains are one: the same code, which runs and prints what the guide says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
GUIDE = (ROOT / "docs" / "guide.md").read_text()
EXAMPLE = ROOT / "examples" / "twenty_minute_guide.py"


def test_every_code_block_of_the_guide_stands_in_the_example():
    blocks = re.findall(r"```python\n(.*?)```", GUIDE, flags=re.DOTALL)
    assert len(blocks) >= 10
    for block in blocks:
        assert block in EXAMPLE.read_text(), block


@pytest.mark.slow
def test_the_example_runs_and_prints_what_the_guide_shows(tmp_path):
    command = [sys.executable, EXAMPLE, "--work-dir", tmp_path, "--epochs", "1"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    assert result.returncode == 0, result.stderr
    (shown,) = re.findall(r"```text\n(.*?)```", GUIDE, flags=re.DOTALL)
    assert shown in result.stdout
    assert re.search(r"epoch 0: loss [\d.]+, \{'acc/top1': [\d.]+\}", result.stdout)
    assert "best: {'metric': 'acc/top1'" in result.stdout
