import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torchrun_runs import config_of
from toy_run import same

from kinema.checkpoints.store import read_training_state
from kinema.engine import Runner
from kinema.parallel.shards import can_shard

HERE = Path(__file__).parent
needs_sharding = pytest.mark.skipif(not can_shard(torch.device("cpu")), reason="torch 2.6 shards models on GPUs only")


def on_two_processes(script: str, *arguments: object) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", HERE / script]
    run = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False, timeout=900)
    assert run.returncode == 0, run.stderr


def last_checkpoint(run: Path) -> Path:
    return run / "checkpoints" / (run / "checkpoints" / "last").read_text().strip()


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", pytest.param("fsdp2", marks=needs_sharding)])
def test_two_processes_resume_exactly_evaluate_as_one_and_resume_on_one(tmp_path: Path, strategy: str) -> None:
    """Dropout, accumulation that does not divide an epoch, averages, and an odd number of validation clips."""
    on_two_processes("torchrun_runs.py", tmp_path, strategy)
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert seen["strategy"] == strategy
    whole, parts = (last_checkpoint(tmp_path / name) for name in ("whole", "parts"))
    assert whole.name == parts.name == "step_00000006"
    assert same(load_file(whole / "model.safetensors"), load_file(parts / "model.safetensors"))
    states = [read_training_state(folder) for folder in (whole, parts)]
    for part in ("optimizer", "random", "raw", "history"):
        assert same(states[0][part], states[1][part]), part

    alone = Runner.from_cfg(config_of(tmp_path / "alone", "auto", epochs=1, load_from=str(whole)))
    assert [alone.val()] * 2 == seen["metrics"]

    resumed = Runner.from_cfg(config_of(tmp_path / "resumed", "auto", epochs=4, resume=True, load_from=str(whole)))
    resumed.train()
    assert (resumed.progress.epoch, resumed.progress.step) == (4, 6 + 3)  # 8 batches of 3 samples, in windows of 3


@pytest.mark.slow
def test_two_processes_train_one_model_and_write_one_set_of_files(tmp_path):
    on_two_processes("torchrun_training.py", tmp_path)
    first, second = json.loads((tmp_path / "ranks.json").read_text())
    assert first == second
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["split"] == "train"] == [2, 4]  # half as many steps as one process
    assert len([line for line in lines if line["split"] == "val"]) == 2
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["epochs"], summary["steps"]) == (2, 4)
    assert (tmp_path / "checkpoints" / "last").read_text() == "step_00000004\n"
