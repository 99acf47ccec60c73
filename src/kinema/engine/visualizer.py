"""`runner.visualizer`: what users' hooks send to OpenMMLab's visualizer, kept with what the run logs."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from kinema.distributed import is_main_process
from kinema.training.run import Run


class RunVisualizer:
    """Figures go to the log of the run, `metrics.jsonl` and trackers, images into `images/` in the work folder.

    Args:
        run: the run.
    """

    def __init__(self, run: Run) -> None:
        self._run = run

    def add_scalar(self, name: str, value: Any, step: int = 0, **options: Any) -> None:
        """Average a figure with the others of the training steps; its place is that of the run, not `step`."""
        self._run.message_hub.update_scalar(f"train/{name.removeprefix('train/')}", value)

    def add_scalars(self, scalar_dict: Mapping[str, Any], step: int = 0, **options: Any) -> None:
        """Figures by name."""
        for name, value in scalar_dict.items():
            if name not in ("step", "iter", "epoch"):
                self.add_scalar(name, value)

    def add_image(self, name: str, image: np.ndarray, step: int = 0, **options: Any) -> None:
        """Write an RGB image, (H, W, 3) uint8, as `images/NAME_STEP.png`."""
        import cv2

        if is_main_process():
            file = self._run.work_dir / "images" / f"{name}_{step}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(file), np.ascontiguousarray(image[..., ::-1]))

    def add_config(self, config: Any, **options: Any) -> None:
        """Nothing to do: the work folder has the config."""

    def add_graph(self, model: Any, data_batch: Any = None, **options: Any) -> None:
        """Nothing to do: `kinema models NAME --layers` shows the layers."""

    def close(self) -> None:
        """Nothing to do: the run closes its trackers."""
