"""Rates and momenta of whole runs: the same wherever a run stopped and resumed."""

import os
import signal
from contextlib import nullcontext

import pytest
from toy_run import run_config

from kinema.engine import Hook, Runner

pytestmark = pytest.mark.slow  # trains many small networks

BATCHES = 4  # an epoch


class Settings(Hook):
    """Note rate and momentum of every batch, and ask the run to stop when so many batches are done."""

    def __init__(self, stop_at=None):
        self.stop_at = stop_at
        self.seen = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.seen.append([(group["lr"], group["momentum"]) for group in runner.optim_wrapper.param_groups])
        if runner.progress.iteration + 1 == self.stop_at:
            os.kill(os.getpid(), signal.SIGTERM)


def train(work_dir, stops, **changes):
    """Rate and momentum of the groups at every batch of a training that stops at each of `stops`."""
    seen = []
    for stop in (*stops, None):
        hook = Settings(stop)
        runner = Runner.from_cfg(run_config(work_dir, resume=True, custom_hooks=[hook], **changes))
        with pytest.raises(KeyboardInterrupt) if stop else nullcontext():
            runner.train()
        seen += hook.seen
    return seen


OVERLAPPING = [
    dict(type="LinearLR", start_factor=0.1, end=1.5, convert_to_iter_based=True),
    dict(type="CosineAnnealingLR", eta_min=0.01),
    dict(type="LinearMomentum", start_factor=0.5, end=2, convert_to_iter_based=True),
]


@pytest.mark.parametrize("stops", [[1], [3, BATCHES, BATCHES + 1], [2 * BATCHES + 3]])
def test_a_resumed_run_has_the_rates_of_a_whole_one(tmp_path, stops):
    rules = dict(optimizer=dict(type="SGD", lr=0.1, momentum=0.9), paramwise_cfg=dict(bias_lr_mult=2.0))
    whole = train(tmp_path / "whole", [], optim_wrapper=rules, param_scheduler=OVERLAPPING)
    assert train(tmp_path / "parts", stops, optim_wrapper=rules, param_scheduler=OVERLAPPING) == whole
    assert [group[0] for group in whole[0]] == pytest.approx([0.01, 0.02])
    assert [group[1] for group in whole[-1]] == pytest.approx([0.9, 0.9])


def test_a_resumed_run_knows_the_plateau_that_it_was_on(tmp_path):
    plateau = dict(type="ReduceOnPlateauLR", monitor="acc/top1", rule="greater", threshold=2.0, patience=1, factor=0.5)
    options = dict(epochs=5, param_scheduler=plateau)
    whole = train(tmp_path / "whole", [], **options)
    assert train(tmp_path / "parts", [BATCHES + 2, 2 * BATCHES, 3 * BATCHES + 1], **options) == whole
    assert [whole[epoch * BATCHES][0][0] for epoch in range(5)] == pytest.approx([0.1, 0.1, 0.1, 0.05, 0.05])


def test_a_training_by_iterations_gives_schedules_their_length(tmp_path):
    linear = dict(type="LinearLR", start_factor=0.5, by_epoch=False)
    seen = train(
        tmp_path, [], train_cfg=dict(type="IterBasedTrainLoop", max_iters=6, val_interval=6), param_scheduler=linear
    )
    assert [groups[0][0] for groups in seen] == pytest.approx([0.05, 0.06, 0.07, 0.08, 0.09, 0.1])
