"""Averages of the weights during training."""

from collections.abc import Mapping
from typing import Any, Literal

from kinema.errors import ConfigError
from kinema.hooks.hook import Hook
from kinema.openmmlab.keywords import accepts_openmmlab_keywords
from kinema.optim.ema import Ema
from kinema.registry import HOOKS
from kinema.training.run import Run

KINDS: dict[str, Literal["exponential", "annealed", "mean"]] = {
    "ExponentialMovingAverage": "exponential",
    "MomentumAnnealingEMA": "annealed",
    "StochasticWeightAverage": "mean",
}


@HOOKS.register_module()
@accepts_openmmlab_keywords
class EMAHook(Hook):
    """Keep averages of the weights: validations and checkpoints use them, the training its own.

    Args:
        ema_type: "ExponentialMovingAverage", "MomentumAnnealingEMA" or "StochasticWeightAverage".
        begin_iter, begin_epoch: iterations or epochs before averaging begins.
        momentum, interval, gamma, update_buffers: see `kinema.optim.ema.Ema`.

    Raises:
        ConfigError: no such type, or both beginnings are given.
    """

    priority = "NORMAL"

    def __init__(
        self,
        ema_type: str = "ExponentialMovingAverage",
        begin_iter: int = 0,
        begin_epoch: int = 0,
        *,
        momentum: float = 0.0002,
        interval: int = 1,
        gamma: int = 100,
        update_buffers: bool = False,
    ) -> None:
        if ema_type not in KINDS:
            raise ConfigError(f"EMAHook: ema_type must be one of {', '.join(KINDS)}, got {ema_type!r}")
        if begin_iter and begin_epoch:
            raise ConfigError(f"EMAHook: give begin_iter or begin_epoch, not both: {begin_iter=}, {begin_epoch=}")
        self.begin_iter, self.begin_epoch = begin_iter, begin_epoch
        self.settings: dict[str, Any] = {"kind": KINDS[ema_type], "momentum": momentum, "interval": interval}
        self.settings |= {"gamma": gamma, "update_buffers": update_buffers}

    def build(self, runner: Run) -> Ema:
        """The averages of a run, before it is resumed."""
        loop = runner.train_loop
        batches = self.begin_iter + self.begin_epoch * (loop.epoch_length or 0)
        return Ema(runner.network, begin=-(-batches // loop.accumulate), **self.settings)

    # Hooks behind this one see the averages when an evaluation begins, and the trained weights when it ends.

    def before_val_epoch(self, runner: Run) -> None:
        self._use_averages(runner)

    def after_val_epoch(self, runner: Run, metrics: Mapping[str, float] | None = None) -> None:
        self._use_weights(runner)

    def before_test_epoch(self, runner: Run) -> None:
        self._use_averages(runner)

    def after_test_epoch(self, runner: Run, metrics: Mapping[str, float] | None = None) -> None:
        self._use_weights(runner)

    def _use_averages(self, runner: Run) -> None:
        if isinstance(runner, Run) and runner.train_step is not None and runner.train_step.ema is not None:
            runner.evaluating.enter_context(runner.train_step.ema.applied())

    def _use_weights(self, runner: Run) -> None:
        if isinstance(runner, Run):
            runner.evaluating.close()
