"""What every loop of a run has."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any


class BaseLoop(ABC):
    """Base of loops: a runner calls `run`.

    A loop of the user's own that derives from it moves its own counters and calls
    `runner.call_hook` where hooks shall act. Only a `TrainLoop` has borders, at which a run is saved.

    Args:
        runner: the run.
        dataloader: batches, or the config of what gives them.

    Attributes:
        stop_training: a stop was requested.
        is_running: the loop is at work.
    """

    stop_training = False
    is_running = False

    def __init__(self, runner: Any, dataloader: Any) -> None:
        self._runner = runner
        if isinstance(dataloader, Mapping):
            dataloader = runner.build_dataloader(dataloader, seed=runner.seed)
        self.dataloader = dataloader

    @property
    def runner(self) -> Any:
        """The run."""
        return self._runner

    @property
    def epoch_length(self) -> int | None:
        """Batches of an epoch; None where nobody knows."""
        try:
            return len(self.dataloader)
        except TypeError:
            return None

    @abstractmethod
    def run(self) -> Any:
        """Do all of it."""
