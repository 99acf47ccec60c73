"""From clips to a whole training config: what `kinema train DATA` runs."""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from kinema.config import Config
from kinema.cores import available_cores
from kinema.datasets.annotations import Annotations, Split, read_split
from kinema.datasets.annotations.hold_out import HoldOut
from kinema.datasets.annotations.labels import check_labels
from kinema.datasets.annotations.splits import describe_splits, find_layout
from kinema.datasets.annotations.time_blocks import split_by_time
from kinema.datasets.inspection.survey import Problem, problems_of_splits
from kinema.errors import AnnotationError, ConfigError
from kinema.models import zoo
from kinema.models.zoo.creation import published_weights
from kinema.recipes.published import find_recipe, model_of_recipe
from kinema.recipes.sampling import (
    choose_frame_interval,
    clip_seconds,
    describe_frame,
    describe_sampling,
    probe_clips,
    published_interval,
    sampling_warnings,
    takes_whole_frame,
)
from kinema.recipes.training import log_recipe, sampled, train_pipeline, training_settings, with_start_weights

logger = logging.getLogger("kinema")

DEFAULT_MODEL = "compact3d"
SMOOTHED_EPOCHS = 3  # the accuracies of so many validations choose the best one
MAX_UNNAMED_CLASSES = 100_000  # above it a label is rather an identifier or a time than a class index


def classification(
    data: str | os.PathLike,
    *,
    val: str | os.PathLike | None = None,
    model: str | None = None,
    recipe: str | None = None,
    pretrained: str | os.PathLike | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    work_dir: str | os.PathLike = "work/classification",
    seed: int = 0,
    workers: int | None = None,
    patience: int | Literal["off"] | None = None,
    fold: tuple[int, int] | None = None,
    resumed: Mapping[str, Any] | None = None,
    columns: Mapping[str, str] | None = None,
) -> Config:
    """The config of training `model` on labelled clips.

    Args:
        data: what `kinema.datasets.annotations.find_splits` takes.
        val: validation clips, when `data` does not lead to them; without any a fifth of each class
            is held out: the datasets' `hold_out` says how.
        model: a name of the zoo; default: the recipe's, else compact3d.
        recipe: name of a published recipe, see `kinema.recipes.published`, or "auto", the model's
            own: optimizer, schedule, crops and frames are as published. None: what trains in
            minutes, with the distance of frames that suits the clips.
        pretrained: weights to start from: "published", those of the model's card; "recipe", those
            that the recipe starts from, such as ImageNet's; or a file, folder or address. The
            classifier starts fresh where their classes are not as many.
        epochs: passes over the training clips; default: the recipe's, else about 500 steps, at
            least 12 and at most 60 epochs.
        batch_size: clips a step; default 16, fewer for small sets.
        work_dir: folder for all files of the run.
        seed: of all random numbers, and of the clips held out.
        workers: processes that read clips; default one a core, at most 8.
        patience: stop when the validation clips have not been recognized better for so many epochs,
            see `EpochBasedTrainLoop`; "off": never; default: a third of the epochs, at least 10,
            and never with a published recipe.
        fold: `(k, K)`: validate on part k, counted from 1, of K parts of the training clips, and
            train on the others; validation clips that there are as well are left alone.
        resumed: the config of the run that is resumed, as
            `kinema.runs.settings_file.read_settings` gives it: the same clips are held out,
            whatever `seed` and `fold` say. Else it would train on clips that it was validated on.
        columns: names of a table's columns where they cannot be found out, e.g.
            `dict(path="clip", label="verb")`.

    Returns:
        A config for `Runner.from_cfg`.

    Raises:
        AnnotationError: the clips or labels are wrong.
        ConfigError: no such model or recipe, or `resumed` holds a damaged hold-out.
        VideoError: no clip can be read.
    """
    model = model or (None if recipe is None else model_of_recipe(recipe)) or DEFAULT_MODEL
    card = zoo.card(model)
    chosen = None if recipe is None else find_recipe(recipe, model)
    fits_clips = chosen is None or chosen.fits_clips
    zoo.video_pipeline(card)  # it may not take videos
    layout = find_layout(data, val, columns)
    train_split, val_split = layout.train, layout.val
    logger.info("%s", layout.description)
    for note in layout.notes:
        logger.warning("%s", note)
    classes = class_names_of([split for split in (train_split, val_split) if split is not None])
    _require_two_classes(train_split, classes)
    probed = probe_clips(train_split)
    frame_interval = choose_frame_interval(card.input, probed) if fits_clips else published_interval(card.input)
    hooks: list[dict[str, Any]] = []
    if val_split is None or fold is not None:
        train_clips, val_clips, train_data, val_data = _held_out(train_split, Path(work_dir), seed, fold, resumed)
        hooks.append({"type": "ClipListsHook"})
    else:
        train_clips, val_clips = train_split.annotations, val_split.annotations
        train_data, val_data = (
            {"type": split.dataset_type, **split.dataset_config()} for split in (train_split, val_split)
        )
    views: dict[str, Any] = {"frame_interval": frame_interval, "num_clips": 1}
    whole_frame = views["whole_frame"] = fits_clips and takes_whole_frame(probed, from_weights=pretrained is not None)
    count = len(train_clips)
    problems = problems_of_splits(train_clips, val_clips, classes)
    batch_size = min(16, max(2, count // 8)) if batch_size is None else batch_size
    if epochs is None and chosen is not None:
        epochs = chosen.epochs
    epochs = int(np.clip(500 * batch_size // max(count, 1), 12, 60)) if epochs is None else epochs
    loader = {"batch_size": batch_size, "num_workers": default_workers() if workers is None else workers}
    loader["persistent_workers"] = loader["num_workers"] > 0
    metainfo = {"classes": classes, "clip_seconds": clip_seconds(card.input, frame_interval, probed)}
    train_steps, val_steps = (zoo.video_pipeline(card, **views, train=train) for train in (True, False))
    training = card.training
    if chosen is not None:
        train_steps = train_pipeline(train_steps, chosen, card.input, classes)
        val_steps = sampled(val_steps, chosen)
        training = training_settings(chosen, epochs)
    train_set = {
        "type": "VideoDataset",
        **train_data,
        "metainfo": metainfo,
        "pipeline": train_steps,
    }
    val_set = {
        "type": "VideoDataset",
        **val_data,
        "metainfo": metainfo,
        "pipeline": val_steps,
    }
    logger.info(
        "%d clips of %d classes to train on; %s sees %s, and of each %s",
        *(count, len(classes), model, describe_sampling(card.input, frame_interval, probed)),
        describe_frame(card.input, probed, whole_frame=whole_frame),
    )
    warnings = [
        *sampling_warnings(card.input, frame_interval, probed, whole_frame=whole_frame),
        *map(in_words, problems),
    ]
    for sentence in warnings:
        logger.warning("%s", sentence)
    model_config = zoo.model_config(model, num_classes=len(classes))
    load_from = None if pretrained is None else os.fspath(pretrained)
    if load_from == "published":
        load_from = published_weights(card)
    if load_from == "recipe" and chosen is None:
        raise ConfigError("pretrained 'recipe' are the weights that a recipe starts from: name one, or 'auto'")
    if chosen is not None:
        log_recipe(chosen, classes, starts_fresh=pretrained is None)
        if load_from == "recipe":
            model_config, load_from = with_start_weights(model_config, chosen, card), None
    if patience is None:
        patience = max(10, epochs // 3) if fits_clips else "off"
    facts = {"layout": layout.description, "train_clips": count, "val_clips": len(val_clips), "warnings": warnings}
    if chosen is not None:
        facts["recipe"] = chosen.name
    return Config(
        {
            "model": model_config,
            "train_dataloader": {
                **loader,
                "dataset": train_set,
                "sampler": {"type": "DefaultSampler", "shuffle": True},
            },
            "val_dataloader": {
                **loader,
                "dataset": {**val_set, "test_mode": True},
                "sampler": {"type": "DefaultSampler", "shuffle": False},
            },
            "val_evaluator": [
                # Of five classes or fewer, the five best are all.
                {
                    "type": "AccMetric",
                    "metric_options": {"top_k_accuracy": {"topk": (1, 5) if len(classes) > 5 else (1,)}},
                },
                {"type": "Top1Interval"},
            ],
            "train_cfg": {"max_epochs": epochs, "val_interval": 1, "patience": None if patience == "off" else patience},
            "val_cfg": {},
            **training,
            "default_hooks": {
                "checkpoint": {"interval": 1, "max_keep_ckpts": 2, "save_best": "acc/top1", "smooth": SMOOTHED_EPOCHS}
            },
            "custom_hooks": [{"type": "SummaryNotesHook", "notes": {"data": facts}}, *hooks],
            "randomness": {"seed": seed},
            "work_dir": os.fspath(work_dir),
            **({} if load_from is None else {"load_from": load_from}),
        }
    )


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
        raise AnnotationError(f"{splits[0].path}: the clips have no labels: expected one 'path label' line a clip")
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


def _require_two_classes(train: Split, classes: Sequence[str]) -> None:
    """With one class there is nothing to learn, and every clip would be right."""
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
        logger.warning("%d of %d classes have no training clip: %s", len(missing), len(classes), shown)


def default_workers() -> int:
    """One process a core that this process may use, at most 8."""
    return min(available_cores(), 8)


HeldOut: TypeAlias = tuple[Annotations, Annotations, dict[str, Any], dict[str, Any]]


def _held_out(
    split: Split, work_dir: Path, seed: int, fold: tuple[int, int] | None, resumed: Mapping[str, Any] | None
) -> HeldOut:
    """The clips to train and to validate on, and the configs of the datasets that read them."""
    before = _hold_out_of(resumed)
    if before is not None:
        hold_out = before
        train, val = hold_out.split(split.annotations)
    elif resumed is not None and (lists := _lists_of_earlier_version(split, work_dir)) is not None:
        return lists
    else:
        hold_out, train, val = _choose_hold_out(split, seed, fold)
    if split.shards is not None:
        logger.warning(
            "%s: shards do not say which clips come from one source video: some may be on both sides", split.path
        )
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
    return train, val, train_data, val_data


def _choose_hold_out(split: Split, seed: int, fold: tuple[int, int] | None) -> tuple[HoldOut, Annotations, Annotations]:
    """Hold out whole source videos, or stretches of time where there are too few; also gives both sides."""
    clips = split.annotations
    if fold is not None:
        hold_out = HoldOut(part="train", fold=fold[0], folds=fold[1], seed=seed)
        return hold_out, *hold_out.split(clips)
    hold_out = HoldOut(part="train", seed=seed)
    try:
        return hold_out, *hold_out.split(clips)
    except AnnotationError:
        by_time = split_by_time(clips, hold_out.fraction, seed)
        if by_time is None:
            raise
        logger.warning("%s", by_time)
        return replace(hold_out, by="time"), by_time.train, by_time.held


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
    return train, val, configs[0], configs[1]


def in_words(problem: Problem) -> str:
    """A problem of the data in one line, with its first example."""
    return problem.message + (
        f" ({problem.examples[0]}{', ...' if problem.count > 1 else ''})" if problem.examples else ""
    )
