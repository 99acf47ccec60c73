"""The labelled clips of a training: what to train and to validate on, of which classes, and how that came to be."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from kinema.datasets.annotations import Annotations, Split, read_split
from kinema.datasets.annotations.hold_out import HoldOut
from kinema.datasets.annotations.labels import check_labels
from kinema.datasets.annotations.splits import DataLayout, describe_splits, find_layout
from kinema.datasets.annotations.time_blocks import split_by_time
from kinema.errors import AnnotationError, ConfigError

logger = logging.getLogger("kinema")

MAX_UNNAMED_CLASSES = 100_000  # above it a label is rather an identifier or a time than a class index


@dataclass(frozen=True)
class TrainingClips:
    """Labelled clips, split into those to train and those to validate on.

    Attributes:
        layout: the data set as it was understood.
        classes: names by class index.
        train: the clips to train on.
        val: the clips to validate on.
        train_data: keywords of the dataset that reads the clips to train on, with its `type`.
        val_data: those of the dataset that reads the clips to validate on.
        how: how the two came to be, for people: "as given", "held out by source video, seed 0", ...
        hold_out: the hold-out, where the data set names no validation clips.
        doubts: what a user should know of the split, a sentence each.
    """

    layout: DataLayout
    classes: tuple[str, ...]
    train: Annotations
    val: Annotations
    train_data: dict[str, Any]
    val_data: dict[str, Any]
    how: str
    hold_out: HoldOut | None = None
    doubts: tuple[str, ...] = ()

    @property
    def val_split(self) -> Split:
        """What the clips to validate on are of: the training clips, where they were held out."""
        given = self.layout.val
        return self.layout.train if given is None or self.hold_out is not None else given

    @property
    def multi_label(self) -> bool:
        """May a clip have several labels?"""
        return self.layout.train.multi_label


def read_clips(
    data: str | os.PathLike,
    val: str | os.PathLike | None = None,
    columns: Mapping[str, str] | None = None,
    *,
    work_dir: str | os.PathLike = "work/classification",
    seed: int = 0,
    fold: tuple[int, int] | None = None,
    resumed: Mapping[str, Any] | None = None,
    multi_label: bool | None = None,
) -> TrainingClips:
    """Read labelled clips and settle which of them to train and which to validate on.

    Arguments and errors of `kinema.recipes.classification`.
    """
    layout = find_layout(data, val, columns, multi_label=multi_label)
    train_split, val_split = layout.train, layout.val
    is_plain_list = multi_label is False and train_split.annotations.format == "list"
    if is_plain_list and find_layout(data, val, columns, multi_label=None).train.multi_label:
        raise AnnotationError(
            f"{train_split.path}: its lines have several labels: for --single-label leave one on each line"
        )
    if train_split.annotations.total_frames is not None:
        raise AnnotationError(
            f"{train_split.path}: lists folders of frames, on which a config with RawframeDataset trains; here videos"
            " are expected: a folder becomes one by ffmpeg -framerate 25 -i FOLDER/img_%05d.jpg FOLDER.mp4"
        )
    logger.info("%s", layout.description)
    for note in layout.notes:
        logger.warning("%s", note)
    classes = class_names_of([split for split in (train_split, val_split) if split is not None])
    doubts = [*_several_labels(train_split), *_require_two_classes(train_split, classes)]
    for sentence in doubts:
        logger.warning("%s", sentence)
    if val_split is None or fold is not None:
        held = _held_out(train_split, Path(work_dir), seed, fold, resumed)
        return TrainingClips(
            layout,
            tuple(classes),
            *held[:4],
            how=_how(held[4], len(held[1])),
            hold_out=held[4],
            doubts=(*doubts, *held[5]),
        )
    train_data, val_data = (
        {"type": split.dataset_type, **split.dataset_config()} for split in (train_split, val_split)
    )
    return TrainingClips(
        layout,
        tuple(classes),
        train_split.annotations,
        val_split.annotations,
        train_data,
        val_data,
        how="as the data set has it",
        doubts=tuple(doubts),
    )


def _several_labels(train: Split) -> Iterator[str]:
    """Says where one clip has several labels, and whether all of them are learned."""
    counts = train.annotations.labels.counts()
    several = int((counts > 1).sum())
    if train.multi_label:
        yield (
            f"{several} of {len(counts)} training clips have several labels: each class is learned by itself, yes or"
            " no, and measured by mAP; --single-label learns one label of each clip: the first of a list, and of a text"
            " such as run|jump the whole, as a class of its own"
        )
    elif several:
        yield f"{several} of {len(counts)} training clips have several labels, of which the first is learned only"


def _how(hold_out: HoldOut | None, count: int) -> str:
    """How clips were held out, for people."""
    if hold_out is None:
        return "by the lists in the work folder"
    if hold_out.fold is not None:
        return f"fold {hold_out.fold} of {hold_out.folds}, by source video, seed {hold_out.seed}"
    what = "source videos" if hold_out.by == "source" else "stretches of time"
    return f"whole {what} held out at random, seed {hold_out.seed}"


def class_names_of(splits: Sequence[Split]) -> list[str]:
    """Class names: those of the annotations, else the indices up to the largest label.

    Raises:
        AnnotationError: there are no labels, one is out of range, or the splits name different
            classes.
    """
    names = next((split.annotations.class_names for split in splits if split.annotations.class_names), ())
    for split in splits:
        require_same_classes(split, names)
        check_labels(split.annotations, len(names) or None)
    if names:
        return list(names)
    labels = np.concatenate([split.annotations.labels.values for split in splits])
    if not len(labels):
        raise AnnotationError(
            f"{splits[0].path}: the clips have no labels: expected one 'path label' line a clip, or in a table a column"
            " `label` (--columns label=NAME, where it is called otherwise)"
        )
    if labels.max() >= MAX_UNNAMED_CLASSES:
        raise AnnotationError(
            f"{splits[0].path}: the largest label is {labels.max()}: expected class indices, counted from 0 "
            f"(a list with more than {MAX_UNNAMED_CLASSES} classes needs a classes.txt beside it)"
        )
    return [str(index) for index in range(int(labels.max()) + 1)]


def require_same_classes(split: Split, names: Sequence[str]) -> None:
    """Where a split names its classes, they must be `names`, in this order: else its labels mean something else.

    Raises:
        AnnotationError: they differ.
    """
    own = split.annotations.class_names
    if not own or not names or tuple(own) == tuple(names):
        return
    place = next((i for i, (a, b) in enumerate(zip(own, names, strict=False)) if a != b), min(len(own), len(names)))
    own_name, training_name = (repr(classes[place]) if place < len(classes) else "nothing" for classes in (own, names))
    raise AnnotationError(
        f"{split.path}: class {place} is {own_name} by the classes.txt beside it, but {training_name} in training: "
        "bring its labels into the order of the training's classes"
    )


def _require_two_classes(train: Split, classes: Sequence[str]) -> Iterator[str]:
    """With one class there is nothing to learn, and every clip would be right; yields what is doubtful."""
    present = np.unique(train.annotations.labels.values).tolist()
    if len(present) < 2:
        raise AnnotationError(
            f"{describe_splits(train, None)}: all training clips are of one class, {classes[present[0]]!r}, so there is"
            " nothing to tell apart: expected one folder a class (root/CLASS/*.mp4), both splits"
            " (root/train/CLASS/*.mp4, root/val/CLASS/*.mp4), or a list of 'path label' lines; to find one action"
            " among others give clips of the others too, as a second class"
        )
    missing = [name for index, name in enumerate(classes) if index not in set(present)]
    if missing:
        shown = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        yield f"{len(missing)} of {len(classes)} classes have no training clip: {shown}"


HeldOut: TypeAlias = tuple[Annotations, Annotations, dict[str, Any], dict[str, Any], HoldOut | None, tuple[str, ...]]


def _held_out(
    split: Split, work_dir: Path, seed: int, fold: tuple[int, int] | None, resumed: Mapping[str, Any] | None
) -> HeldOut:
    """The clips to train and to validate on, and the configs of the datasets that read them."""
    doubts: list[str] = []
    before = _hold_out_of(resumed)
    if before is not None:
        hold_out = before
        train, val = hold_out.split(split.annotations)
    elif resumed is not None and (lists := _lists_of_earlier_version(split, work_dir)) is not None:
        return lists
    else:
        hold_out, train, val, doubt = _choose_hold_out(split, seed, fold)
        doubts += [doubt] if doubt else []
    if split.shards is not None:
        doubts.append(
            f"{split.path}: shards do not say which clips come from one source video: some may be on both sides"
        )
    for sentence in doubts:
        logger.warning("%s", sentence)
    if before is not None:
        logger.info("validating on the %d clips that were held out when the run began", len(val))
    elif fold is None:
        logger.info("no validation clips given: held out %d of %d", len(val), len(split.annotations))
    else:
        logger.info("fold %d of %d: %d clips to validate on, by source video", *fold, len(val))
    train_data, val_data = (
        {"type": split.dataset_type, **split.dataset_config(), "hold_out": replace(hold_out, part=part).as_config()}
        for part in ("train", "val")
    )
    return train, val, train_data, val_data, hold_out, tuple(doubts)


def _choose_hold_out(
    split: Split, seed: int, fold: tuple[int, int] | None
) -> tuple[HoldOut, Annotations, Annotations, str]:
    """Hold out whole source videos, or stretches of time where there are too few.

    Also gives both sides, and a sentence on what is doubtful in it; empty: nothing.
    """
    clips = split.annotations
    if fold is not None:
        hold_out = HoldOut(part="train", fold=fold[0], folds=fold[1], seed=seed)
        return hold_out, *hold_out.split(clips), ""
    hold_out = HoldOut(part="train", seed=seed)
    try:
        return hold_out, *hold_out.split(clips), ""
    except AnnotationError:
        by_time = split_by_time(clips, hold_out.fraction, seed)
        if by_time is None:
            raise
        return replace(hold_out, by="time"), by_time.train, by_time.held, str(by_time)


def _hold_out_of(settings: Any) -> HoldOut | None:
    """The hold-out that a run recorded in `run.json`; None where it has none."""
    for key in ("val_dataloader", "dataset", "hold_out"):
        settings = settings.get(key) if isinstance(settings, Mapping) else None
    if settings is None:
        return None
    try:
        return HoldOut(**settings)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"run.json: the hold-out of the run to resume is none: {error}") from error


def _lists_of_earlier_version(split: Split, work_dir: Path) -> HeldOut | None:
    """What the lists say that a run of an earlier version wrote into its work folder; None: there are none."""
    by_part = ([work_dir / "data" / f"{name}{suffix}" for suffix in (".txt", ".csv")] for name in ("train", "val"))
    files = [file for candidates in by_part for file in candidates if file.is_file()]
    if split.shards is not None or len(files) < 2:
        return None
    train, val = (read_split(file).annotations for file in files)
    root = split.video_root.resolve()
    others = len({os.fspath(root / path) for path in split.annotations.paths} ^ {*train.paths, *val.paths})
    if others:
        logger.warning(
            "%s: %d clips are only in the data or only in the lists of the run that is resumed, %s: it keeps its lists",
            *(split.path, others, work_dir / "data"),
        )
    logger.info("validating on the %d clips that were held out when the run began", len(val))
    configs = [{"ann_file": os.fspath(file), "data_prefix": {"video": ""}} for file in files]
    return train, val, configs[0], configs[1], None, ()
