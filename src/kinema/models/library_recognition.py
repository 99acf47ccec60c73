"""Classifiers of transformers as whole recognizers: `dict(type="transformers.VivitForVideoClassification", ...)`."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from kinema.errors import ConfigError
from kinema.models.backbones.libraries.hugging_face_files import check_folder, normalisation, number_of_labels
from kinema.registry import MODELS

_OF_RECOGNIZER = ("data_preprocessor", "train_cfg", "test_cfg")
_OF_HEAD = ("average_clips", "loss_cls", "topk", "multi_class", "label_smooth_eps")
_KINDS = {
    "ForVideoClassification": ("Recognizer3D", "NCTHW"),
    "ForImageClassification": ("Recognizer2D", "NCHW"),
}


def recognizer_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Config of the recognizer that a classifier of transformers becomes.

    Args:
        config: `type`, `transformers.NAME`; `data_preprocessor`, `train_cfg` and `test_cfg` of the
            recognizer; `average_clips` (default `"prob"`), `loss_cls`, `topk`, `multi_class` and
            `label_smooth_eps` of its head; all else as
            `kinema.models.backbones.libraries.hugging_face.build_transformer` takes it. Without
            `data_preprocessor` frames are normalised as the `preprocessor_config.json` of the folder
            `pretrained` says.

    Raises:
        ConfigError: it is no classifier, or nothing says how frames are normalised.
        CheckpointError: the folder `pretrained` cannot be read.
    """
    rest = dict(config)
    kind = rest["type"]
    ending = next((ending for ending in _KINDS if kind.endswith(ending)), None)
    if ending is None:
        raise ConfigError(
            f"{kind} gives features, no scores: name it as backbone of Recognizer3D (of frames: Recognizer2D) beside a"
            f" cls_head, or name a class that ends in {' or '.join(_KINDS)}"
        )
    recognizer, layout = _KINDS[ending]
    whole = {key: rest.pop(key) for key in _OF_RECOGNIZER if key in rest}
    head = {key: rest.pop(key) for key in _OF_HEAD if key in rest}
    folder = None if rest.get("pretrained") is None else Path(rest["pretrained"])
    if folder is not None and (folder.is_dir() or not rest.get("download")):
        check_folder(folder)
        rest.setdefault("num_labels", number_of_labels(folder))
    if "data_preprocessor" not in whole:
        known = normalisation(folder) if folder is not None else None
        if known is None:
            raise ConfigError(
                f"{kind}: nothing says how frames are normalised: set data_preprocessor=dict("
                "type='ActionDataPreprocessor', mean=[...], std=[...]), or put preprocessor_config.json beside the"
                " weights"
            )
        mean, std = known
        whole["data_preprocessor"] = {
            "type": "ActionDataPreprocessor",
            "mean": mean,
            "std": std,
            "format_shape": layout,
        }
    return {
        "type": recognizer,
        "backbone": rest,
        "cls_head": {"type": "ScoresHead", "num_classes": rest.get("num_labels", 2), "average_clips": "prob", **head},
        **whole,
    }


def built_config(config: Mapping[str, Any], model: nn.Module) -> dict[str, Any]:
    """The config of a model, complete where its backbone read its shape from a file of another library.

    Args:
        config: that `model` was built from.
        model: a recognizer or any other module.
    """
    backbone = getattr(model, "backbone_config", None)
    if backbone is None:
        return dict(config)
    whole = recognizer_config(config) if str(config.get("type")).startswith("transformers.") else dict(config)
    return {**whole, "backbone": backbone}


def _classifier(kind: str) -> Callable[..., nn.Module]:
    """What builds the recognizer that the classifier of this full name becomes."""

    def build(**settings: Any) -> nn.Module:
        recognizer: nn.Module = MODELS.build(recognizer_config({"type": kind, **settings}))
        return recognizer

    return build


MODELS.register_library("transformers", _classifier)
