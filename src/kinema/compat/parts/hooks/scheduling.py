"""`ParamSchedulerHook` in its place among OpenMMLab's hooks: behind the log, before checkpoints."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kinema import hooks
from kinema.training.run import Run


class ParamSchedulerHook(hooks.ParamSchedulerHook):
    """Kinema's `ParamSchedulerHook`; at the end of a batch it sets the rates of the next.

    So hooks of a lower priority see those of the next batch in `after_train_iter`, as there, and
    all hooks see those of this batch in `before_train_iter`.
    """

    priority = "LOW"

    def _apply(self, runner: Any, **changes: int) -> None:
        super()._apply(runner, **changes)
        runner.scheduled_position = replace(runner.position, **changes)

    def before_train(self, runner: Any) -> None:
        if isinstance(runner, Run):
            super().before_train(runner)
            self._apply(runner)

    def before_train_epoch(self, runner: Any) -> None:
        if isinstance(runner, Run):
            super().before_train_epoch(runner)

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        if isinstance(runner, Run):
            super().before_train_iter(runner, batch_idx, data_batch)

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Mapping[str, Any] | None = None
    ) -> None:
        super().after_train_iter(runner, batch_idx, data_batch, outputs)
        if isinstance(runner, Run):
            self._apply(runner, step=runner.iter + 1)

    def after_train_epoch(self, runner: Any) -> None:
        super().after_train_epoch(runner)
        if isinstance(runner, Run):
            self._apply(runner, epoch=runner.epoch + 1)

    def after_val_epoch(self, runner: Any, metrics: Mapping[str, float] | None = None) -> None:
        super().after_val_epoch(runner, metrics)
        if isinstance(runner, Run) and runner.is_training:
            self._apply(runner)
