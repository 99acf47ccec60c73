"""MMAction2's own networks, where it is installed beside Kinema."""

import copy
import importlib
import importlib.util
import warnings
from typing import Any

import torch
from torch import Tensor

from contenders.networks import Contender


def is_installed() -> bool:
    """Is MMAction2 itself there, and not Kinema under its name?"""
    if any(importlib.util.find_spec(name) is None for name in ("mmengine", "mmcv", "mmaction")):
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return not hasattr(importlib.import_module("mmaction"), "__kinema__")


def original(config: dict[str, Any]) -> Contender:
    """The recognizer of a config as MMAction2 builds it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        registering = importlib.import_module("mmaction.utils")
        registering.register_all_modules()
        registry = importlib.import_module("mmaction.registry")
        samples = importlib.import_module("mmaction.structures")
        plain = importlib.import_module("mmengine").ConfigDict(copy.deepcopy(config))
        module = registry.MODELS.build(plain)

    def labelled(count: int, labels: Tensor | None = None) -> list[Any]:
        items = [samples.ActionDataSample() for _ in range(count)]
        for item, label in zip(items, () if labels is None else labels.tolist(), strict=False):
            item.set_gt_label(label)
        return items

    def scores(inputs: Tensor) -> Tensor:
        return torch.stack([sample.pred_score for sample in module(inputs, labelled(len(inputs)), mode="predict")])

    def loss(inputs: Tensor, labels: Tensor) -> Tensor:
        losses = module(inputs, labelled(len(inputs), labels), mode="loss")
        total: Tensor = sum(value for name, value in losses.items() if "loss" in name)  # type: ignore[assignment]
        return total

    return Contender(module, scores, loss)
