"""What a visualizer writes to, with MMEngine's interface; the base of backends that users write."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kinema.config import Config
from kinema.runs.trackers import RunInfo


class BaseVisBackend:
    """Where configs, images and figures of a visualizer go; a tracker of a run as well.

    A run gives it its config, figures and the end: `add_config`, `add_scalars`, `close`. Figures have
    their plain names, those of validations that are also figures of the training `val/NAME`.

    Args:
        save_dir: folder that it writes to, where it writes files.
    """

    _env_initialized = False  # see `force_init_env` of `mmengine.visualization`

    def __init__(self, save_dir: str | os.PathLike[str] | None = None) -> None:
        self._save_dir = "" if save_dir is None else os.fspath(save_dir)
        self._train_names: set[str] = set()

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
        """Record figures by name; by default each by `add_scalar`.

        Raises:
            TypeError: `scalar_dict` is no dict.
            ValueError: a figure is named `step`.
        """
        if not isinstance(scalar_dict, Mapping):
            raise TypeError(f"scalar_dict must be a dict, got {type(scalar_dict).__name__}")
        if "step" in scalar_dict:
            raise ValueError("scalar_dict must not have the key 'step': it is an argument of its own")
        for name, value in scalar_dict.items():
            self.add_scalar(name, value, step)

    def close(self) -> None:
        """Finish writing."""

    # ---- a tracker, see `kinema.runs.trackers.Tracker`

    def start(self, run: RunInfo) -> None:
        """Begin a run: without a `save_dir` its folder is `vis_data` in the work folder."""
        self._train_names = set()
        if not self._save_dir:
            self._save_dir = os.fspath(run.work_dir / "vis_data")
        self.add_config(Config(dict(run.config)))

    def log(self, figures: Mapping[str, float], step: int, split: str) -> None:
        if split == "train":
            self._train_names.update(figures)
            self.add_scalars(dict(figures), step)
        else:
            names = {name: f"{split}/{name}" if name in self._train_names else name for name in figures}
            self.add_scalars({names[name]: value for name, value in figures.items()}, step)

    def finish(self, summary: Mapping[str, Any]) -> None:
        self.close()

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


def files_with_endings(
    folder: str | os.PathLike[str] | None, endings: tuple[str, ...], *, below: bool = False
) -> list[Path]:
    """The files of a folder, and those below it, that end so; None: there are none."""
    if folder is None:
        return []
    files = Path(folder).rglob("*") if below else Path(folder).glob("*")
    return sorted(file for file in files if file.is_file() and file.name.endswith(endings))
