"""VisualizationHook: clips of a validation or test, with what is known and predicted of them drawn in."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from kinema.hooks.hook import Hook
from kinema.registry import HOOKS
from kinema.structures import ActionDataSample
from kinema.training.run import Run
from kinema.visualization import ActionVisualizer


@HOOKS.register_module()
class VisualizationHook(Hook):
    """Draw every so many clips of a validation or test, as the model sees them.

    Args:
        enable: draw at all.
        interval: from a clip that is drawn to the next, in clips.
        show: show the frames in a window, where there is a screen.
        out_dir: folder for the frames, `NAME_STEP/frames_STEP/0.png`, ...; None: `images` in the
            work folder.
        **options: of `ActionVisualizer.add_datasample`, such as `wait_time`, `out_type`, `fps`.

    Raises:
        ValueError: `interval` is below 1.
    """

    def __init__(
        self,
        enable: bool = False,
        interval: int = 5000,
        show: bool = False,
        out_dir: str | os.PathLike[str] | None = None,
        **options: Any,
    ) -> None:
        if interval < 1:
            raise ValueError(f"interval must be at least 1 clip, got {interval}")
        self.enable = enable
        self.interval = interval
        self.show = show
        self.out_dir = out_dir
        self.draw_args = options
        self._visualizer = ActionVisualizer()

    def after_val_iter(
        self, runner: Run, batch_idx: int, data_batch: Any = None, outputs: Sequence[Any] | None = None
    ) -> None:
        if self.enable:
            self._draw_samples(runner, batch_idx, data_batch, outputs or (), runner.progress.iteration)

    def after_test_iter(
        self, runner: Run, batch_idx: int, data_batch: Any = None, outputs: Sequence[Any] | None = None
    ) -> None:
        if self.enable:
            self._draw_samples(runner, batch_idx, data_batch, outputs or (), 0)

    def _draw_samples(
        self,
        runner: Run,
        batch_idx: int,
        data_batch: Mapping[str, Any],
        data_samples: Sequence[ActionDataSample],
        step: int,
    ) -> None:
        folder = Path(self.out_dir or runner.work_dir / "images")
        first = batch_idx * len(data_samples)
        for place, (inputs, sample) in enumerate(zip(data_batch["inputs"], data_samples, strict=True)):
            if (first + place) % self.interval:
                continue
            name = Path(str(sample.get("filename") or sample.get("frame_dir") or first + place)).name
            out_type = self.draw_args.get("out_type", "img")
            frames = _frames(inputs)
            self._visualizer.add_datasample(
                name,
                frames if out_type == "img" else frames[..., ::-1],
                sample,
                show_frames=self.show,
                step=step,
                out_path=folder / f"{name}_{step}",
                **self.draw_args,
            )


def _frames(inputs: Tensor) -> np.ndarray:
    """Inputs as a pipeline packs them, (T, C, H, W) or (V, C, T, H, W) -> (T, H, W, C), the views one after the other.

    Raises:
        ValueError: they hold no RGB frames.
    """
    frames = inputs.movedim(1, -1)
    if inputs.dim() == 5:
        frames = frames.flatten(0, 1)
    if frames.dim() != 4 or frames.shape[-1] != 3:
        raise ValueError(f"VisualizationHook draws RGB frames, got inputs of shape {tuple(inputs.shape)}")
    picture: np.ndarray = frames.cpu().numpy()
    return picture.astype(np.uint8)
