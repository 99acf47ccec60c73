"""Stopping, profiling and test-time augmentation under a runner that is not Kinema's."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from kinema.compat.parts.hooks.profiling import ProfilerHook
from kinema.compat.parts.hooks.stopping import EarlyStoppingHook
from kinema.compat.parts.hooks.test_augmentation import PrepareTTAHook
from kinema.errors import ConfigError
from kinema.hooks import IterTimerHook
from kinema.runs.message_hub import MessageHub


def test_a_figure_that_is_missing_is_a_warning_or_an_error() -> None:
    runner = SimpleNamespace(is_training=True, train_loop=SimpleNamespace(stop_training=False), stop_reason=None)
    hook = EarlyStoppingHook("loss", min_delta=0.5, patience=1)
    assert hook.min_delta == -0.5
    hook.before_run(runner)
    with pytest.warns(UserWarning, match="EarlyStoppingHook: loss is no metric: there is acc"):
        hook.after_val_epoch(runner, {"acc": 1.0})
    with pytest.raises(ConfigError, match="'loss' is no metric: the validation has acc"):
        EarlyStoppingHook("loss", strict=True).after_val_epoch(runner, {"acc": 1.0})
    for value in (2.0, 1.6):
        hook.after_val_epoch(runner, {"loss": value})
    assert runner.train_loop.stop_training
    assert runner.stop_reason == "loss has not improved by 0.5 for 1 validations"
    runner.train_loop = object()
    with pytest.warns(UserWarning, match="EarlyStoppingHook: object has no stop_training"):
        hook.before_run(runner)


def test_another_runners_training_is_profiled_to_the_batch(tmp_path: Path) -> None:
    file = tmp_path / "traces" / "trace.json"
    hook = ProfilerHook(by_epoch=False, profile_times=2, json_trace_path=str(file))
    assert hook.activities == [torch.profiler.ProfilerActivity.CPU]
    runner = SimpleNamespace(max_epochs=1, max_iters=1, work_dir=tmp_path)
    with pytest.raises(ValueError, match="profile_times=2 is more than the iters of the training, 1"):
        hook.before_run(runner)
    runner.max_iters = 3
    hook.before_run(runner)
    for runner.iter in range(3):
        assert file.exists() == (runner.iter == 2)
        torch.ones(2).sum()
        hook.after_train_iter(runner, runner.iter)
    hook.after_train_epoch(runner)
    assert file.stat().st_size > 0
    assert callable(ProfilerHook(schedule={"wait": 1, "warmup": 1, "active": 1}).schedule)


def test_another_runner_tests_with_the_model_around_its_own() -> None:
    class Around(nn.Module):
        def __init__(self, module: nn.Module) -> None:
            super().__init__()
            self.module = module

    inner = nn.Linear(1, 1)
    runner = SimpleNamespace(model=nn.DataParallel(inner))
    PrepareTTAHook({"type": Around}).before_test(runner)
    assert type(runner.model) is Around
    assert runner.model.module is inner


def test_the_time_that_is_left_is_that_of_the_runners_loader() -> None:
    runner = SimpleNamespace(message_hub=MessageHub("left"), val_dataloader=range(10))
    hook = IterTimerHook()
    hook._before_epoch(runner, "val")  # type: ignore[arg-type]
    hook._after_iter(runner, 0, mode="val")  # type: ignore[arg-type]
    assert runner.message_hub.get_info("eta") == pytest.approx(9 * hook.time_sec_test_val)
