"""A trained model with its class names and its pipeline: from a video to its input, and from there to scores."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from kinema.checkpoints.contract import ModelContract
from kinema.datasets import pseudo_collate
from kinema.errors import CheckpointError, KinemaError, VideoError
from kinema.evaluation.calibration import calibrated
from kinema.inference.inputs import VideoSource, open_source, opens_videos, pipeline_of_frames, video_source
from kinema.inference.views import Watcher, parse_views, with_augmentation, with_views
from kinema.models.features import joined_frames
from kinema.models.layers.carried_state import CarriedState
from kinema.printable import first_line
from kinema.transforms import Compose

VIEWS_AT_ONCE = 8


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


class ScoringModel:
    """A trained model, its pipeline, and what its checkpoint says of it.

    Several threads prepare videos side by side, and take turns at the model.

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
        self.contract = contract or ModelContract()
        self.name = name
        self.pipeline = [dict(step) for step in pipeline]
        self._is_from_file = is_from_file
        self._lock = threading.Lock()
        self._composed: dict[tuple[str | None, str | None, bool], Compose] = {}
        self._compose(None, None, is_open=False)  # a wrong step is said now

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    @property
    def config(self) -> dict[str, Any]:
        """The contract, as a checkpoint's `config.json` holds it."""
        return self.contract.to_config()

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

    # ---- from a video to the input of the model

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

    def _compose(self, views: str | None, tta: str | None, is_open: bool) -> Compose:
        key = (views, tta, is_open)
        if key not in self._composed:
            pipeline = self.pipeline_of(views, tta)
            self._composed[key] = Compose(pipeline_of_frames(pipeline) if is_open else pipeline)
        return self._composed[key]

    # ---- from the input to scores

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
        with self.turn_at_model(names[0], views):
            data_samples = self.test_step(pseudo_collate(samples))
            scores = torch.stack([_of_all_views(sample.pred_score) for sample in data_samples]).cpu()
        for row, name in zip(scores, names, strict=True):
            check_scores(row, self.name, name)
        return scores

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
        return self._calibrated_samples(self.model.test_step(batch))

    def _calibrated_samples(self, samples: Any) -> Any:
        if self.temperature is not None:
            for sample in samples:
                sample.set_pred_score(self.calibrated(_of_all_views(sample.pred_score)))
        return samples

    @property
    def carries_state(self) -> bool:
        """Can the model take a stream piece by piece, see `scores_of_piece`?"""
        return bool(getattr(self.model, "carries_state", False))

    def scores_of_piece(self, sample: Mapping[str, Any], state: CarriedState, video: str) -> torch.Tensor:
        """Scores of all classes for the frames of a stream so far, (N,) on the CPU.

        Args:
            sample: its next frames, as the last step of the pipeline gives them.
            state: of the frames before, which becomes that of the next; a new one at the start.
            video: what messages call the stream.

        Raises:
            CheckpointError: the model gives scores that are not numbers.
            ConfigError: the model carries no state.
        """
        with self.turn_at_model(video):
            batch = self.model.data_preprocessor(pseudo_collate([sample]), False)
            predicted = self.model.predict_piece(batch["inputs"], state, batch["data_samples"])
            (scored,) = self._calibrated_samples(predicted)
            scores = _of_all_views(scored.pred_score).cpu()
        check_scores(scores, self.name, video)
        return scores

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

    def _joined_frames(self) -> int | None:
        """Frames that the layers of the model join; None: it joins none, or any number."""
        has_neck = getattr(self.model, "neck", None) is not None  # which joins those of one view
        return joined_frames(self.model) or (1 if has_neck else None)


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
