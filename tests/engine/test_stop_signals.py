"""A run that is asked to stop finishes its step, saves, and resumes as if nothing had happened."""

import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from toy_run import run_config

from kinema.engine import Hook, Runner

HERE = Path(__file__).parent
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1]


class SendAt(Hook):
    """Sends this process a signal, at an iteration of the training or of the validation after it."""

    def __init__(self, number, iteration, point="before_train_iter"):
        self.number, self.iteration, self.point = number, iteration, point

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.send(runner, "before_train_iter")

    def before_val_iter(self, runner, batch_idx, data_batch=None):
        self.send(runner, "before_val_iter")

    def send(self, runner, point):
        if (point, runner.iter) == (self.point, self.iteration):
            os.kill(os.getpid(), self.number)


def train(work_dir, **changes):
    optim = dict(optimizer=dict(type="SGD", lr=0.1, momentum=0.9), accumulative_counts=2)
    runner = Runner.from_cfg(run_config(work_dir, optim_wrapper=optim, **changes))
    runner.train()
    return runner


def lines(work_dir):
    entries = [json.loads(line) for line in (work_dir / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in entry.items() if key != "seconds"} for entry in entries]


@pytest.mark.parametrize(
    ("number", "iteration", "point", "step"),
    [
        (signal.SIGINT, 0, "before_train_iter", 1),
        (signal.SIGTERM, 4, "before_train_iter", 3),
        (signal.SIGUSR1, 5, "before_train_iter", 3),
        (signal.SIGTERM, 4, "before_val_iter", 2),
    ],
)
def test_a_stopped_run_resumes_exactly(tmp_path, caplog, number, iteration, point, step) -> None:
    whole = train(tmp_path / "whole")
    with caplog.at_level(logging.WARNING, logger="kinema"), pytest.raises(KeyboardInterrupt) as stop:
        train(tmp_path / "cut", custom_hooks=[SendAt(number, iteration, point)])
    assert stop.value.args == (number,)
    assert (tmp_path / "cut" / "checkpoints" / "last").read_text() == f"step_{step:08d}\n"
    assert json.loads((tmp_path / "cut" / "summary.json").read_text())["steps"] == step
    if point == "before_train_iter":
        assert f"{signal.Signals(number).name}: saving at step {step}, then stopping" in caplog.text
    torch.rand(5)
    resumed = train(tmp_path / "cut", resume=True)
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, resumed.model.state_dict()[name]), name
    assert lines(tmp_path / "cut") == lines(tmp_path / "whole")


def test_a_checkpoint_that_only_a_signal_asked_for_is_there_until_the_next(tmp_path) -> None:
    hooks = dict(checkpoint=dict(interval=3, by_epoch=False, max_keep_ckpts=3))
    changes = dict(epochs=4, default_hooks=hooks, optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1)))

    def run(name, **more):
        Runner.from_cfg(run_config(tmp_path / name, **changes, **more)).train()

    def names(name):
        return sorted(str(path.relative_to(tmp_path / name)) for path in (tmp_path / name).rglob("*"))

    run("whole")
    for iteration in (6, 7, 10, 12):
        with pytest.raises(KeyboardInterrupt):
            run("cut", custom_hooks=[SendAt(signal.SIGTERM, iteration)], resume=True)
        assert f"checkpoints/step_{iteration + 1:08d}/complete.json" in names("cut")
        assert f"iter_{iteration + 1}.pth" not in names("cut")
    run("cut", resume=True)
    assert names("cut") == names("whole")


def test_a_second_interrupt_leaves_at_once(tmp_path) -> None:
    class Twice(Hook):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            if runner.iter == 5:
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, custom_hooks=[Twice()])
    assert (tmp_path / "checkpoints" / "last").read_text() == "step_00000002\n"


def test_the_signals_are_as_before_when_a_run_is_over(tmp_path) -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    train(tmp_path, epochs=1)
    assert [signal.getsignal(number) for number in SIGNALS] == before


@pytest.mark.slow
def test_a_signal_to_any_process_stops_all_at_the_same_step(tmp_path) -> None:
    def run(*options):
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        return subprocess.run(
            [*command, HERE / "torchrun_stop_signals.py", tmp_path, *options],
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )

    stopped = run("1")
    assert stopped.returncode == 0, stopped.stderr
    assert json.loads((tmp_path / "ranks.json").read_text()) == [[15, 3, "interrupted"]] * 2
    assert stopped.stderr.count("SIGTERM: saving at step 3, then stopping") == 1
    assert (tmp_path / "checkpoints" / "last").read_text() == "step_00000003\n"
    resumed = run("none")
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads((tmp_path / "ranks.json").read_text()) == [[None, 6, "done"]] * 2
