"""TensorBoard: event files in the work folder; `tensorboard --logdir work` shows all runs below `work`."""

import logging
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from kinema.errors import ConfigError
from kinema.registry import VISBACKENDS
from kinema.runs.trackers import RunInfo, in_split, library
from kinema.runs.vis_backend import BaseVisBackend

logger = logging.getLogger("kinema")


@VISBACKENDS.register_module(name=["tensorboard", "TensorboardVisBackend"])
class TensorBoardTracker(BaseVisBackend):
    """Write figures as scalars that TensorBoard shows.

    A resumed run hides what was written of the steps that it makes again. A visualizer writes to it
    as well, also outside a run, where it needs `save_dir`.

    Args:
        save_dir: folder for the event files; default: `tensorboard` in the work folder.

    Raises:
        MissingDependencyError: the package tensorboard is not installed.
    """

    def __init__(self, save_dir: str | os.PathLike[str] | None = None) -> None:
        super().__init__(save_dir)
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            library("tensorboard", "tensorboard")
            raise
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
        self.close()

    @property
    def experiment(self) -> Any:
        """The `SummaryWriter`, which is made at the first use.

        Raises:
            ConfigError: there is neither a run nor a `save_dir`.
        """
        if self._writer is None:
            self._init_env()
        return self._writer

    def _init_env(self) -> None:
        if self.save_dir is None:
            raise ConfigError("TensorboardVisBackend needs save_dir: the folder for its event files")
        self._writer = self._make_writer(os.fspath(self.save_dir))

    @property
    def _tensorboard(self) -> Any:
        return self._writer

    def add_config(self, config: Any, **kwargs: Any) -> None:
        self.experiment.add_text("config", getattr(config, "pretty_text", str(config)))

    def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any) -> None:
        self.experiment.add_image(name, image, step, dataformats="HW" if image.ndim == 2 else "HWC")

    def add_video(
        self, name: str, frames: np.ndarray, step: int = 0, fps: int | None = 4, out_type: str = "img", **kwargs: Any
    ) -> None:
        """Record the frames of a clip, side by side: moving pictures would need MoviePy."""
        self.experiment.add_images(name, np.ascontiguousarray(frames), step, dataformats="NHWC")

    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        is_tensor = hasattr(value, "numel")  # of torch, which this file does without
        if is_tensor or isinstance(value, int | float | np.ndarray | np.number):
            self.experiment.add_scalar(name, value, step)
        else:
            logger.warning("TensorBoard shows numbers: %s of type %s is left out", name, type(value).__name__)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
