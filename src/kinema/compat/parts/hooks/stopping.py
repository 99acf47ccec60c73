"""`EarlyStoppingHook` for runners that are not Kinema's."""

import warnings
from collections.abc import Mapping
from typing import Any

from kinema import hooks
from kinema.training.run import Run


class EarlyStoppingHook(hooks.EarlyStoppingHook):
    """Kinema's `EarlyStoppingHook`; of another runner it warns of what cannot work."""

    def before_run(self, runner: Any) -> None:
        if isinstance(runner, Run):
            super().before_run(runner)
        elif not hasattr(runner.train_loop, "stop_training"):
            kind = type(runner.train_loop).__name__
            warnings.warn(f"EarlyStoppingHook: {kind} has no stop_training, which it must look at", stacklevel=2)

    def after_val_epoch(self, runner: Any, metrics: Mapping[str, float] | None = None) -> None:
        is_missing = not self.strict and self.monitor not in (metrics or {})
        if is_missing and not isinstance(runner, Run):
            there = ", ".join(metrics or {}) or "nothing"
            warnings.warn(f"EarlyStoppingHook: {self.monitor} is no metric: there is {there}", stacklevel=2)
            return
        super().after_val_epoch(runner, metrics)
