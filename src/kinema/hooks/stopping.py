"""Signals that ask a training to stop: the step is finished, everything is saved."""

import logging

import torch
import torch.distributed as dist

from kinema.distributed import get_world_size, is_main_process
from kinema.hooks.hook import Hook
from kinema.registry import HOOKS
from kinema.training.run import Run

logger = logging.getLogger("kinema")

SECONDS_BETWEEN = 2.0  # of training, between two times that processes agree
MOST_BORDERS = 20


@HOOKS.register_module()
class StopSignalHook(Hook):
    """Stop at a border where any process of the run received SIGINT, SIGTERM or SIGUSR1.

    Processes agree at every border on a CPU; on GPUs, where that would make the host wait, every
    few seconds.
    """

    priority = 65

    def __init__(self) -> None:
        self._borders = 0
        self._interval = 1
        self._seconds = 0.0

    def at_border(self, runner: Run) -> None:
        interrupt = runner.interrupt
        if get_world_size() > 1:
            self._borders += 1
            if self._borders % self._interval:
                interrupt.is_held = True  # until all know of it
                return
            self._agree(runner)
        interrupt.is_held = False
        if interrupt.is_asked:
            runner.stop(f"received {interrupt.name}")
            if is_main_process():
                logger.warning("%s: saving at step %d, then stopping", interrupt.name, runner.progress.step)

    def _agree(self, runner: Run) -> None:
        """All processes take the same signal, and the same number of borders until the next time."""
        seconds = runner.progress.seconds
        pace = (seconds - self._seconds) / self._interval
        figures = torch.tensor([float(runner.interrupt.number or 0), pace], device=runner.device)
        dist.all_reduce(figures, dist.ReduceOp.MAX)
        number, pace = figures.tolist()
        runner.interrupt.number = int(number) or None
        if runner.device.type != "cpu":
            self._interval = max(1, min(MOST_BORDERS, int(SECONDS_BETWEEN / max(pace, 1e-3))))
        self._borders, self._seconds = 0, seconds
