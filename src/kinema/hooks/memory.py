"""Memory of the GPU between epochs."""

from typing import Any

import torch

from kinema.hooks.hook import Hook
from kinema.registry import HOOKS
from kinema.training.run import Run


@HOOKS.register_module()
class EmptyCacheHook(Hook):
    """Give memory that torch holds for later back to the GPU, for others that use it; it costs time.

    Args:
        before_epoch, after_epoch, after_iter: when.
    """

    priority = "NORMAL"

    def __init__(self, before_epoch: bool = False, after_epoch: bool = True, after_iter: bool = False) -> None:
        self.before_epoch, self.after_epoch, self.after_iter = before_epoch, after_epoch, after_iter

    def _before_epoch(self, runner: Run, mode: str = "train") -> None:
        if self.before_epoch:
            torch.cuda.empty_cache()

    def _after_epoch(self, runner: Run, mode: str = "train") -> None:
        if self.after_epoch:
            torch.cuda.empty_cache()

    def _after_iter(
        self, runner: Run, batch_idx: int, data_batch: Any = None, outputs: Any = None, mode: str = "train"
    ) -> None:
        if self.after_iter:
            torch.cuda.empty_cache()
