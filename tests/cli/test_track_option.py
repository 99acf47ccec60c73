"""`kinema train --track`, and other options that are checked before the clips."""

import json

import pytest

from command_line import kinema
from kinema.datasets.synthetic import make_motion_dataset
from kinema.registry import VISBACKENDS


@VISBACKENDS.register_module(name="lines")
class Lines:
    def __init__(self, prefix="", wrong=None):
        self.lines, self.prefix = [], prefix

    def start(self, run):
        self.file = run.work_dir / f"{self.prefix}lines.json"
        self.lines.append(["start", run.name])

    def log(self, figures, step, split):
        self.lines.append([split, step])

    def finish(self, summary):
        self.file.write_text(json.dumps([*self.lines, ["finish", summary["state"]]]))

    def state_dict(self):
        return {}

    def load_state_dict(self, state): ...


def train(*arguments, cwd):
    options = ("--epochs", "1", "--batch-size", "8", "--workers", "0", "--work-dir", "work", "--seed", "0")
    return kinema("train", *arguments, *options, cwd=cwd)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    root = tmp_path_factory.mktemp("clips")
    return make_motion_dataset(root, num_train=16, num_val=8, num_frames=8, size=(32, 32)).train_list


def test_a_tracker_gets_the_figures_and_set_reaches_its_arguments(tmp_path, clips):
    done = train(clips, "--track", "lines", "--set", "trackers.0.prefix=my_", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "work" / "my_lines.json").read_text()) == [
        *(["start", "work"], ["train", 2], ["val", 2], ["finish", "finished"])
    ]


def test_a_tracker_that_there_is_not_is_one_line_before_anything_is_written(tmp_path, clips):
    done = train(clips, "--track", "tensorbord", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        "error: tensorbord is not in the tracker registry: did you mean tensor"
    )
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("command", ["train", "pretrain"])
@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--precision", "fp8", "precision must be auto, fp32, bf16, fp16, got 'fp8'"),
        ("--strategy", "dpp", "strategy='dpp' is no strategy of Kinema: there are auto, single, ddp, fsdp2"),
        ("--track", "tensorbord", "tensorbord is not in the tracker registry: did you mean tensorboard"),
    ],
)
def test_what_a_run_would_refuse_is_refused_before_the_clips_are_looked_over(command, option, value, message) -> None:
    done = kinema(command, "no_such_clips", option, value)
    assert done.stderr.startswith(f"error: {message}")
