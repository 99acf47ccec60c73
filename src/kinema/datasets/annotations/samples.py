"""From annotations to the samples of a dataset."""

from collections.abc import MutableMapping
from typing import Any

import numpy as np

from kinema.datasets.annotations.labels import check_labels
from kinema.datasets.annotations.records import Annotations
from kinema.datasets.storage.columns import Column, ColumnSamples, NumberColumn
from kinema.errors import AnnotationError


def settle_classes(
    annotations: Annotations,
    metainfo: MutableMapping[str, Any],
    num_classes: int | None,
    *,
    multi_class: bool = False,
    test_mode: bool = False,
) -> int | None:
    """Put the classes that annotations name into the metainfo, and check the labels against their number.

    Args:
        annotations: the clips of one split.
        metainfo: of the dataset; gets `classes` unless it has them.
        num_classes: number of classes, where the user gave it.
        multi_class: a clip may have several labels.
        test_mode: clips without labels are allowed.

    Returns:
        The number of classes; None when it is not known.

    Raises:
        AnnotationError: a label is missing or out of range. Names file and line.
        ValueError: `multi_class` and the number of classes is not known.
    """
    if annotations.class_names:
        metainfo.setdefault("classes", list(annotations.class_names))
    if num_classes is None and metainfo.get("classes"):
        num_classes = len(metainfo["classes"])
    if multi_class and num_classes is None:
        raise ValueError("multi_class=True needs num_classes, or metainfo=dict(classes=[...])")
    check_labels(annotations, num_classes, lowest=-1 if test_mode and not multi_class else 0)
    unlabelled = None if test_mode else annotations.unlabelled()
    if unlabelled is not None:
        raise AnnotationError(
            f"{annotations.place_of(unlabelled)}: expected 'path label' with a whole-number label, got "
            f"{annotations.paths[unlabelled]!r} (only test_mode=True takes clips without labels)"
        )
    return num_classes


def require_lengths(annotations: Annotations) -> None:
    """Require the number of frames of every clip, which folders of frames need.

    Raises:
        AnnotationError: there is none, or one is below 1. Names file and line.
    """
    if annotations.total_frames is None or len(annotations.total_frames) != len(annotations):
        raise AnnotationError(
            f"{annotations.source}: has no numbers of frames: expected 'folder total_frames label' lines, or a column"
            " total_frames"
        )
    empty = np.flatnonzero(annotations.total_frames < 1)
    if len(empty):
        raise AnnotationError(
            f"{annotations.place_of(int(empty[0]))}: {annotations.paths[int(empty[0])]!r} has "
            f"{annotations.total_frames[empty[0]]} frames: expected at least 1"
        )


def samples_of(
    annotations: Annotations,
    path_key: str,
    folder: str,
    *,
    multi_class: bool = False,
) -> ColumnSamples:
    """The samples of a dataset, by column.

    Args:
        annotations: the clips.
        path_key: key of the path, such as "filename" or "frame_dir".
        folder: put before relative paths.
        multi_class: labels are lists of class indices; else the first class index, -1 where there is
            none.

    Returns:
        Samples with `path_key`, `label` and, where the annotations have them, `total_frames`,
        `offset`, and `start_seconds` and `end_seconds`, or `start_frame` and `end_frame`.
    """
    labels = annotations.labels.as_lists() if multi_class else annotations.labels
    columns: dict[str, Column] = {path_key: annotations.paths.below(folder), "label": labels}
    unit = annotations.clip_unit if annotations.clip_unit == "seconds" else "frame"
    numbers = {
        "total_frames": annotations.total_frames,
        "offset": annotations.frame_offsets,
        f"start_{unit}": annotations.clip_starts,
        f"end_{unit}": annotations.clip_ends,
    }
    columns |= {key: NumberColumn(values) for key, values in numbers.items() if values is not None}
    return ColumnSamples(columns)
