"""From clips to a whole training config: what `kinema train DATA` runs."""

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from kinema.config import Config
from kinema.cores import default_readers
from kinema.datasets.inspection.problems import FEW_TO_VALIDATE_ON, Problem, class_counts, problems_of_splits
from kinema.errors import ConfigError
from kinema.models import zoo
from kinema.models.zoo.creation import published_weights
from kinema.recipes.clips import TrainingClips, read_clips
from kinema.recipes.loss_options import describe_loss_options, with_loss_options
from kinema.recipes.own import config_of_recipe_file, is_recipe_file
from kinema.recipes.presets import PRESETS, ClipSetFacts, choose, this_machine
from kinema.recipes.published import find_recipe, model_of_recipe
from kinema.recipes.recipe import Recipe
from kinema.recipes.sampling import ClipSampling, choose_sampling
from kinema.recipes.training import (
    log_recipe,
    model_of_training,
    repeated,
    sampled,
    start_address,
    start_weights,
    train_pipeline,
    training_settings,
)

logger = logging.getLogger("kinema")

DEFAULT_MODEL = "compact3d"
SMOOTHED_EPOCHS = 3  # the accuracies of so many validations choose the best one


def classification(
    data: str | os.PathLike | TrainingClips,
    *,
    val: str | os.PathLike | None = None,
    model: str | None = None,
    recipe: str | None = None,
    preset: str | None = None,
    device: str = "auto",
    pretrained: str | os.PathLike | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    work_dir: str | os.PathLike = "work/classification",
    seed: int = 0,
    workers: int | None = None,
    patience: int | Literal["off"] | None = None,
    class_weights: str | None = None,
    label_smoothing: float | None = None,
    mixup: float | None = None,
    multi_label: bool | None = None,
    prepared: str | os.PathLike | None = None,
    fold: tuple[int, int] | None = None,
    resumed: Mapping[str, Any] | None = None,
    columns: Mapping[str, str] | None = None,
) -> Config:
    """The config of training `model` on labelled clips.

    Args:
        data: what `kinema.datasets.annotations.find_splits` takes; or clips that `read_clips` read, for
            which `val`, `columns` and `resumed` have no effect.
        val: validation clips, when `data` does not lead to them; without any a fifth of each class
            is held out: the datasets' `hold_out` says how.
        model: a name of the zoo; default: the recipe's, else compact3d.
        recipe: name of a published recipe, see `kinema.recipes.published`, or "auto", the model's
            own: optimizer, schedule, crops and frames are as published; or a Python file, see
            `kinema.recipes.own`. None: what trains in minutes, with the distance of frames that
            suits the clips.
        preset: "fast", "balanced" or "best": model, epochs, batch size and weights that suit the clips
            and the machine, see `kinema.recipes.presets`; what is given beside it stays. None: as
            "fast".
        device: that the preset chooses for, such as "cpu"; "auto": a GPU, where there is one.
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
        class_weights: "auto": a clip of a small class counts more, see `balanced_weights`; None,
            "none": all alike.
        label_smoothing: share of each label that is spread over all classes; None: 0.
        mixup: alpha of blending pairs of clips and their labels, such as 0.2; None: none.
        multi_label: clips may have several labels, of which each is learned by itself and measured
            by mean average precision; None: as the labels say.
        prepared: folder of `kinema data prepare`, whose videos are read in place of their originals;
            annotations, hold-out and messages name the originals.
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
    check_choice(model, recipe, preset)
    if not isinstance(data, TrainingClips):
        data = read_clips(
            data, val, columns, work_dir=work_dir, seed=seed, fold=fold, resumed=resumed, multi_label=multi_label
        )
    if fold is not None and data.multi_label:
        raise ConfigError(
            f"{data.layout.train.path}: cross-validation measures accuracies, of clips of one label; these have"
            " several: leave --folds out"
        )
    if recipe is not None and is_recipe_file(recipe):
        return config_of_recipe_file(
            recipe,
            data,
            settings={
                "epochs": epochs,
                "batch_size": batch_size,
                "workers": workers,
                "work_dir": os.fspath(work_dir),
                "seed": seed,
            },
            pretrained=pretrained,
            refused={
                "model": model,
                "patience": patience,
                "class weights": class_weights,
                "label smoothing": label_smoothing,
                "mixup": mixup,
                "prepared clips": prepared,
            },
        )
    why: tuple[str, ...] = ()
    if preset is not None:
        choice = choose(preset, ClipSetFacts(len(data.train), len(data.classes)), this_machine(device))
        model, why = choice.model, choice.why
        epochs, batch_size = epochs or choice.epochs, batch_size or choice.batch_size
        pretrained = pretrained or choice.pretrained
    card, chosen = _named(model, recipe)
    fits_clips = chosen is None or chosen.fits_clips
    sampling = choose_sampling(
        card.input, data.layout.train, fits_clips=fits_clips, from_weights=pretrained is not None
    )
    batch_size = min(16, max(2, len(data.train) // 8)) if batch_size is None else batch_size
    if epochs is None:
        epochs = None if chosen is None else chosen.epochs
    epochs = int(np.clip(500 * batch_size // max(len(data.train), 1), 12, 60)) if epochs is None else epochs
    if patience is None:
        patience = max(10, epochs // 3) if fits_clips else "off"
    loss_options: dict[str, Any] = {
        "class_weights": class_weights,
        "label_smoothing": label_smoothing,
        "mixup": mixup,
    }
    facts = {
        "layout": data.layout.description,
        "train_clips": len(data.train),
        "val_clips": len(data.val),
        "split": data.how,
        "model": card.name,
        "sees": sampling.sees,
        "why": why,
        "frame": sampling.frame,
        "epochs": epochs,
        "batch_size": batch_size,
        "folds": None if fold is None else fold[1],
        "prepared": None if prepared is None else os.fspath(prepared),
        "options": describe_loss_options(multi_label=data.multi_label, **loss_options),
        "warnings": [*sampling.warnings(), *_warnings(data, of_folds=fold is not None)],
    } | ({} if chosen is None else {"recipe": chosen.name})
    _log(facts, len(data.classes))
    train_set, val_set = _datasets(data, card, chosen, sampling, prepared)
    model_config = _model(data, card, chosen, loss_options)
    model_config, load_from = _start(model_config, card, chosen, pretrained, data.classes)
    # Where the data set names no validation clips, the work folder says which were held out.
    hooks = [{"type": "ClipListsHook"}] if data.layout.val is None or fold is not None else []
    loader = _loader(batch_size, workers)
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
            "val_evaluator": _metrics(len(data.classes), multi_label=data.multi_label),
            "train_cfg": {"max_epochs": epochs, "val_interval": 1, "patience": None if patience == "off" else patience},
            "val_cfg": {},
            **(card.training if chosen is None else training_settings(chosen, epochs)),
            "default_hooks": {
                "checkpoint": {
                    "interval": 1,
                    "max_keep_ckpts": 2,
                    "save_best": _best_by(data),
                    "smooth": SMOOTHED_EPOCHS,
                }
            },
            "custom_hooks": [{"type": "SummaryNotesHook", "notes": {"data": facts}}, *hooks],
            "randomness": {"seed": seed},
            "work_dir": os.fspath(work_dir),
            **({} if load_from is None else {"load_from": load_from}),
        }
    )


def _warnings(clips: TrainingClips, *, of_folds: bool) -> list[str]:
    """What is wrong with the clips, a sentence each."""
    problems = problems_of_splits(clips.train, clips.val, list(clips.classes))
    # All folds together validate on every clip.
    return [in_words(problem) for problem in problems if not (of_folds and problem.kind == FEW_TO_VALIDATE_ON)]


def _log(facts: Mapping[str, Any], num_classes: int) -> None:
    logger.info(
        "%d clips of %d classes to train on; %s sees %s, and of each %s",
        *(facts["train_clips"], num_classes, facts["model"], facts["sees"], facts["frame"]),
    )
    for sentence in facts["warnings"]:
        logger.warning("%s", sentence)


def _datasets(
    clips: TrainingClips,
    card: zoo.Card,
    recipe: Recipe | None,
    sampling: ClipSampling,
    prepared: str | os.PathLike | None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Configs of the datasets to train and to validate on."""
    train_steps, val_steps = (zoo.video_pipeline(card, **sampling.settings, train=train) for train in (True, False))
    if recipe is not None:
        train_steps = train_pipeline(train_steps, recipe, card.input, list(clips.classes))
        val_steps = sampled(val_steps, recipe)
    if prepared is not None:
        opening = {"type": "OpenVideo", "prepared": os.fspath(prepared)}
        train_steps, val_steps = ([opening, *steps[1:]] for steps in (train_steps, val_steps))
    metainfo = {"classes": list(clips.classes), "clip_seconds": sampling.clip_seconds}
    train_set, val_set = (
        {"type": "VideoDataset", **dataset, "metainfo": metainfo, "pipeline": steps}
        for dataset, steps in ((clips.train_data, train_steps), (clips.val_data, val_steps))
    )
    return train_set if recipe is None else repeated(train_set, recipe), val_set


def _model(
    clips: TrainingClips, card: zoo.Card, recipe: Recipe | None, loss_options: Mapping[str, Any]
) -> dict[str, Any]:
    """Config of the model for these classes, with the loss that was asked for."""
    num_classes = len(clips.classes)
    model = zoo.model_config(card.name, num_classes=num_classes)
    if recipe is not None:
        model = model_of_training(model, recipe, num_classes, multi_label=clips.multi_label)
    counts = class_counts(clips.train, num_classes)
    return with_loss_options(model, counts, multi_label=clips.multi_label, **loss_options)


def _start(
    model: dict[str, Any],
    card: zoo.Card,
    recipe: Recipe | None,
    pretrained: str | os.PathLike | None,
    classes: Sequence[str],
) -> tuple[dict[str, Any], str | None]:
    """The config of a model with what it starts from, and the weights to load before a training.

    Raises:
        ConfigError: there are no such weights.
    """
    load_from = None if pretrained is None else os.fspath(pretrained)
    if load_from == "published":
        load_from = published_weights(card)
    if recipe is None:
        if load_from == "recipe":
            raise ConfigError("pretrained 'recipe' are the weights that a recipe starts from: name one, or 'auto'")
        return model, load_from
    has_weights = start_address(model, recipe, card) is not None
    log_recipe(recipe, list(classes), starts_fresh=pretrained is None, has_weights=has_weights)
    return start_weights(model, recipe, card) if load_from == "recipe" else (model, load_from)


def _loader(batch_size: int, workers: int | None) -> dict[str, Any]:
    """What the configs of both loaders share."""
    num_workers = default_readers() if workers is None else workers
    return {"batch_size": batch_size, "num_workers": num_workers, "persistent_workers": num_workers > 0}


def check_choice(model: str | None, recipe: str | None, preset: str | None = None) -> None:
    """Check the names of what is to be trained, which needs no clips.

    Args:
        model: a name of the zoo; None: not given.
        recipe: a name of a recipe, "auto", or a file of one; likewise.
        preset: a name of `PRESETS`; likewise.

    Raises:
        ConfigError: there is no such model, recipe or preset, a preset stands beside one of the
            others, or the model takes no videos.
    """
    if preset is not None and (model is not None or recipe is not None):
        given = "--model" if model is not None else "--recipe"
        raise ConfigError(f"--preset chooses the model and how it is trained: leave {given} or --preset out")
    if preset is not None and preset not in PRESETS:
        raise ConfigError(f"--preset: expected {', '.join(PRESETS)}, got {preset!r}")
    if not is_recipe_file(recipe):
        _named(model, recipe)


def _named(model: str | None, recipe: str | None) -> tuple[zoo.Card, Recipe | None]:
    """The model that is meant, and the recipe."""
    card = zoo.card(model or (None if recipe is None else model_of_recipe(recipe)) or DEFAULT_MODEL)
    zoo.video_pipeline(card)  # it may not take videos
    return card, None if recipe is None else find_recipe(recipe, card.name)


def _metrics(num_classes: int, *, multi_label: bool) -> list[dict[str, Any]]:
    """Configs of the metrics of a validation."""
    if multi_label:
        return [{"type": "AccMetric", "metric_list": ("mean_average_precision",)}, {"type": "MAPInterval"}]
    # Of five classes or fewer, the five best are all.
    top_k = {"topk": (1, 5) if num_classes > 5 else (1,)}
    return [{"type": "AccMetric", "metric_options": {"top_k_accuracy": top_k}}, {"type": "Top1Interval"}]


def _best_by(clips: TrainingClips) -> str:
    """The figure that chooses the best checkpoint."""
    return "acc/mean_average_precision" if clips.multi_label else "acc/top1"


def in_words(problem: Problem) -> str:
    """A problem of the data in one line, with its first example."""
    return problem.message + (
        f" ({problem.examples[0]}{', ...' if problem.count > 1 else ''})" if problem.examples else ""
    )
