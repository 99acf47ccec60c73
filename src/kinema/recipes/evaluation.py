"""Measuring a trained recognizer on labelled clips: what `kinema test` runs."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from kinema.datasets import VideoDataset, build_dataloader
from kinema.datasets.annotations import Split, find_splits, has_splits, read_split
from kinema.errors import AnnotationError
from kinema.evaluation import Evaluator
from kinema.inference import VideoRecognizer
from kinema.progress import track_iter_progress
from kinema.recipes.classification import default_workers, require_same_classes


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
) -> dict[str, Any]:
    """Metrics of a recognizer over labelled clips, sampled and prepared as its checkpoint says.

    Args:
        recognizer: as `kinema.load` gives it.
        split: labelled clips.
        metrics: metrics, or their configs.
        batch_size: clips a step.
        workers: processes that read clips; default one a core, at most 8.
        change_pipeline: gets the list of transforms and returns the one to use.

    Returns:
        The metrics by name.

    Raises:
        AnnotationError: a clip has no label, or one that the recognizer has no class for.
        VideoError: a clip cannot be read.
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
        },
        seed=0,
    )
    evaluator = Evaluator(list(metrics))
    evaluator.dataset_meta = dataset.metainfo
    with torch.no_grad():
        for batch in track_iter_progress(loader):
            evaluator.process(recognizer.model.test_step(batch), batch)
    return evaluator.evaluate(len(dataset))
