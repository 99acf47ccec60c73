"""Recipes of one's own: Python files with `recipe(clips, ...)`, such as `kinema config --as-recipe` writes."""

import inspect
import os
import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kinema.config import Config
from kinema.errors import ConfigError
from kinema.recipes.clips import TrainingClips


def is_recipe_file(recipe: str | None) -> bool:
    """Is this the path of a recipe, and not the name of one?"""
    return recipe is not None and recipe.endswith(".py")


def config_of_recipe_file(
    file: str,
    clips: TrainingClips,
    *,
    settings: Mapping[str, Any],
    pretrained: str | os.PathLike | None = None,
    refused: Mapping[str, Any],
) -> Config:
    """The config of training on clips as a file says. The file is executed.

    Args:
        file: path of the recipe.
        clips: the clips.
        settings: keywords of its function; None: as the function's default says.
        pretrained: weights to start from.
        refused: options that a file settles itself, by name; none of them may be given.

    Raises:
        ConfigError: there is no such file or function, it fails, or it has no such keyword.
    """
    given = [name for name, value in refused.items() if value not in (None, False)]
    if given:
        raise ConfigError(f"{file}: a recipe of one's own settles {', '.join(given)} itself: change the file, or --set")
    function = _function(Path(file).expanduser())
    keywords = {name: value for name, value in settings.items() if value is not None}
    known = inspect.signature(function).parameters
    unknown = [name for name in keywords if name not in known]
    if unknown:
        raise ConfigError(
            f"{file}: recipe(clips, ...) has no keyword {unknown[0]!r}: it has {', '.join(list(known)[1:])}"
        )
    try:
        recipe = function(clips, **keywords)
    except Exception as error:
        raise ConfigError(f"{file}: recipe(...) failed: {type(error).__name__}: {error}") from error
    if not isinstance(recipe, Mapping):
        raise ConfigError(f"{file}: recipe(...) must return a Config, got a {type(recipe).__name__}")
    config = Config(recipe)
    if pretrained is not None:
        config["load_from"] = os.fspath(pretrained)
    config["custom_hooks"] = [
        {"type": "SummaryNotesHook", "notes": {"data": _facts(Path(file), clips, config)}},
        *([] if clips.layout.val is not None else [{"type": "ClipListsHook"}]),
        *(config.get("custom_hooks") or []),
    ]
    return config


def _function(file: Path) -> Any:
    if not file.is_file():
        raise ConfigError(f"{file}: there is no such recipe file; `kinema recipes` lists those with a name")
    try:
        names = runpy.run_path(str(file))
    except Exception as error:
        raise ConfigError(f"{file}: the recipe cannot be read: {type(error).__name__}: {error}") from error
    function = names.get("recipe")
    if not inspect.isroutine(function):
        raise ConfigError(
            f"{file}: a recipe is a file with a function recipe(clips, *, epochs=..., batch_size=..., ...)"
        )
    return function


def _facts(file: Path, clips: TrainingClips, config: Config) -> dict[str, Any]:
    """What the guide and the summary say of the training."""
    model = config["model"]
    dataset = config["train_dataloader"]["dataset"]
    while "pipeline" not in dataset and "dataset" in dataset:  # of a wrapper
        dataset = dataset["dataset"]
    steps = dataset.get("pipeline") or ()
    sampling: Mapping[str, Any] = next((step for step in steps if "Sample" in str(step.get("type"))), {})
    length, interval = sampling.get("clip_len", 1), sampling.get("frame_interval", 1)
    count = sampling.get("num_clips", 1)
    return {
        "layout": clips.layout.description,
        "train_clips": len(clips.train),
        "val_clips": len(clips.val),
        "split": clips.how,
        "model": str((model.get("backbone") or model).get("type")),
        "sees": f"{count} x {length} frames, every {interval}" if interval != 1 else f"{count} x {length} frames",
        "frame": f"crops as {file.name} says",
        "epochs": config["train_cfg"].get("max_epochs"),
        "batch_size": config["train_dataloader"].get("batch_size", 1),
        "prepared": None,
        "options": [],
        "warnings": [],
        "recipe": str(file),
    }
