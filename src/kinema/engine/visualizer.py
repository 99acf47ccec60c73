"""`runner.visualizer`: OpenMMLab's visualizer, whose figures and images are kept with what the run logs."""

import weakref
from collections.abc import Mapping
from typing import Any

import numpy as np

from kinema.hooks.tracking import TrackingHook
from kinema.registry import VISUALIZERS
from kinema.runs.vis_backend import BaseVisBackend
from kinema.training.run import Run
from kinema.visualization import Visualizer


def run_visualizer(run: Run, settings: Any, name: str) -> Visualizer:
    """The visualizer of a run: figures go to its log and trackers, images into `images/` in the work folder.

    Args:
        run: the run.
        settings: a visualizer, or a config of one, whose backends are trackers of the run already.
        name: of the instance, by which other code gets it.

    Raises:
        TypeError: the config builds no visualizer.
    """
    if isinstance(settings, Visualizer):
        visualizer = settings
    else:
        given = {key: value for key, value in (settings or {}).items() if key != "vis_backends"}
        visualizer = VISUALIZERS.build({"type": "Visualizer", "name": name, **given})
        if not isinstance(visualizer, Visualizer):
            raise TypeError(f"visualizer must build a Visualizer, got {type(visualizer).__name__}")
    visualizer._vis_backends = {"Run": _RunBackend(run)}
    return visualizer


def give_trackers(visualizer: Visualizer, run: Run) -> None:
    """Let the visualizer of a run give images and graphs to the run's trackers, too, once its hooks are built."""
    hooks = [hook for hook in run.hooks if isinstance(hook, TrackingHook)]
    trackers = {name: _TrackerBackend(part) for hook in hooks for name, part in hook.backends.items()}
    visualizer._vis_backends.update(trackers)


class _RunBackend(BaseVisBackend):
    """Writes figures to the log of the run, and images beside it.

    The visualizer stays among the instances that other code asks for by name, and must not keep
    the run with it: its weights, and the processes that read clips.
    """

    def __init__(self, run: Run) -> None:
        super().__init__(run.work_dir)
        self._work_dir = run.work_dir
        self._run = weakref.ref(run)

    @property
    def experiment(self) -> Run:
        run = self._run()
        if run is None:
            raise ReferenceError(f"the run in {self._work_dir} is no longer there: keep its Runner to log figures")
        return run

    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        """Average a figure with the others of the training steps; its place is that of the run, not `step`."""
        self.experiment.message_hub.update_scalar(f"train/{name.removeprefix('train/')}", value)

    def add_scalars(
        self, scalar_dict: Mapping[str, Any], step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        for name, value in scalar_dict.items():
            if name not in ("step", "iter", "epoch"):
                self.add_scalar(name, value)

    def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any) -> None:
        """Write an RGB image, (H, W, 3) uint8, as `images/NAME_STEP.png`."""
        import cv2

        file = self._work_dir / "images" / f"{name}_{step}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), np.ascontiguousarray(image[..., ::-1]))


class _TrackerBackend(BaseVisBackend):
    """Gives images and graphs to a tracker of the run, which has figures and config by itself."""

    def __init__(self, tracker: BaseVisBackend) -> None:
        super().__init__(tracker._save_dir)
        self._tracker = tracker

    @property
    def experiment(self) -> Any:
        return self._tracker.experiment

    def add_graph(self, model: Any, data_batch: Any, **kwargs: Any) -> None:
        self._tracker.add_graph(model, data_batch, **kwargs)

    def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any) -> None:
        self._tracker.add_image(name, image, step, **kwargs)
