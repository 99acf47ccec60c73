"""A run that is killed at any moment, again and again, ends with the weights and figures of one that is not."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

HERE = Path(__file__).parent
KILLS = 24


def run(work_dir, kills):
    command = [sys.executable, HERE / "killed_runs.py", work_dir, str(kills), "0"]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=1200)
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr, result.stderr
    return list(map(int, result.stdout.split()))


def figures(work_dir):
    lines = [json.loads(line) for line in (work_dir / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.slow
def test_a_run_that_is_killed_often_ends_as_one_that_is_not(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    run(whole, 0)
    hit, while_saving = run(killed, KILLS)
    assert hit > KILLS / 4
    assert while_saving > 0
    assert figures(killed) == figures(whole)
    assert names(killed) == names(whole)
    for name in ("step_00000156", "step_00000160"):
        expected = load_file(whole / "checkpoints" / name / "model.safetensors")
        actual = load_file(killed / "checkpoints" / name / "model.safetensors")
        assert all(torch.equal(actual[key], value) for key, value in expected.items())
