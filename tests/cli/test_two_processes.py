"""`torchrun -m kinema train` as a newcomer types it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from kinema.datasets.synthetic import make_motion_dataset

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def run(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, timeout=900)


@pytest.mark.slow
def test_two_processes_train_and_one_resumes(tmp_path: Path) -> None:
    clips = make_motion_dataset(tmp_path / "clips", num_train=16, num_val=7, num_frames=8, size=(32, 32))
    work = tmp_path / "work"
    settings = ["--work-dir", work, "--batch-size", 4, "--workers", 0, "--device", "cpu"]
    two = run(*TORCHRUN, "-m", "kinema", "train", clips.root, *settings, "--epochs", 1, "--strategy", "ddp")
    assert two.returncode == 0, two.stderr
    assert two.stdout.count("Trained in") == 1
    assert two.stderr.count("epoch 1  validation") == 1

    one = run(sys.executable, "-m", "kinema", "train", clips.root, *settings, "--epochs", 2, "--resume")
    assert one.returncode == 0, one.stderr
    assert "was saved by 2 processes, now there are 1" in one.stderr
    lines = [json.loads(line) for line in (work / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["split"] == "val"] == [2, 6]  # 2 steps of 8 clips, 4 steps of 4


@pytest.mark.slow
def test_an_error_of_both_processes_is_shown_once(tmp_path: Path) -> None:
    shown = run(*TORCHRUN, "-m", "kinema", "train", tmp_path / "nowhere")
    assert shown.returncode == 1
    assert shown.stderr.count("nowhere: there is no such file or folder") == 1
