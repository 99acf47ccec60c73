"""Learning rate and momentum before every batch."""

from collections.abc import Mapping
from typing import Any

from kinema.engine.hooks.hook import Hook
from kinema.engine.run import Run
from kinema.optim.schedules import Position, apply_schedules
from kinema.registry import HOOKS


@HOOKS.register_module()
class ParamSchedulerHook(Hook):
    """Set learning rates and momenta to what the schedules say of this place of the training."""

    priority = "VERY_HIGH"

    def before_train_iter(self, runner: Run, batch_idx: int, data_batch: Any = None) -> None:
        loop, progress = runner.train_loop, runner.progress
        position = Position(
            progress.epoch,
            progress.iteration,
            loop.batches_per_epoch,
            max_epochs=loop.until.epochs,
            max_steps=None if loop.until.epochs else runner.max_iters or None,
        )
        apply_schedules(runner.schedules, runner.train_step.optim_wrapper, position)  # type: ignore[union-attr]

    def after_val_epoch(self, runner: Run, metrics: Mapping[str, float] | None = None) -> None:
        if runner.is_training:
            for schedule in runner.schedules:
                if hasattr(schedule, "observe"):
                    schedule.observe(metrics or {})
