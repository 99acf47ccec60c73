"""Hooks under MMEngine's names in a run of Kinema: their place, and when they act."""

import pytest
from toy_run import run_config

from kinema.compat.parts.runners import Runner
from kinema.hooks import Hook


class Rates(Hook):
    """Note the rate at the beginning of each batch, and behind its end."""

    def __init__(self):
        self.seen = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.seen.append(runner.optim_wrapper.get_lr()["lr"][0])

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.seen.append(runner.optim_wrapper.get_lr()["lr"][0])


def test_hooks_behind_the_schedules_see_the_rate_of_the_next_batch(tmp_path, shim):
    schedules = [dict(type="StepLR", step_size=1, gamma=0.5, by_epoch=False)]
    before, behind = Rates(), Rates()
    behind.priority = "VERY_LOW"
    config = run_config(tmp_path, epochs=1, param_scheduler=schedules, custom_hooks=[before, behind])
    runner = Runner.from_cfg(config)
    names = [type(hook).__name__ for hook in runner._hooks]
    assert names.index("LoggerHook") < names.index("ParamSchedulerHook") < names.index("CheckpointHook")
    runner.train()
    first = before.seen[0]
    assert before.seen == pytest.approx([first * 0.5**step for step in (0, 0, 1, 1, 2, 2, 3, 3)])
    assert behind.seen == pytest.approx([first * 0.5**step for step in (0, 1, 1, 2, 2, 3, 3, 3)])


def test_a_checkpoint_hook_without_interval_writes_the_last_file(tmp_path, shim):
    config = run_config(tmp_path, epochs=3, default_hooks=dict(checkpoint=dict(type="CheckpointHook")))
    Runner.from_cfg(config).train()
    assert [file.name for file in tmp_path.glob("epoch_*.pth")] == ["epoch_3.pth"]
    assert len(list((tmp_path / "checkpoints").glob("step_*"))) == 3
