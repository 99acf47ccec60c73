"""Schedulers of the user's own in a config, as OpenMMLab's: they hold the optimizer and take a step."""

import os
import signal

import pytest
from toy_run import run_config

from kinema.engine import Hook, Runner
from kinema.registry import PARAM_SCHEDULERS

BATCHES = 4  # an epoch


@PARAM_SCHEDULERS.register_module()
class Saw:
    """Halves the rate in every second step or epoch."""

    def __init__(self, optimizer, by_epoch=True, end=None):
        self.optimizer, self.by_epoch, self.end, self.taken = optimizer, by_epoch, end, 0
        self.base = optimizer.param_groups[0]["lr"]

    def step(self):
        self.taken += 1
        self.optimizer.param_groups[0]["lr"] = self.base * (0.5 if self.taken % 2 else 1.0)

    def state_dict(self):
        return {"taken": self.taken}

    def load_state_dict(self, state):
        self.taken = state["taken"]


@PARAM_SCHEDULERS.register_module()
class Metrical(Saw):
    """Sets the rate to the last accuracy."""

    need_val_args = True

    def step(self, metrics):
        self.optimizer.param_groups[0]["lr"] = 1e-3 + metrics["acc/top1"]


class Rates(Hook):
    """Note the rate of every batch, and ask the run to stop when so many batches are done."""

    def __init__(self, stop_at=None):
        self.stop_at, self.seen = stop_at, []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.seen.append(runner.optim_wrapper.get_lr()["lr"][0])

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.progress.iteration + 1 == self.stop_at:
            os.kill(os.getpid(), signal.SIGTERM)


def ready(tmp_path, schedule, stop_at=None, **changes):
    rates = Rates(stop_at)
    wrapper = dict(optimizer=dict(type="SGD", lr=0.1))
    config = run_config(tmp_path, epochs=2, optim_wrapper=wrapper, custom_hooks=[rates], **changes)
    return Runner.from_cfg({**config, "param_scheduler": schedule}), rates.seen


def test_they_step_by_batch_or_epoch_until_the_end_of_the_training(tmp_path):
    runner, seen = ready(tmp_path / "a", dict(type="Saw", by_epoch=False))
    runner.train()
    assert seen == [0.1, 0.05] * BATCHES
    assert runner.param_schedulers[0].end == 2 * BATCHES
    runner, seen = ready(tmp_path / "b", [dict(type=Saw), dict(type="ConstantLR", factor=0.1, end=1)])
    runner.train()
    assert seen == pytest.approx([0.01] * BATCHES + [0.05] * BATCHES)
    assert runner.param_schedulers[0].end == 2


def test_they_continue_where_a_run_was_stopped(tmp_path):
    runner, before = ready(tmp_path, dict(type="Saw", by_epoch=False), stop_at=3)
    with pytest.raises(KeyboardInterrupt):
        runner.train()
    runner, after = ready(tmp_path, dict(type="Saw", by_epoch=False), resume=True)
    runner.train()
    assert before + after == [0.1, 0.05] * BATCHES


def test_those_that_follow_metrics_step_behind_a_validation(tmp_path):
    runner, seen = ready(tmp_path, dict(type="Metrical"))
    runner.train()
    assert seen[:BATCHES] == [0.1] * BATCHES
    assert seen[BATCHES:] == [1e-3 + runner.history[0]["val"]["acc/top1"]] * BATCHES
