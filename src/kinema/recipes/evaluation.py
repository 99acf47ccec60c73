"""Measuring a trained recognizer on labelled clips: what `kinema test` runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from kinema.datasets import ReproducibleLoader, VideoDataset, build_dataloader
from kinema.datasets.annotations import Split, find_splits, has_splits, read_split
from kinema.datasets.broken import BrokenSample
from kinema.errors import AnnotationError, VideoError
from kinema.evaluation import Evaluator
from kinema.inference import VideoRecognizer
from kinema.progress import track_iter_progress
from kinema.recipes.classification import default_workers, require_same_classes


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation measured.

    Attributes:
        metrics: the numbers by name, over the clips that could be read.
        num_clips: clips in the numbers.
        failed: clips that could not be read, and why; they are in no number.
    """

    metrics: dict[str, Any]
    num_clips: int
    failed: tuple[BrokenSample, ...] = ()


def evaluation_clips(data: Path, classes: Sequence[str]) -> Split:
    """The clips to evaluate on: of a whole data set its validation clips, else what `data` names.

    Raises:
        AnnotationError: the clips are missing or wrong.
    """
    if data.is_file():
        split: Split | None = read_split(data, class_names=() if _are_indices(classes) else classes)
    elif data.is_dir() and not has_splits(data):
        split = read_split(data, class_names=classes)
    else:
        _, split = find_splits(data)
    if split is None:
        raise AnnotationError(f"{data}: holds training clips but no validation clips: name the clips to test on")
    if split.part is None and split.validation_name is not None:
        split = split.of_part(split.validation_name)
    if not _are_indices(classes):
        require_same_classes(split, classes)
    return split


def _are_indices(classes: Sequence[str]) -> bool:
    """Are these the names of a recognizer whose training data told none?"""
    return list(classes) == [str(index) for index in range(len(classes))]


def evaluate(
    recognizer: VideoRecognizer,
    split: Split,
    *,
    metrics: Sequence[Any] = ({"type": "AccMetric"},),
    batch_size: int = 16,
    workers: int | None = None,
    change_pipeline: Callable[[list[Any]], list[Any]] | None = None,
    allow_broken: bool = False,
) -> Evaluation:
    """Metrics of a recognizer over labelled clips, sampled and prepared as its checkpoint says.

    Args:
        recognizer: as `kinema.load` gives it.
        split: labelled clips.
        metrics: metrics, or their configs.
        batch_size: clips a step.
        workers: processes that read clips; default one a core, at most 8.
        change_pipeline: gets the list of transforms and returns the one to use.
        allow_broken: leave clips that cannot be read out of the numbers, and tell which; without it the first one is an error.

    Returns:
        The metrics, over how many clips, and what failed. Leaving clips out is how results on Kinetics are published, where
        clips vanish from the web; numbers are comparable as far as the same clips are in them.

    Raises:
        AnnotationError: a clip has no label, or one that the recognizer has no class for.
        VideoError: a clip cannot be read; with `allow_broken`, none of them can.
    """
    pipeline: list[Any] = list(recognizer.pipeline)
    unlabelled = split.annotations.unlabelled()
    if unlabelled is not None:
        path = split.annotations.paths[unlabelled]
        raise AnnotationError(f"{split.path}: {path!r} has no label: evaluation needs 'path label' lines")
    dataset = VideoDataset(
        **split.dataset_config(),
        pipeline=change_pipeline(pipeline) if change_pipeline else pipeline,
        metainfo={"classes": list(recognizer.classes)} if recognizer.classes else None,
        test_mode=True,
    )
    loader = build_dataloader(
        {
            "dataset": dataset,
            "batch_size": batch_size,
            "num_workers": default_workers() if workers is None else workers,
            "sampler": {"type": "DefaultSampler", "shuffle": False},
            "allow_broken": allow_broken,
        },
        seed=0,
    )
    assert isinstance(loader, ReproducibleLoader)
    evaluator = Evaluator(list(metrics))
    evaluator.dataset_meta = dataset.metainfo
    with torch.no_grad():
        for batch in track_iter_progress(loader):
            evaluator.process(recognizer.model.test_step(batch), batch)
    failed = tuple(loader.broken)
    if len(failed) == len(dataset):
        raise VideoError(f"{split.path}: none of the {len(dataset)} clips can be read; the first: {failed[0].error}")
    numbers = evaluator.evaluate(len(dataset), [record.place for record in failed])
    return Evaluation(numbers, len(dataset) - len(failed), failed)
