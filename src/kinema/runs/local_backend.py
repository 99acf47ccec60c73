"""`LocalVisBackend`: configs, images and figures of a visualizer as files in a folder."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kinema.config import Config
from kinema.registry import VISBACKENDS
from kinema.runs.trackers import RunInfo
from kinema.runs.vis_backend import BaseVisBackend
from kinema.video import write_video


@VISBACKENDS.register_module()
class LocalVisBackend(BaseVisBackend):
    """Write images as PNG, figures as a JSON object a line, the config as a Python file.

    Args:
        save_dir: folder; made when something is written.
        img_save_dir: folder of the images in it.
        config_save_file: name of the config's file, `.py`.
        scalar_save_file: name of the figures' file, `.json`.

    Raises:
        ValueError: a file has another suffix.
    """

    def __init__(
        self,
        save_dir: str | os.PathLike[str],
        img_save_dir: str = "vis_image",
        config_save_file: str = "config.py",
        scalar_save_file: str = "scalars.json",
    ) -> None:
        _require_suffix(config_save_file, ".py")
        _require_suffix(scalar_save_file, ".json")
        super().__init__(save_dir)
        self._img_save_dir = str(Path(self._save_dir) / img_save_dir)
        self._config_save_file = str(Path(self._save_dir) / config_save_file)
        self._scalar_save_file = str(Path(self._save_dir) / scalar_save_file)

    @property
    def experiment(self) -> "LocalVisBackend":
        """Itself."""
        return self

    def add_config(self, config: Config, **kwargs: Any) -> None:
        if not isinstance(config, Config):
            raise TypeError(f"config must be a Config, got {type(config).__name__}")
        Path(self._config_save_file).parent.mkdir(parents=True, exist_ok=True)
        config.dump(self._config_save_file)

    def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any) -> None:
        """Write an RGB image, (H, W, 3) uint8, as `NAME_STEP.png`."""
        _write_image(Path(self._img_save_dir) / f"{name}_{step}.png", image)

    def add_video(
        self, name: str, frames: np.ndarray, step: int = 0, fps: int | None = 4, out_type: str = "img", **kwargs: Any
    ) -> None:
        """Write a clip.

        Args:
            name: of the clip, below the folder of the backend.
            frames: (T, H, W, 3) uint8 RGB.
            step: of the run.
            fps: frames a second of a file; default 4.
            out_type: "img": frames as `NAME/frames_STEP/0.png`, `1.png`, ...; "gif" or "video":
                one file, `NAME.gif` or `NAME.mp4`.
            kwargs: not used here.

        Raises:
            ValueError: `out_type` is none of these.
        """
        if out_type not in ("img", "gif", "video"):
            raise ValueError(f"out_type must be img, gif or video, got {out_type!r}")
        target = Path(self._save_dir) / name
        if out_type == "img":
            for number, frame in enumerate(frames):
                _write_image(target / f"frames_{step}" / f"{number}.png", frame)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        suffix = ".gif" if out_type == "gif" else ".mp4"
        write_video(target.with_name(target.name + suffix), frames, fps or 4)

    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        self._append({name: value, "step": step}, Path(self._scalar_save_file))

    def add_scalars(
        self, scalar_dict: Mapping[str, Any], step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        """Append figures as a line.

        Args:
            scalar_dict: figures by name; its `step` counts, where it has one.
            step: place of the figures in the run.
            file_path: name of a `.json` file that gets the line, too.
            kwargs: not used here.

        Raises:
            TypeError: `scalar_dict` is no dict.
            ValueError: `file_path` has another suffix, or is the file that has the line anyway.
        """
        if not isinstance(scalar_dict, Mapping):
            raise TypeError(f"scalar_dict must be a dict, got {type(scalar_dict).__name__}")
        line = {**scalar_dict, "step": scalar_dict.get("step", step)}
        if file_path is not None:
            _require_suffix(file_path, ".json")
            other = Path(self._save_dir) / file_path
            if other == Path(self._scalar_save_file):
                raise ValueError(f"{file_path} is the file of all figures: give file_path another name")
            self._append(line, other)
        self._append(line, Path(self._scalar_save_file))

    # ---- a tracker: the keys and steps that OpenMMLab's tools read

    def start(self, run: RunInfo) -> None:
        super().start(run)
        self._place, self._last = run.place, dict(run.place())

    def log(self, figures: Mapping[str, float], step: int, split: str) -> None:
        """Append a line, of the training with `epoch`, `iter` and `time` of a batch, of a validation by its epoch."""
        place = dict(self._place())
        if split != "train":
            super().log(figures, place.get("epoch", place.get("iter", step)), split)
            return
        batches = place.get("iter", 0) - self._last.get("iter", 0)
        seconds = place.pop("seconds", 0.0)
        line = {**figures, **place}
        if batches > 0:
            line["time"] = (seconds - self._last["seconds"]) / batches
            line["data_time"] = line["time"] * figures.get("data_share", 0.0)
        self._last = {**place, "seconds": seconds}
        super().log(line, place.get("iter", step), split)

    def _append(self, line: Mapping[str, Any], file: Path) -> None:
        plain = {
            # Of numpy and torch, which this file does without.
            name: value.item() if isinstance(value, np.generic) or hasattr(value, "numel") else value
            for name, value in line.items()
        }
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as opened:
            opened.write(json.dumps(plain) + "\n")


def _write_image(file: Path, image: np.ndarray) -> None:
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        raise TypeError(f"an image must be a uint8 array, got {getattr(image, 'dtype', type(image).__name__)}")
    import cv2

    file.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(file), np.ascontiguousarray(image[..., ::-1]) if image.ndim == 3 else image):
        raise OSError(f"{file}: the image cannot be written")


def _require_suffix(file: str, suffix: str) -> None:
    if not file.endswith(suffix):
        raise ValueError(f"the file {file!r} must end with {suffix}")
