"""One training step: a batch in, figures to log out."""

from typing import Any

from torch import nn

from kinema.optim.accumulation import Window
from kinema.optim.ema import Ema
from kinema.optim.wrapper import OptimWrapper
from kinema.parallel.strategies import SingleDevice, Strategy


class TrainStep:
    """Forward, losses, backward and, where the batch completes its window, clip, update, average.

    The strategy takes the step: on one process by the model's own `train_step`, which may be the
    user's, on several so that gradients are exchanged.

    Args:
        model: on its device already.
        optim_wrapper: updates its parameters, accumulates, clips, in some precision.
        strategy: how many processes train, `wrap` called already; default: this one alone.
        ema: averages of the weights; None: none.
    """

    def __init__(
        self,
        model: nn.Module,
        optim_wrapper: OptimWrapper,
        strategy: Strategy | None = None,
        ema: Ema | None = None,
    ) -> None:
        self.model: Any = model
        if strategy is None:
            strategy = SingleDevice(next(model.parameters()).device)
            strategy.wrap(model)
        self.strategy = strategy
        self.ema = ema
        self.update_by(optim_wrapper)

    def update_by(self, optim_wrapper: OptimWrapper) -> None:
        """Let this one update the parameters from now on."""
        self.optim_wrapper = optim_wrapper
        for wrapper in optim_wrapper.wrappers.values():
            wrapper.clip_norm = self.strategy.clip_norm

    @property
    def accumulate(self) -> int:
        """Batches that make an update."""
        return self.optim_wrapper.accumulative_counts

    def __call__(self, batch: Any, window: Window) -> dict[str, Any]:
        """Train on a batch as the loader gives it; returns what to log, `loss` among it."""
        self.optim_wrapper.window = window
        logs = self.strategy.train_step(batch, self.optim_wrapper)
        if window.is_last and self.ema is not None:
            self.ema.update()
        return logs
