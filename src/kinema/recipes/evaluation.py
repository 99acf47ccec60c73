"""Measuring a trained recognizer on labelled clips: what `kinema test` runs."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kinema.cores import default_readers
from kinema.datasets import ReproducibleLoader, build_dataloader
from kinema.datasets.annotations import Split, read_split
from kinema.datasets.annotations.folders import has_splits
from kinema.datasets.annotations.splits import find_layout
from kinema.datasets.broken import BrokenSample
from kinema.errors import AnnotationError, DumpError, VideoError
from kinema.evaluation import AccuracyInterval, ClipScores, Evaluator, FailedClip, ScoreDump, evaluate_loader
from kinema.evaluation.scalars import scalars
from kinema.inference import VideoRecognizer, check_scores
from kinema.inference.views import parse_views
from kinema.progress import track_iter_progress
from kinema.recipes.clips import require_same_classes
from kinema.registry import DATASETS

VIEWS_A_STEP = 16  # of a batch by default


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation measured.

    Attributes:
        metrics: the numbers by name, over the clips that could be read.
        num_clips: clips in the numbers.
        failed: clips that could not be read, and why; they are in no number.
        clips: the scores of each; None where the model gives several scores a clip.
        intervals: for `top1`, ... the 95 % interval, by source video.
        source: what was measured, for people: the file or folder of the annotations.
        temperature: of the checkpoint, by which scores are calibrated; None: they are not.
        places: (num_clips,) which clips of the split are in the numbers.
    """

    metrics: dict[str, Any]
    num_clips: int
    failed: tuple[FailedClip, ...] = ()
    clips: ClipScores | None = None
    intervals: dict[str, AccuracyInterval] = field(default_factory=dict)
    source: str = ""
    temperature: float | None = None
    places: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def numbers(self) -> dict[str, float]:
        """The metrics that are single numbers, as floats; a confusion matrix is none."""
        return scalars(self.metrics)

    def dump(self) -> ScoreDump:
        """What a file of scores holds of it, see `kinema.evaluation.write_dump`.

        Raises:
            DumpError: the model gives several scores a clip.
        """
        if self.clips is None:
            raise DumpError(f"{self.source}: the model gives several scores a clip, of which there is no dump")
        return ScoreDump(self.clips, self.failed, self.source, self.temperature)


def evaluation_clips(
    data: Path, classes: Sequence[str], columns: Mapping[str, str] | None = None, *, multi_label: bool = False
) -> Split:
    """The clips to evaluate on: of a whole data set its validation clips, else what `data` names.

    Args:
        data: labelled clips.
        classes: the recognizer's.
        columns: names of a table's columns where they cannot be found out.
        multi_label: a clip may have several labels.

    Raises:
        AnnotationError: the clips are missing or wrong.
    """
    if data.is_file():
        names = () if _are_indices(classes) else classes
        split: Split | None = read_split(data, class_names=names, columns=columns, multi_label=multi_label)
    elif data.is_dir() and not has_splits(data):
        split = read_split(data, class_names=classes, multi_label=multi_label)
    else:
        split = find_layout(data, None, columns, multi_label=multi_label).val
    if split is None:
        raise AnnotationError(f"{data}: holds training clips but no validation clips: name the clips to test on")
    if split.part is None and split.validation_name is not None:
        split = split.of_part(split.validation_name)
    if not _are_indices(classes):
        require_same_classes(split, classes)
    return split


def _are_indices(classes: Sequence[str]) -> bool:
    """Are these the names of a recognizer whose training data named none?"""
    return list(classes) == [str(index) for index in range(len(classes))]


def evaluate(
    recognizer: VideoRecognizer,
    split: Split,
    *,
    metrics: Sequence[Any] | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
    change_pipeline: Callable[[list[Any]], list[Any]] | None = None,
    allow_broken: bool = False,
    views: str | None = None,
    tta: str | None = None,
) -> Evaluation:
    """Metrics of a recognizer over labelled clips, sampled and prepared as its checkpoint says.

    Args:
        recognizer: as `kinema.load` gives it.
        split: labelled clips.
        metrics: metrics, or their configs; default: accuracies, or of a recognizer of several labels
            a clip the mean average precision with its interval.
        batch_size: clips a step; default 16, fewer with `views`.
        workers: processes that read clips; default one a core, at most 8.
        change_pipeline: gets the list of transforms and returns the one to use.
        allow_broken: leave clips that cannot be read out of the numbers, and list them; without it
            the first one is an error.
        views: clips of a video and crops of each, such as "10x3"; None: as the checkpoint says.
        tta: "flip": each view is seen mirrored too; the scores of both are averaged.

    Returns:
        The metrics, over how many clips, and what failed. Leaving clips out is how results on
        Kinetics are published, where clips vanish from the web; numbers are comparable as far as
        the same clips are in them.

    Raises:
        AnnotationError: a clip has no label, or one that the recognizer has no class for.
        CheckpointError: the model gives scores that are not numbers.
        VideoError: a clip cannot be read; with `allow_broken`, none of them can.
    """
    unlabelled = split.annotations.unlabelled()
    if unlabelled is not None:
        path = split.annotations.paths[unlabelled]
        raise AnnotationError(f"{split.path}: {path!r} has no label: evaluation needs 'path label' lines")
    pipeline: list[Any] = recognizer.pipeline_of(views, tta)
    if batch_size is None:
        chosen = None if views is None else parse_views(views)
        batch_size = VIEWS_A_STEP if chosen is None else max(1, VIEWS_A_STEP // (chosen.clips * chosen.crops))
    dataset = DATASETS.build(
        {
            "type": split.dataset_type,
            **split.dataset_config(),
            "pipeline": change_pipeline(pipeline) if change_pipeline else pipeline,
            "metainfo": {"classes": list(recognizer.classes)} if recognizer.classes else None,
            **_several_labels(recognizer),
            "test_mode": True,
        }
    )
    loader = build_dataloader(
        {
            "dataset": dataset,
            "batch_size": batch_size,
            "num_workers": default_readers() if workers is None else workers,
            "sampler": {"type": "DefaultSampler", "shuffle": False},
            "allow_broken": allow_broken,
        },
        seed=0,
    )
    assert isinstance(loader, ReproducibleLoader)
    evaluator = Evaluator(list(usual_metrics(multi_label=recognizer.is_multi_label) if metrics is None else metrics))
    evaluator.dataset_meta = dataset.metainfo
    seen: list[tuple[Any, Any]] = []

    def keep_scores(number: int, batch: Any, samples: Sequence[Any]) -> None:
        seen.extend(_label_and_scores(sample, recognizer) for sample in samples)

    def require_some(broken: Sequence[BrokenSample]) -> None:
        if len(broken) == len(dataset):
            raise VideoError(
                f"{split.path}: none of the {len(dataset)} clips can be read; the first: {broken[0].error}"
            )

    with recognizer.views_in_pieces(views):
        numbers, broken = evaluate_loader(
            recognizer.test_step,
            loader,
            evaluator,
            after_step=keep_scores,
            check_broken=require_some,
            shown=track_iter_progress,
        )
    left_out = {record.index for record in broken}
    places = np.array([place for place in range(len(split.annotations)) if place not in left_out])
    clips = _joined_scores(seen, split, places, recognizer.classes)
    labels = split.annotations.labels
    failed = tuple(
        FailedClip(record.path, record.error, next(iter(labels.of(record.index)), None)) for record in broken
    )
    intervals = {} if clips is None else clips.intervals()
    count = len(dataset) - len(broken)
    return Evaluation(numbers, count, failed, clips, intervals, _source(split), recognizer.temperature, places)


def usual_metrics(*, multi_label: bool) -> list[dict[str, Any]]:
    """Configs of the metrics of a test: accuracies, or of clips of several labels the mean average precision."""
    if not multi_label:
        return [{"type": "AccMetric"}]
    return [{"type": "AccMetric", "metric_list": ("mean_average_precision",)}, {"type": "MAPInterval"}]


def _several_labels(recognizer: VideoRecognizer) -> dict[str, Any]:
    """Keywords of the dataset for a recognizer of several classes a clip."""
    if not recognizer.is_multi_label:
        return {}
    return {"multi_class": True, "num_classes": recognizer.model.cls_head.num_classes}


def _label_and_scores(sample: Any, recognizer: VideoRecognizer) -> tuple[Any, Any]:
    """Label and (N,) scores of a sample, of a clip of several labels (N,) bool; None where there are several scores."""
    label, scores = sample.get("gt_label"), sample.get("pred_score")
    if not isinstance(scores, torch.Tensor):
        return None, None
    check_scores(scores, recognizer.name, str(sample.get("filename") or "a clip"))
    if not isinstance(label, torch.Tensor) or scores.dim() != 1:
        return None, None
    row = scores.float().cpu().numpy()
    if recognizer.is_multi_label:
        return (label.reshape(-1).cpu().numpy() > 0, row) if label.shape == scores.shape else (None, None)
    return (int(label), row) if label.numel() == 1 else (None, None)


def _joined_scores(
    seen: Sequence[tuple[Any, Any]], split: Split, places: np.ndarray, classes: Sequence[str]
) -> ClipScores | None:
    if not seen or any(label is None for label, _ in seen):
        return None
    annotations = split.annotations
    assert len(places) == len(seen)
    starts, ends = (
        None if times is None else times[places] for times in (annotations.clip_starts, annotations.clip_ends)
    )
    return ClipScores(
        tuple(annotations.paths[place] for place in places.tolist()),
        np.array([label for label, _ in seen]),
        np.stack([scores for _, scores in seen]),
        tuple(classes),
        os.fspath(split.video_root),
        starts,
        ends,
        annotations.clip_unit,
    )


def _source(split: Split) -> str:
    return f"{split.path} (its part {split.part})" if split.part else str(split.path)
