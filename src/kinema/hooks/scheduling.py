"""Learning rate and momentum before every batch."""

from collections.abc import Mapping
from typing import Any

from kinema.errors import ConfigError
from kinema.hooks.hook import Hook
from kinema.optim.schedules import Position, apply_schedules
from kinema.registry import HOOKS
from kinema.training.run import Run


@HOOKS.register_module()
class ParamSchedulerHook(Hook):
    """Set learning rates and momenta to what the schedules say of this place of the training."""

    priority = "VERY_HIGH"

    def before_train(self, runner: Run) -> None:
        if runner.train_loop.epoch_length is None and any(
            getattr(schedule, "convert_to_iter_based", False) for schedule in runner.schedules
        ):
            raise ConfigError(
                "param_scheduler: convert_to_iter_based needs the batches of an epoch, but the training data has no"
                " length: give begin and end in batches, with by_epoch=False"
            )

    def before_train_iter(self, runner: Run, batch_idx: int, data_batch: Any = None) -> None:
        loop, progress = runner.train_loop, runner.progress
        position = Position(
            progress.epoch,
            progress.iteration,
            loop.epoch_length,
            max_epochs=loop.until.epochs,
            max_steps=None if loop.until.epochs else runner.max_iters or None,
        )
        apply_schedules(runner.schedules, runner.train_step.optim_wrapper, position)  # type: ignore[union-attr]

    def after_val_epoch(self, runner: Run, metrics: Mapping[str, float] | None = None) -> None:
        if runner.is_training:
            for schedule in runner.schedules:
                if hasattr(schedule, "observe"):
                    schedule.observe(metrics or {})
