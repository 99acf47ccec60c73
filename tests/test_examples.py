"""The scripts in `examples/` run as their first lines say."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from kinema.datasets.synthetic import make_motion_dataset

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.slow
def test_a_script_without_a_runner_trains_and_resumes_exactly(tmp_path) -> None:
    clips = make_motion_dataset(tmp_path / "clips", num_train=24, num_val=8, num_frames=16, size=(32, 32))

    def run(*options):
        command = [sys.executable, EXAMPLES / "train_without_runner.py", clips.train_list, clips.root, work]
        subprocess.run([*map(str, command), *options], check=True, timeout=900, capture_output=True)
        steps = [json.loads(line)["step"] for line in (work / "metrics.jsonl").read_text().splitlines()]
        return steps, load_file(work / "checkpoints" / "step_00000018" / "model.safetensors")

    work = tmp_path / "work"
    whole_steps, whole = run()
    shutil.rmtree(work / "checkpoints" / "step_00000018")  # what is left is of step 10, inside an epoch
    steps, resumed = run("--resume")
    assert steps == whole_steps
    assert all((resumed[name] == value).all() for name, value in whole.items())


def test_the_script_without_a_runner_is_short() -> None:
    lines = (EXAMPLES / "train_without_runner.py").read_text(encoding="utf-8").split('"""', 2)[2].splitlines()
    code = [line for line in lines if line and not line.startswith(("import", "from"))]
    assert len(code) <= 30
