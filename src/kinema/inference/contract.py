"""What a checkpoint is for: its model, class names, sampling and preprocessing, wherever the file comes from."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinema import __version__
from kinema.checkpoints.loading import CONFIG_FILE, Checkpoint
from kinema.checkpoints.saving import FORMAT
from kinema.checkpoints.unpickling.restricted import first_line
from kinema.config import Config
from kinema.config.text import parse_config_text
from kinema.errors import CheckpointError, ConfigError
from kinema.inference.known_classes import public_classes
from kinema.inference.untrusted import checked_classes, checked_model, checked_pipeline
from kinema.openmmlab.configs import from_0x, is_of_0x, pipeline_of_tests, without_pretrained
from kinema.transforms import join_pipeline

Pipeline = list[dict[str, Any]]

MOST_CHARACTERS = 4 << 20  # of a config.json


@dataclass(frozen=True)
class Contract:
    """How to build a model, and how to feed it.

    Attributes:
        model: config of the model.
        pipeline: configs of transforms, from `filename` to packed inputs.
        classes: class names by index; empty: not told.
        content: all that was told, as a checkpoint's `config.json` holds it.
        is_from_file: the config came with the weights, see `kinema.inference.untrusted`; else the user gave it.
    """

    model: dict[str, Any]
    pipeline: Pipeline
    classes: tuple[str, ...]
    content: dict[str, Any]
    is_from_file: bool = False


def read_contract(folder: Path) -> Contract:
    """The contract of a folder that `save_pretrained` wrote. Its config is data of whoever wrote it: it is looked at first.

    Raises:
        CheckpointError: it does not tell what is needed.
    """
    file = folder / CONFIG_FILE
    try:
        with file.open(encoding="utf-8") as opened:
            text = opened.read(MOST_CHARACTERS + 1)
        if len(text) > MOST_CHARACTERS:
            raise CheckpointError(
                f"{file}: is longer than {MOST_CHARACTERS} characters, so it is no config of a checkpoint"
            )
        config = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{file}: is no JSON file that can be read: {first_line(error)}") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{file}: expected a JSON object, got a {type(config).__name__}")
    version = config.get("format", 1)
    if type(version) is not int or version < 1:
        raise CheckpointError(f"{file}: 'format' must be a whole number above 0, got {version!r:.80}")
    if version > FORMAT:
        raise CheckpointError(
            f"{file}: is of format {version}, this Kinema {__version__} reads up to {FORMAT}: it was written by a newer "
            "Kinema, install that one"
        )
    needed = {"model": "the model", "sampling": "how frames are sampled", "preprocessing": "preprocessing"}
    for key, what in needed.items():
        if config.get(key) is None:
            raise CheckpointError(
                f"{file}: does not tell {what} ({key!r} is missing): it was trained from Python objects, not from a "
                "config; build the model in your code and use kinema.models.load_checkpoint"
            )
    if not isinstance(config["model"], dict):
        raise CheckpointError(f"{file}: expected an object for 'model', got a {type(config['model']).__name__}")
    for key in ("sampling", "preprocessing"):
        if not isinstance(config[key], list):
            raise CheckpointError(
                f"{file}: expected a list of transforms for {key!r}, got a {type(config[key]).__name__}"
            )
    model = checked_model(config["model"], str(file))
    steps = checked_pipeline([*config["sampling"], *config["preprocessing"]], str(file))
    count = len(config["sampling"])
    pipeline = join_pipeline(steps[:count], steps[count:])
    classes = checked_classes(config.get("classes"), str(file))
    return Contract(model, pipeline, classes, {**config, "model": model}, is_from_file=True)


def given_contract(config: Mapping[str, Any], where: str) -> Contract:
    """The contract of a folder, by a config that the user gives: of MMAction2's form, or as `config.json` holds it.

    Raises:
        CheckpointError: it lacks what is needed.
    """
    if "sampling" not in config or "preprocessing" not in config:
        return foreign_contract(Checkpoint({}), config, where)
    pipeline = join_pipeline(config["sampling"], config["preprocessing"])
    return Contract(dict(config["model"]), pipeline, checked_classes(config.get("classes"), where), dict(config))


def foreign_contract(read: Checkpoint, config: Mapping[str, Any] | None, where: str) -> Contract:
    """The contract of a file of MMAction2, from the config that it was trained with.

    Args:
        read: the file.
        config: that config; None takes the one that training wrote into the file.
        where: what messages call the file.

    Raises:
        CheckpointError: the config is not in the file, or lacks what is needed.
    """
    meta = read.content.get("meta")
    meta = meta if isinstance(meta, Mapping) else {}
    is_from_file = config is None
    if config is None:
        text = meta.get("cfg", meta.get("config"))
        if not isinstance(text, str):
            raise CheckpointError(
                f"{where}: the file does not tell its config: give it, as in kinema.load(path, config='config.py')"
            )
        try:
            config = parse_config_text(text, f"{where}: the config in it")
        except ConfigError as error:
            raise CheckpointError(f"{error}. Give the config, as in kinema.load(path, config='config.py')") from None
    try:
        today = from_0x(config) if is_of_0x(config) else config
        model, pipeline = today.get("model"), pipeline_of_tests(today)
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise CheckpointError(f"{where}: its config is not of the form of MMAction2's: {first_line(error)}") from error
    if not isinstance(model, Mapping) or not pipeline:
        lacks = (
            "pipeline (test_pipeline or test_dataloader.dataset.pipeline)" if isinstance(model, Mapping) else "model"
        )
        raise CheckpointError(f"{where}: its config has no {lacks}")
    dataset_meta = meta.get("dataset_meta")
    told_classes = (dataset_meta if isinstance(dataset_meta, Mapping) else meta).get("classes", meta.get("CLASSES"))
    classes = checked_classes(told_classes, where)
    if is_from_file:
        plain, steps = checked_model(model, where), checked_pipeline(pipeline, where)
    else:
        plain, steps = without_pretrained(Config(dict(model)).to_dict()), [dict(step) for step in pipeline]
    if not classes:
        head = plain.get("cls_head")
        classes = public_classes(config, head.get("num_classes") if isinstance(head, Mapping) else None, where)
    return Contract(plain, steps, classes, {"model": plain}, is_from_file)
