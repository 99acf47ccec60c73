"""Loops that override what MMEngine's users override: who validates, and where a training stops."""

from pathlib import Path
from typing import Any

import pytest
import torch
from toy_run import run_config

from kinema.engine import EpochBasedTrainLoop, Hook, IterBasedTrainLoop, Runner, ValLoop
from kinema.training.base_loop import BaseLoop
from kinema.training.priorities import Priority, get_priority


class RunsItself(EpochBasedTrainLoop):
    """Validates behind every second epoch."""

    def run(self) -> Any:
        self.runner.call_hook("before_train")
        while self._epoch < self._max_epochs and not self.stop_training:
            self.run_epoch()
            if self._epoch % 2 == 0:
                self.runner.val_loop.run()
        self.runner.call_hook("after_train")
        return self.runner.model


class RunsOurs(EpochBasedTrainLoop):
    def run(self) -> Any:
        return super().run()


class TakesBatches(IterBasedTrainLoop):
    def run(self) -> None:
        self.runner.call_hook("before_train")
        while self._iter < self._max_iters:
            self.run_iter(next(self.dataloader_iterator))
        self.runner.call_hook("after_train")


class Counts(Hook):
    def __init__(self, stop_at: int = -1) -> None:
        self.validated: list[int] = []
        self.stop_at = stop_at

    def before_val(self, runner: Any) -> None:
        self.validated.append(runner.iter)

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        if runner.iter + 1 == self.stop_at:
            runner.stop("enough")


class StopsEpoch(Counts):
    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        runner.train_loop.stop_training = True


def trained(work_dir: Path, hook: Hook, **changes: Any) -> Runner:
    runner = Runner.from_cfg(run_config(work_dir, custom_hooks=[hook], **changes))
    runner.train()
    return runner


def test_a_loop_that_validates_itself_is_not_validated_twice(tmp_path: Path) -> None:
    counts = Counts()
    runner = trained(tmp_path, counts, train_cfg=dict(type=RunsItself, max_epochs=4))
    assert counts.validated == [8, 16]
    assert [entry["epoch"] for entry in runner.history] == [2, 4]
    assert runner.progress.best["epoch"] in (2, 4)
    assert runner.store.pointed("best") is not None
    assert not runner.is_training


def test_a_loop_that_calls_our_run_is_validated_by_the_hook(tmp_path: Path) -> None:
    counts = Counts()
    trained(tmp_path, counts, train_cfg=dict(type=RunsOurs, max_epochs=2))
    assert counts.validated == [4, 8]


def test_a_loop_may_take_batches_one_by_one(tmp_path: Path) -> None:
    counts = Counts()
    runner = trained(tmp_path, counts, train_cfg=dict(type=TakesBatches, max_iters=6))
    assert (runner.iter, runner.progress.step, counts.validated) == (6, 6, [])


def test_a_training_that_is_stopped_inside_an_epoch_is_not_validated_once_more(tmp_path: Path) -> None:
    counts = Counts(stop_at=6)
    runner = trained(tmp_path, counts)
    assert (runner.iter, counts.validated) == (6, [4])


def test_stop_training_ends_an_epoch_based_loop_behind_its_epoch(tmp_path: Path) -> None:
    stops = StopsEpoch()
    runner = trained(tmp_path / "epochs", stops)
    assert (runner.iter, stops.validated) == (4, [4])
    runner = trained(tmp_path / "batches", StopsEpoch(), train_cfg=dict(max_iters=6))
    assert runner.iter == 1


def test_parts_of_a_runner_are_built_at_their_first_use(tmp_path: Path) -> None:
    runner = Runner.from_cfg(run_config(tmp_path, param_scheduler=dict(type="StepLR", step_size=1)))
    assert isinstance(runner._train_loop, dict)
    assert isinstance(runner.optim_wrapper, dict)
    assert isinstance(runner.param_schedulers, dict)
    loop = runner.train_loop
    assert isinstance(loop, EpochBasedTrainLoop)
    assert isinstance(loop, BaseLoop)
    assert (loop.max_epochs, loop.max_iters, loop.epoch, loop.iter) == (3, 12, 0, 0)
    wrapper = runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner.train()
    assert runner.train_loop is loop
    assert runner.optim_wrapper is wrapper
    assert isinstance(runner.param_schedulers, list)
    for build in ("model", "optim_wrapper", "evaluator", "train_loop", "val_loop", "log_processor", "visualizer"):
        with pytest.raises(TypeError, match=rf"{build}\b.* (should|must) be"):
            getattr(runner, f"build_{build}")("text")


def test_a_validation_calls_run_iter_of_a_subclass(tmp_path: Path) -> None:
    class Own(ValLoop):
        def run_iter(self, idx: int, data_batch: Any) -> None:
            seen.append(idx)
            super().run_iter(idx, data_batch)

    seen: list[int] = []
    runner = Runner.from_cfg(run_config(tmp_path, val_cfg=dict(type=Own, fp16=True)))
    kinds: list[torch.dtype] = []
    runner.model.layers.register_forward_hook(lambda module, inputs, outputs: kinds.append(outputs.dtype))
    assert "acc/top1" in runner.val()
    assert seen == [0, 1, 2]
    assert set(kinds) == {torch.bfloat16}


def test_priorities_have_names_and_numbers() -> None:
    assert [get_priority(given) for given in (7, "very_low", Priority.LOW)] == [7, 90, 70]
    with pytest.raises(ValueError, match="priority must be from 0 to 100, got 101"):
        get_priority(101)
    with pytest.raises(ValueError, match="priority must be a number or one of HIGHEST, .*, got 'late'"):
        get_priority("late")
    with pytest.raises(TypeError, match=r"priority must be a number, a name or a Priority, got 1\.5"):
        get_priority(1.5)  # type: ignore[arg-type]
