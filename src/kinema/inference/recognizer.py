"""A trained model with its class names and its way from a video to scores."""

import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import torch
from torch import nn

from kinema.checkpoints.contract import ModelContract
from kinema.checkpoints.saving import save_pretrained
from kinema.datasets import pseudo_collate
from kinema.errors import CheckpointError, KinemaError, VideoError
from kinema.evaluation.calibration import calibrated
from kinema.inference.batches import BatchOptions, predict_videos
from kinema.inference.decisions.settings import DecisionSettings
from kinema.inference.finding import stands_for_several
from kinema.inference.inputs import (
    VideoInput,
    VideoSource,
    open_source,
    opens_videos,
    pipeline_of_frames,
    require_videos,
    video_source,
)
from kinema.inference.prediction import FailedInput, Prediction, make_prediction
from kinema.inference.timeline import Timeline
from kinema.inference.views import Looked, Watcher, parse_views, with_augmentation, with_views
from kinema.inference.windows.engine import DEFAULT_BATCH_SIZE, WindowEngine
from kinema.inference.windows.scores import WindowScores
from kinema.printable import first_line
from kinema.transforms import Compose

VIEWS_AT_ONCE = 8
BLACK_FRAMES = (64, 240, 320, 3)  # of a video that warms up
BLACK_FPS = 30.0


@dataclass(frozen=True, eq=False)
class Prepared:
    """A video as a model takes it.

    Attributes:
        name: of the video.
        packed: what the pipeline packed: `inputs`, and `data_samples`.
        watcher: what its steps chose.
    """

    name: str
    packed: Any
    watcher: Watcher


class VideoRecognizer:
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

    def __init__(
        self,
        model: nn.Module,
        classes: Sequence[str],
        pipeline: Sequence[dict[str, Any]],
        *,
        device: str | torch.device = "cpu",
        contract: ModelContract | None = None,
        name: str = "the model",
        is_from_file: bool = False,
    ) -> None:
        self.model: Any = model.to(device).eval()
        self.classes = tuple(classes)
        self.pipeline = [dict(step) for step in pipeline]
        self.contract = contract or ModelContract()
        self.name = name
        self._is_from_file = is_from_file
        self._composed: dict[tuple[str | None, str | None, bool], Compose] = {}
        self._lock = threading.Lock()
        self._compose(None, None, is_open=False)  # a wrong step is said now

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    def pipeline_of(self, views: str | None, tta: str | None = None) -> list[dict[str, Any]]:
        """The pipeline that takes these views of a video.

        Args:
            views: clips x crops, such as "10x3" (see `kinema.inference.views.with_views`); None:
                those of the checkpoint.
            tta: "flip": each view is seen mirrored too (see `with_augmentation` there); None: not.

        Raises:
            ValueError: `views` or `tta` is no such text.
            ConfigError: the pipeline chooses frames or crops in a way that has no such number.
        """
        pipeline = [dict(step) for step in self.pipeline]
        if views is not None:
            pipeline = with_views(pipeline, parse_views(views), joined_frames=self._joined_frames())
        return pipeline if tta is None else with_augmentation(pipeline, tta)

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
            return torch.stack([self._look(one, views, tta, fps)[1] for one in video])
        return self._look(video, views, tta, fps)[1]

    @property
    def config(self) -> dict[str, Any]:
        """The contract, as a checkpoint's `config.json` holds it."""
        return self.contract.to_config()

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
            fps: frames a second of an array, tensor or folder, which do not tell it. Only samplings
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

    def prepare(
        self,
        video: Any,
        *,
        views: str | None = None,
        tta: str | None = None,
        fps: float | None = None,
        with_times: bool = False,
    ) -> Prepared:
        """Bring a video into the form that the model takes, without running the model.

        Args:
            video: one video, see `predict`, as `views`, `tta` and `fps`.
            views: see there.
            tta: see there.
            fps: see there.
            with_times: note when the chosen frames are shown.

        Raises:
            TypeError: `video` is nothing that can be a video.
            ValueError: frames have another shape, or `views` or `tta` is no such text.
            VideoError: the video cannot be read.
        """
        source = video if isinstance(video, VideoSource) else video_source(video, fps)
        if not opens_videos(self.pipeline):
            source = open_source(source, fps)
        sample = {"label": -1, "start_index": 0, "modality": "RGB", **source.sample}
        watcher = Watcher(with_times=with_times)
        with self.errors_of_checkpoint(source.name):
            packed = watcher.run(self._compose(views, tta, source.is_open).transforms, sample)
        if packed is None:
            raise VideoError(f"{source.name}: a step of the recognizer's pipeline rejects it")
        return Prepared(source.name, packed, watcher)

    @contextmanager
    def turn_at_model(self, video: str, views: str | None = None) -> Iterator[None]:
        """Have the model alone inside the block, without gradients; other threads wait.

        Args:
            video: what messages call the video that it computes on.
            views: see `views_in_pieces`.

        Raises:
            CheckpointError: what came with the weights does not suit the model.
        """
        with self.errors_of_checkpoint(video), self._lock, torch.no_grad(), self.views_in_pieces(views):
            yield

    def scores_of_samples(
        self, samples: Sequence[Mapping[str, Any]], video: str | Sequence[str], *, views: str | None = None
    ) -> torch.Tensor:
        """Scores of all classes for samples that went through the pipeline, (samples, N) on the CPU.

        Args:
            samples: as the last step of the pipeline gives them, all of one shape; they go through
                the model together.
            video: what messages call what they are of: one name, or one a sample.
            views: those that the samples were prepared for, see `predict`.

        Raises:
            CheckpointError: the model gives scores that are not numbers.
        """
        names = [video] * len(samples) if isinstance(video, str) else list(video)
        with self.errors_of_checkpoint(names[0]):
            with self._lock, self.views_in_pieces(views):
                data_samples = self.test_step(pseudo_collate(samples))
            scores = torch.stack([_of_all_views(one.pred_score) for one in data_samples]).cpu()
        for row, name in zip(scores, names, strict=True):
            check_scores(row, self.name, name)
        return scores

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
            fps: frames a second of an array, tensor or folder, which do not tell it.
            progress: show the progress on standard error.

        Raises:
            TypeError: `video` is nothing that can be a video.
            ValueError: a number is out of its range, or frames have no rate or another shape.
            VideoError: the video cannot be read.
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
            settings: what it takes for a class to be there; None: the tuned thresholds of the
                checkpoint; without them the class with the highest score, or each class from 0.5 on
                of a model of several labels. `Timeline.decide` changes them afterwards.
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

    @contextmanager
    def errors_of_checkpoint(self, video: str) -> Iterator[None]:
        """Errors inside the block are the checkpoint's where its steps and its model came with it.

        Whoever could mend steps that do not fit the model or one another did not write them.

        Args:
            video: what messages call the video.

        Raises:
            CheckpointError: in the place of an error that is none of Kinema's.
        """
        try:
            yield
        except Exception as error:
            if not self._is_from_file or isinstance(error, KinemaError):
                raise
            raise CheckpointError(
                f"{self.name}: its config does not suit its model, or the video {video}: {first_line(error)}"
            ) from error

    @contextmanager
    def views_in_pieces(self, views: str | None) -> Iterator[None]:
        """Let the model compute some views at a time inside the block.

        Many of them then need no more memory than few.

        Args:
            views: as in `predict`; None changes nothing.
        """
        if views is None or getattr(self.model, "max_testing_views", 0) is not None:
            yield
            return
        self.model.max_testing_views = self._joined_frames() or VIEWS_AT_ONCE
        try:
            yield
        finally:
            self.model.max_testing_views = None

    @property
    def is_multi_label(self) -> bool:
        """May a clip have several labels? Each class is then there or not by itself (`multi_class` of the head)."""
        return bool(getattr(getattr(self.model, "cls_head", None), "multi_class", False))

    @property
    def thresholds(self) -> dict[str, float]:
        """From which score on a class is there, by its name; of classes that were tuned only (`kinema tune`)."""
        return dict(self.contract.thresholds or {})

    @property
    def temperature(self) -> float | None:
        """What logits are divided by, so that scores are calibrated; None: they are as the head gives them."""
        return self.contract.temperature

    @contextmanager
    def uncalibrated(self) -> Iterator[None]:
        """Give scores as the head does inside the block, without the checkpoint's temperature."""
        contract = self.contract
        self.contract = replace(contract, temperature=None)
        try:
            yield
        finally:
            self.contract = contract

    @torch.no_grad()
    def test_step(self, batch: Any) -> Any:
        """The model's `test_step`, with calibrated scores where the checkpoint has a temperature.

        All scores of a recognizer come from here. For one thread at a time.

        Args:
            batch: packed samples, collated.

        Returns:
            The data samples with `pred_score`.
        """
        samples = self.model.test_step(batch)
        if self.temperature is not None:
            for sample in samples:
                sample.set_pred_score(self.calibrated(_of_all_views(sample.pred_score)))
        return samples

    def calibrated(self, scores: torch.Tensor) -> torch.Tensor:
        """(..., N) scores of the head -> the same with the checkpoint's temperature; without one as they are."""
        if self.temperature is None:
            return scores
        head = getattr(self.model, "cls_head", None)
        values = calibrated(
            scores.detach().float().cpu().numpy(),
            self.temperature,
            multi_label=self.is_multi_label,
            from_logits=None if head is None else getattr(head, "average_clips", "prob") != "prob",
        )
        return torch.from_numpy(values).to(scores.device)

    def _compose(self, views: str | None, tta: str | None, is_open: bool) -> Compose:
        key = (views, tta, is_open)
        if key not in self._composed:
            pipeline = self.pipeline_of(views, tta)
            self._composed[key] = Compose(pipeline_of_frames(pipeline) if is_open else pipeline)
        return self._composed[key]

    def _joined_frames(self) -> int | None:
        """Frames that the layers of the model join; None: it joins none, or any number."""
        parts = [getattr(self.model, name, None) for name in ("backbone", "cls_head", "neck")]
        joined = [getattr(part, "num_segments", None) for part in parts]
        if joined == [None, None, None] and parts[2] is not None:
            return int(getattr(self.model, "num_segs", None) or 1)
        return next((int(number) for number in joined if number), None)

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


def check_scores(scores: torch.Tensor, model: str, video: str) -> None:
    """Require scores to be numbers: weights that training spoilt, or inputs divided by zero, give NaN for every class.

    Args:
        scores: of any shape.
        model: what the message calls the model.
        video: and the video.

    Raises:
        CheckpointError: one is NaN or infinite.
    """
    if not bool(torch.isfinite(scores).all()):
        raise CheckpointError(
            f"{model}: gives scores that are not numbers (NaN or infinite) for {video}: its weights or its"
            " normalisation are damaged, or its training diverged; use another checkpoint"
        )


def _of_all_views(scores: torch.Tensor) -> torch.Tensor:
    """(N,) scores of a sample; those of a head that does not average its views are (V, N)."""
    return scores.mean(dim=0) if scores.dim() > 1 else scores
