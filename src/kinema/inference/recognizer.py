"""A trained model with its class names: predictions, windows and timelines of videos."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import torch

from kinema.checkpoints.saving import save_pretrained
from kinema.errors import CheckpointError
from kinema.inference.batches import BatchOptions, predict_videos
from kinema.inference.decisions.settings import DecisionSettings
from kinema.inference.finding import stands_for_several
from kinema.inference.inputs import (
    VideoInput,
    require_videos,
)
from kinema.inference.prediction import FailedInput, Prediction, make_prediction
from kinema.inference.scoring import ScoringModel
from kinema.inference.timeline import Timeline
from kinema.inference.views import Looked
from kinema.inference.windows.engine import DEFAULT_BATCH_SIZE, WindowEngine
from kinema.inference.windows.scores import WindowScores

BLACK_FRAMES = (64, 240, 320, 3)  # of a video that warms up
BLACK_FPS = 30.0


class VideoRecognizer(ScoringModel):
    """A trained model with its class names and its way from a video to the model's input.

    Several threads may use one recognizer: they read videos side by side and take turns at the
    model.

    Args:
        model: the model, with its weights.
        classes: names by class index; empty: the indices are the names.
        pipeline: configs of transforms, from `filename` to packed inputs.
        device: where to compute.
        contract: what the checkpoint says of the model.
        name: what messages call it, such as the path of its checkpoint.
        is_from_file: model and pipeline are those that came with the weights, so what goes wrong in
            them is an error of the checkpoint.
    """

    def __repr__(self) -> str:
        backbone = type(getattr(self.model, "backbone", self.model)).__name__
        classes = f"{', '.join(self.classes[:5])}{', ...' if len(self.classes) > 5 else ''}" or "classes without names"
        return f"VideoRecognizer({self.name!r}: {backbone}, {classes})"

    def scores(
        self, video: Any, *, views: str | None = None, tta: str | None = None, fps: float | None = None
    ) -> torch.Tensor:
        """Scores of all classes for one video, (N,) on the CPU; of a list of videos (videos, N).

        Args:
            video: see `predict`, as `views`, `tta` and `fps`.
            views: see there.
            tta: see there.
            fps: see there.

        Raises:
            TypeError: `video` is nothing that can be a video.
            ValueError: frames have another shape, or `views` or `tta` is no such text.
            VideoError: the video cannot be read.
            CheckpointError: the model gives scores that are not numbers.
        """
        if isinstance(video, list | tuple):
            require_videos(video)
            return torch.stack([self._look(clip, views, tta, fps)[1] for clip in video])
        return self._look(video, views, tta, fps)[1]

    @overload
    def predict(
        self,
        video: list[Any] | tuple[Any, ...],
        top_k: int = 5,
        *,
        views: str | None = None,
        tta: str | None = None,
        fps: float | None = None,
    ) -> list[Prediction]: ...

    @overload
    def predict(
        self,
        video: VideoInput,
        top_k: int = 5,
        *,
        views: str | None = None,
        tta: str | None = None,
        fps: float | None = None,
    ) -> Prediction: ...

    def predict(
        self,
        video: Any,
        top_k: int = 5,
        *,
        views: str | None = None,
        tta: str | None = None,
        fps: float | None = None,
    ) -> Prediction | list[Prediction]:
        """The `top_k` likeliest classes of a video; all of them, where there are fewer.

        Args:
            video: a path or address; a folder of numbered images; the bytes of a video file; a file
                opened with "rb"; uint8 RGB frames (T, H, W, 3), as an array or a tensor; or
                several: a list of these, a folder of videos, a pattern such as "clips/*.mp4".
            top_k: how many classes.
            views: how many clips of the video to look at, and how many crops of each, such as
                "10x3"; None: as the checkpoint says.
            tta: "flip": look at each view mirrored too; the scores of both are averaged.
            fps: frames a second of an array, tensor or folder, which do not state it. Only samplings
                at a frame rate of their own depend on it.

        Returns:
            The prediction; of several videos a list of them, which type checkers know of lists
            only. `predict_many` gives them one by one, and can leave out what cannot be read.

        Raises:
            TypeError: `video` is nothing that can be a video.
            ValueError: `top_k` is below 1, frames have another shape, or `views` or `tta` is no such
                text.
            VideoError: a video cannot be read.
            CheckpointError: the model gives scores that are not numbers.
        """
        if isinstance(video, list | tuple) or stands_for_several(video):
            return list(self.predict_many(video, top_k, views=views, tta=tta, fps=fps))
        if top_k < 1:
            raise ValueError(f"top_k must be at least 1, got {top_k}")
        name, scores, looked = self._look(video, views, tta, fps)
        thresholds = self.thresholds if self.is_multi_label else None
        return make_prediction(name, scores.numpy(), self.classes, top_k=top_k, looked=looked, thresholds=thresholds)

    @overload
    def predict_many(
        self,
        videos: Iterable[Any] | str | os.PathLike[str],
        top_k: int = 5,
        *,
        on_error: Literal["raise"] = "raise",
        batch_size: int | None = None,
        readers: int | None = None,
        views: str | None = None,
        tta: str | None = None,
        fps: float | None = None,
        thresholds: float | Mapping[str, float] | None = None,
    ) -> Iterator[Prediction]: ...

    @overload
    def predict_many(
        self,
        videos: Iterable[Any] | str | os.PathLike[str],
        top_k: int = 5,
        *,
        on_error: Literal["report"],
        batch_size: int | None = None,
        readers: int | None = None,
        views: str | None = None,
        tta: str | None = None,
        fps: float | None = None,
        thresholds: float | Mapping[str, float] | None = None,
    ) -> Iterator[Prediction | FailedInput]: ...

    def predict_many(
        self,
        videos: Iterable[Any] | str | os.PathLike[str],
        top_k: int = 5,
        *,
        on_error: Literal["raise", "report"] = "raise",
        batch_size: int | None = None,
        readers: int | None = None,
        views: str | None = None,
        tta: str | None = None,
        fps: float | None = None,
        thresholds: float | Mapping[str, float] | None = None,
    ) -> Iterator[Prediction | FailedInput]:
        """Predictions of many videos, in their order, while the next ones are read by threads.

        Args:
            videos: videos, see `predict`, from any iterable; a folder of videos; or a pattern.
            top_k: how many classes of each to name.
            on_error: "raise": a video that cannot be read ends it; "report": it gives a
                `FailedInput` in its place.
            batch_size: videos that go through the model together; default 8, fewer with `views`.
                Those of different shapes go one after the other.
            readers: threads that read; default one a core, at most 8.
            views: see `predict`.
            tta: see `predict`.
            fps: see `predict`.
            thresholds: of a model of several labels a clip, for `Prediction.present`: one for all
                classes, or by name; default those of the checkpoint, else 0.5.

        Raises:
            TypeError: an input is nothing that can be a video.
            ValueError: no videos, a number or text that is none of those above, or thresholds for a
                model of one label a clip, or for a class that it does not have.
            VideoError: a video cannot be read (`on_error="raise"`); a folder or pattern holds none.
            CheckpointError: the model gives scores that are not numbers.
        """
        options = BatchOptions(top_k, on_error, batch_size, readers, views, tta, fps, thresholds)
        return predict_videos(self, videos, options)

    def warm_up(self, *, views: str | None = None, tta: str | None = None, batch_size: int = 1) -> None:
        """Pay now what the first prediction would cost more than others, on frames that are all black.

        Kernels are chosen and compiled, memory is taken, the pipeline is built.

        Args:
            views: see `predict`.
            tta: see `predict`.
            batch_size: videos that will go through the model together.

        Raises:
            ValueError: `batch_size` is below 1, or `views` or `tta` is no such text.
            ConfigError: the pipeline takes no frames.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        frames = np.zeros(BLACK_FRAMES, np.uint8)
        prepared = self.prepare(frames, views=views, tta=tta, fps=BLACK_FPS)
        self.scores_of_samples([prepared.packed] * batch_size, "black frames", views=views)

    def _look(
        self, video: Any, views: str | None, tta: str | None, fps: float | None
    ) -> tuple[str, torch.Tensor, Looked | None]:
        """The video's name, (N,) scores on the CPU, and what the model saw of it."""
        prepared = self.prepare(video, views=views, tta=tta, fps=fps)
        (scores,) = self.scores_of_samples([prepared.packed], prepared.name, views=views)
        return prepared.name, scores, prepared.watcher.looked()

    def windows(
        self,
        video: Any,
        *,
        length_seconds: float | None = None,
        stride_seconds: float | None = None,
        views: str | None = None,
        batch_size: int = DEFAULT_BATCH_SIZE,
        fps: float | None = None,
        progress: bool = False,
    ) -> WindowScores:
        """Scores over time of a long video: of windows that overlap and together hold every frame.

        Args:
            video: one video, see `predict`.
            length_seconds: of a window; None: as long as what the model saw of a video in training.
            stride_seconds: from the start of a window to the start of the next; None: half the
                length.
            views: clips x crops of a window, see `predict`.
            batch_size: how many windows go through the model together, at most.
            fps: frames a second of an array, tensor or folder, which do not state it.
            progress: show the progress on standard error.

        Raises:
            TypeError: `video` is nothing that can be a video.
            ValueError: a number is out of its range, or frames have no rate or another shape.
            VideoError: the video cannot be read; a `PartialScoresError`, which holds the scores so
                far, where that shows midway.
            CheckpointError: the model gives scores that are not numbers.
        """
        engine = WindowEngine(
            self, length_seconds=length_seconds, stride_seconds=stride_seconds, batch_size=batch_size, views=views
        )
        return engine.score_all(video, fps=fps, progress=progress)

    def timeline(
        self,
        video: Any,
        settings: DecisionSettings | None = None,
        *,
        length_seconds: float | None = None,
        stride_seconds: float | None = None,
        views: str | None = None,
        batch_size: int = DEFAULT_BATCH_SIZE,
        fps: float | None = None,
        progress: bool = False,
    ) -> Timeline:
        """What happens in a long video, and when: segments of classes.

        Args:
            video: one video, see `predict`.
            settings: what it takes for a class to be there; None: what suits the model, with the
                tuned thresholds of its checkpoint, see `DecisionSettings.of_model`.
                `Timeline.decide` changes them afterwards.
            length_seconds: of a window, see `windows`, as all that follows.
            stride_seconds: see there.
            views: see there.
            batch_size: see there.
            fps: see there.
            progress: see there.

        Raises:
            ValueError: the settings name a class that is not there, or as of `windows`.
            TypeError: as `windows`, like VideoError and CheckpointError.
        """
        if settings is not None and self.classes:
            settings.check(self.classes)  # a wrong class is said now
        scores = self.windows(
            video,
            length_seconds=length_seconds,
            stride_seconds=stride_seconds,
            views=views,
            batch_size=batch_size,
            fps=fps,
            progress=progress,
        )
        return Timeline.of(scores, settings)

    def save_pretrained(self, folder: str | os.PathLike) -> Path:
        """Write weights, contract and a model card into `folder`, from which `kinema.load` takes them.

        Args:
            folder: is made; one that exists is replaced.

        Returns:
            The folder.

        Raises:
            CheckpointError: the recognizer was made without a model config, or its pipeline opens
                no video.
        """
        contract = replace(self.contract.with_pipeline(self.pipeline), classes=self.classes)
        if not contract.model or contract.sampling is None:
            lacks = (
                "a pipeline that opens and decodes a video" if contract.sampling is None else "the config of its model"
            )
            raise CheckpointError(f"{folder}: not saved: the recognizer lacks {lacks}, so it could not be loaded again")
        return save_pretrained(self.model, folder, config=contract, card=True)
