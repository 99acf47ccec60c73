"""What a visualizer writes to, with MMEngine's interface; the base of backends that users write."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np


class BaseVisBackend:
    """Where configs, images and figures of a visualizer go.

    Args:
        save_dir: folder that it writes to, where it writes files.
    """

    def __init__(self, save_dir: str | os.PathLike[str] | None = None) -> None:
        self._save_dir = "" if save_dir is None else os.fspath(save_dir)

    @property
    def experiment(self) -> Any:
        """The object that writes, such as a `SummaryWriter`."""
        raise NotImplementedError(f"{type(self).__name__} must define experiment")

    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Record the config of the run; by default it is not."""

    def add_graph(self, model: Any, data_batch: Any, **kwargs: Any) -> None:
        """Record the graph of the model; by default it is not."""

    def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any) -> None:
        """Record an RGB image, (H, W, 3) uint8; by default it is not."""

    def add_video(
        self, name: str, frames: np.ndarray, step: int = 0, fps: int | None = 4, out_type: str = "img", **kwargs: Any
    ) -> None:
        """Record a clip, (T, H, W, 3) uint8 RGB; by default it is not."""

    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        """Record a figure; by default it is not."""

    def add_scalars(
        self, scalar_dict: Mapping[str, Any], step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        """Record figures by name; by default they are not."""

    def close(self) -> None:
        """Finish writing."""
