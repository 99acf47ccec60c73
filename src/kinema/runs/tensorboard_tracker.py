"""TensorBoard: event files in the work folder; `tensorboard --logdir work` shows all runs below `work`."""

import os
from collections.abc import Mapping
from typing import Any

from kinema.registry import VISBACKENDS
from kinema.runs.trackers import RunInfo, in_split, library


@VISBACKENDS.register_module(name=["tensorboard", "TensorboardVisBackend"])
class TensorBoardTracker:
    """Write figures as scalars that TensorBoard shows.

    A resumed run hides what was written of the steps that it makes again.

    Args:
        save_dir: folder for the event files; default: `tensorboard` in the work folder.

    Raises:
        MissingDependencyError: the package tensorboard is not installed.
    """

    def __init__(self, save_dir: str | os.PathLike[str] | None = None) -> None:
        library("tensorboard", "tensorboard")
        from torch.utils.tensorboard import SummaryWriter

        self.save_dir = save_dir
        self._make_writer = SummaryWriter
        self._writer: Any = None

    def start(self, run: RunInfo) -> None:
        folder = os.fspath(self.save_dir or run.work_dir / "tensorboard")
        self._writer = self._make_writer(folder, purge_step=run.step + 1)
        self._writer.add_text("command", " ".join(run.description.get("command", ())), run.step + 1)

    def log(self, figures: Mapping[str, float], step: int, split: str) -> None:
        for name, value in in_split(figures, split).items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()  # what a killed run has shown stays

    def finish(self, summary: Mapping[str, Any]) -> None:
        self._writer.close()

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...
