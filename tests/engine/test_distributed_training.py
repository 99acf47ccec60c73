import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.slow
def test_two_processes_train_one_model_and_write_one_set_of_files(tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    result = subprocess.run(
        [*command, HERE / "torchrun_training.py", tmp_path], capture_output=True, text=True, check=False, timeout=300
    )
    assert result.returncode == 0, result.stderr
    first, second = json.loads((tmp_path / "ranks.json").read_text())
    assert first == second
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["split"] == "train"] == [2, 4]  # half as many steps as one process
    assert len([line for line in lines if line["split"] == "val"]) == 2
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["epochs"], summary["steps"]) == (2, 4)
    assert (tmp_path / "checkpoints" / "last").read_text() == "step_00000004\n"
