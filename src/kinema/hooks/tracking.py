"""Figures of a run to its trackers."""

import logging
import os
from collections.abc import Callable, Mapping
from typing import Any

from kinema.distributed import is_main_process
from kinema.files import lacks_room
from kinema.hooks.hook import Hook
from kinema.printable import first_line
from kinema.registry import HOOKS
from kinema.runs.settings_file import read_run
from kinema.runs.trackers import RunInfo, Tracker, build_trackers, tracker_configs, tracker_name
from kinema.runs.vis_backend import BaseVisBackend
from kinema.training.run import Run

logger = logging.getLogger("kinema")


@HOOKS.register_module()
class TrackingHook(Hook):
    """Send what a run reports to trackers: TensorBoard, Weights & Biases, MLflow, or others.

    A tracker that fails while the run continues is named in a warning and left out: what it would
    have shown is in `metrics.jsonl`.

    Args:
        trackers: names, configs or objects, see `kinema.runs.trackers.tracker_configs`.
        folder: for those that demand one.

    Raises:
        ConfigError: one of them is no tracker.
        MissingDependencyError: the library of one is not installed.
    """

    priority = "VERY_LOW"

    def __init__(self, trackers: Any, folder: str | os.PathLike[str] = "vis_data") -> None:
        configs = tracker_configs(trackers)
        built = build_trackers(configs, folder)
        named = zip(map(tracker_name, configs), built, strict=True)
        self.backends = {name: tracker for name, tracker in named if isinstance(tracker, BaseVisBackend)}
        self.trackers = {f"{type(tracker).__name__}#{place}": tracker for place, tracker in enumerate(built)}
        self._started: dict[str, Tracker] = {}

    def before_train(self, runner: Run) -> None:
        """Start them in the main process.

        Raises:
            ConfigError: one cannot start.
        """
        if not is_main_process():
            return
        description = read_run(runner.work_dir) or {}
        config = description.pop("config", {})
        name = str(description.get("experiment") or runner.work_dir.name)
        info = RunInfo(name, runner.work_dir, runner.progress.step, config, description, lambda: _place_of(runner))
        for key, tracker in self.trackers.items():
            tracker.start(info)
            self._started[key] = tracker

    def after_record(self, runner: Run, split: str, figures: Mapping[str, float]) -> None:
        self._each(lambda tracker: tracker.log(figures, runner.progress.step, split))

    def after_summary(self, runner: Run, summary: Mapping[str, Any]) -> None:
        self._each(lambda tracker: tracker.finish(summary))
        self._started.clear()

    def _each(self, call: Callable[[Tracker], None]) -> None:
        for key, tracker in list(self._started.items()):
            try:
                call(tracker)
            except Exception as error:
                if lacks_room(error):  # which the run will meet, too
                    raise
                del self._started[key]
                logger.warning("%s gets no more figures: %s", key.partition("#")[0], first_line(error))

    def state_dict(self) -> dict[str, Any]:
        return {key: tracker.state_dict() for key, tracker in self.trackers.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for key, tracker in self.trackers.items():
            tracker.load_state_dict(state.get(key, {}))


def _place_of(runner: Run) -> dict[str, Any]:
    progress = runner.progress
    place = {"iter": progress.iteration, "seconds": progress.seconds}
    return {"epoch": progress.present_epoch, **place} if runner.num_epochs else place
