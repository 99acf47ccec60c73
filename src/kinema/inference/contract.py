"""What a checkpoint is for: its model, class names, sampling and preprocessing, wherever the file comes from."""

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinema.config import Config
from kinema.config.text import parse_config_text
from kinema.errors import CheckpointError, ConfigError
from kinema.inference.known_classes import public_classes
from kinema.models.checkpoint import CONFIG_FILE, Checkpoint
from kinema.transforms import join_pipeline

Pipeline = list[dict[str, Any]]


@dataclass(frozen=True)
class Contract:
    """How to build a model, and how to feed it.

    Attributes:
        model: config of the model.
        pipeline: configs of transforms, from `filename` to packed inputs.
        classes: class names by index; empty: not told.
        content: all that was told, as a checkpoint's `config.json` holds it.
    """

    model: dict[str, Any]
    pipeline: Pipeline
    classes: tuple[str, ...]
    content: dict[str, Any]


def read_contract(folder: Path) -> Contract:
    """The contract of a folder that `save_pretrained` wrote.

    Raises:
        CheckpointError: it does not tell what is needed.
    """
    file = folder / CONFIG_FILE
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{file}: is no JSON file that can be read: {error}") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{file}: expected a JSON object, got a {type(config).__name__}")
    needed = {"model": "the model", "sampling": "how frames are sampled", "preprocessing": "preprocessing"}
    for key, what in needed.items():
        if config.get(key) is None:
            raise CheckpointError(
                f"{file}: does not tell {what} ({key!r} is missing): it was trained from Python objects, not from a "
                "config; build the model in your code and use kinema.models.load_checkpoint"
            )
    pipeline = join_pipeline(config["sampling"], config["preprocessing"])
    return Contract(config["model"], pipeline, tuple(config.get("classes") or ()), config)


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
    told = config if "data" not in config else _as_new_config(config)
    model, pipeline = told.get("model"), test_pipeline(told)
    if not isinstance(model, Mapping) or not pipeline:
        lacks = (
            "pipeline (test_pipeline or test_dataloader.dataset.pipeline)" if isinstance(model, Mapping) else "model"
        )
        raise CheckpointError(f"{where}: its config has no {lacks}")
    dataset_meta = meta.get("dataset_meta")
    classes = (dataset_meta if isinstance(dataset_meta, Mapping) else meta).get("classes", meta.get("CLASSES")) or ()
    if not classes:
        classes = public_classes(config, (model.get("cls_head") or {}).get("num_classes"), where)
    plain = _without_pretrained(model)
    return Contract(plain, [dict(step) for step in pipeline], tuple(map(str, classes)), {"model": plain})


def test_pipeline(config: Mapping[str, Any]) -> Sequence[Any] | None:
    """The pipeline that a config tests with; None when it has none."""
    found = config.get("test_pipeline")
    for loader in ("test_dataloader", "val_dataloader"):
        found = found or ((config.get(loader) or {}).get("dataset") or {}).get("pipeline")
    return found or None


def _without_pretrained(model: Mapping[str, Any]) -> dict[str, Any]:
    """The checkpoint brings the weights: nothing is to be looked for elsewhere."""
    plain = copy.deepcopy(Config(dict(model)).to_dict())
    for part in [plain.get("backbone") or {}]:
        for place in (part, part.get("slow_pathway"), part.get("fast_pathway")):
            if isinstance(place, dict) and place.get("pretrained"):
                place["pretrained"] = None
    return plain


def _as_new_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config of MMAction2 0.x, which normalised in the pipeline and averaged by `test_cfg`, in today's terms."""
    model = dict(config.get("model") or {})
    test_cfg = dict(model.pop("test_cfg", None) or config.get("test_cfg") or {})
    model.pop("train_cfg", None)
    head = {**(model.get("cls_head") or {}), "average_clips": test_cfg.pop("average_clips", None) or "prob"}
    data = config["data"]
    steps = [dict(step) for step in ((data.get("test") or data.get("val") or {}).get("pipeline") or ())]
    shape = next((step.get("input_format") for step in steps if step.get("type") == "FormatShape"), "NCHW")
    preprocessor: dict[str, Any] = {"type": "ActionDataPreprocessor", "format_shape": shape}
    for step in steps:
        if step.get("type") == "Normalize":
            preprocessor.update(mean=step.get("mean"), std=step.get("std"), to_rgb=bool(step.get("to_bgr", False)))
    kept = [step for step in steps if step.get("type") not in ("Normalize", "Collect", "ToTensor")]
    return {
        "model": {**model, "cls_head": head, "data_preprocessor": preprocessor, "test_cfg": test_cfg or None},
        "test_pipeline": [*kept, {"type": "PackActionInputs"}] if kept else None,
    }
