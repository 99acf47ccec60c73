"""The two sides of a comparison of networks: ours, and torch's default kernels or another implementation."""

import importlib.util
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kinema.models.layers.cpu_convolution import default_kernels
from kinema.registry import MODELS
from kinema.structures import ActionDataSample


@dataclass(frozen=True)
class Contender:
    """One implementation of a network.

    Attributes:
        module: holds the weights, under the names of OpenMMLab.
        scores: inputs (B, V, ...) -> (B, N).
        loss: inputs (B, V, ...) and labels (B,) -> scalar, with its gradient.
    """

    module: nn.Module
    scores: Callable[[Tensor], Tensor]
    loss: Callable[[Tensor, Tensor], Tensor]


Build = Callable[[dict[str, Any]], Contender]


def ours(config: dict[str, Any], context: Callable[[], AbstractContextManager[None]] = nullcontext) -> Contender:
    """The network as Kinema builds it."""
    module: Any = MODELS.build(config)

    def scores(inputs: Tensor) -> Tensor:
        with context():
            return torch.stack([sample.pred_score for sample in module(inputs, mode="predict")])

    def loss(inputs: Tensor, labels: Tensor) -> Tensor:
        samples = [ActionDataSample().set_gt_label(int(label)) for label in labels]
        with context():
            losses = module(inputs, samples, mode="loss")
        total: Tensor = sum(one for name, one in losses.items() if "loss" in name)  # type: ignore[assignment]
        return total

    return Contender(module, scores, loss)


def usual(config: dict[str, Any]) -> Contender:
    """The same network, computed by torch's default kernels: channels first, no folding."""
    return ours(config, default_kernels)


def load_other(spec: str) -> Build:
    """`FILE.py:FUNCTION` -> that function, which takes a model config and returns a `Contender`."""
    path, _, name = spec.rpartition(":")
    found = importlib.util.spec_from_file_location("other_networks", Path(path))
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    build: Build = getattr(module, name)
    return build
