"""Transforms of other libraries, and of MMAction2's wrappers around them, on the clips of a sample."""

import importlib
import inspect
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from kinema.errors import ConfigError, MissingDependencyError, SampleValueError
from kinema.registry import TRANSFORMS, check_arguments
from kinema.spelling import nearest, suggestion
from kinema.transforms.base import BaseTransform, Sample
from kinema.transforms.clips import change_clips
from kinema.transforms.rand_augment import RandAugment

Pixels = Literal["uint8", "unit"]


@TRANSFORMS.register_module()
class TensorTransform(BaseTransform):
    """Any function of a clip's tensor as a transform: of torchvision v2, of kornia, or your own.

    The function is called once a clip, so it sees all its frames, and those of the next clip in a
    call of their own; what it draws from the global generators is a function of the seed, the epoch
    and the sample. Reads `imgs` (uint8 RGB) and `clip_len`. Writes `imgs`, `img_shape`.

    Args:
        function: (T, 3, H, W) -> (T, 3, H', W'); called without gradients.
        pixels: what the function takes: "uint8" bytes, or "unit": float32 in [0, 1]. Floats that it
            returns are rounded.
        moves: whether it may move what is in the frames: a sample with boxes or keypoints is then
            refused.

    Raises:
        TypeError: `function` cannot be called.
        ValueError: unknown `pixels`.
    """

    def __init__(self, function: Callable[[Tensor], Tensor], *, pixels: Pixels = "uint8", moves: bool = True) -> None:
        if not callable(function):
            raise TypeError(f"TensorTransform: function must be callable, got {type(function).__name__}: {function!r}")
        if pixels not in ("uint8", "unit"):
            raise ValueError(f"TensorTransform: pixels must be 'uint8' or 'unit', got {pixels!r}")
        self.function = function
        self.pixels = pixels
        self.moves = moves
        self._who = getattr(function, "__name__", type(function).__name__)

    def transform(self, results: Sample) -> Sample:
        return change_clips(results, self._change, self._who, moves=self.moves)

    def _change(self, frames: np.ndarray) -> np.ndarray:
        """(T, H, W, 3) uint8 -> (T, H', W', 3) uint8."""
        clip = torch.from_numpy(np.ascontiguousarray(frames.transpose(0, 3, 1, 2)))
        with torch.no_grad():
            changed = self.function(clip / 255 if self.pixels == "unit" else clip)
        if not isinstance(changed, Tensor) or changed.dim() != 4 or changed.shape[:2] != clip.shape[:2]:
            actual = tuple(changed.shape) if isinstance(changed, Tensor) else type(changed).__name__
            raise SampleValueError(
                f"{self._who} must give a tensor ({len(clip)}, 3, height, width) for one of {tuple(clip.shape)}, got"
                f" {actual}"
            )
        if changed.dtype != torch.uint8:
            changed = (
                (changed * 255 if self.pixels == "unit" else changed).float().clamp(0, 255).round().to(torch.uint8)
            )
        return changed.permute(0, 2, 3, 1).numpy()

    def __repr__(self) -> str:
        return f"TensorTransform({self.function!r}, pixels={self.pixels!r})"


# ---- other libraries


@TRANSFORMS.register_module(name="TorchVisionWrapper")
def torchvision_transform(op: str, **arguments: Any) -> TensorTransform:
    """A transform of `torchvision.transforms.v2`, the same for all frames of a clip.

    Args:
        op: its name, such as "ColorJitter".
        arguments: its arguments.

    Raises:
        MissingDependencyError: torchvision is not installed.
        ConfigError: there is no such transform, or it has no such argument.
    """
    part = _part_of("torchvision", "torchvision.transforms.v2", op)
    check_arguments(part, arguments, f"torchvision's {op}")
    return TensorTransform(part(**arguments))


@TRANSFORMS.register_module(name="KorniaWrapper")
def kornia_transform(op: str, **arguments: Any) -> TensorTransform:
    """An augmentation of `kornia.augmentation`, the same for all frames of a clip.

    Args:
        op: its name, such as "RandomGaussianBlur".
        arguments: its arguments; `same_on_batch` is True unless they say otherwise.

    Raises:
        MissingDependencyError: kornia is not installed.
        ConfigError: there is no such augmentation, or it has no such argument.
    """
    part = _part_of("kornia", "kornia.augmentation", op)
    if "same_on_batch" in inspect.signature(part).parameters:
        arguments.setdefault("same_on_batch", True)
    check_arguments(part, arguments, f"kornia's {op}")
    return TensorTransform(part(**arguments), pixels="unit")


def _part_of(library: str, module: str, name: str) -> Any:
    """The class `name` of `module`; nothing else of it, so that a config cannot call what it likes."""
    try:
        imported: ModuleType = importlib.import_module(module)
    except ImportError as error:
        raise MissingDependencyError(
            f"{name!r} is a transform of {library}, which cannot be imported ({error}): pip install {library}. "
            "RandAugment, TrivialAugment, ColorJitter and RandomErasing of Kinema need no other library"
        ) from error
    parts = {
        key: value for key, value in vars(imported).items() if inspect.isclass(value) and issubclass(value, nn.Module)
    }
    if name not in parts:
        raise ConfigError(f"{module} has no transform {name!r}: {suggestion(name, sorted(parts))}")
    return parts[name]


# ---- PyTorchVideo's, by its arguments

_ELSEWHERE = {
    "AugMix": "RandAugment or TrivialAugment",
    "RandomResizedCrop": "RandomResizedCrop and Resize(scale=(width, height), keep_ratio=False)",
    "RandomShortSideScale": "RandomRescale(scale_range=(low, high))",
    "ShortSideScale": "Resize(scale=(-1, size))",
}


@TRANSFORMS.register_module(name="PytorchVideoWrapper")
def pytorchvideo_transform(op: str, **arguments: Any) -> RandAugment:
    """The transform that configs reach through PyTorchVideo, without that library: its RandAugment.

    Args:
        op: "RandAugment".
        arguments: `magnitude`, `num_layers`, `prob`, `transform_hparas=dict(fill=...)`,
            `sampling_type="gaussian"`, `sampling_hparas=dict(sampling_std=...)`.

    Raises:
        ConfigError: another transform, with what to use instead; or an argument that there is not.
    """
    if op != "RandAugment":
        near = nearest(op, ["RandAugment", *_ELSEWHERE], count=1)
        hint = f"use {_ELSEWHERE[op]} instead" if op in _ELSEWHERE else f"did you mean {near[0]}?" if near else ""
        raise ConfigError(f"PytorchVideoWrapper has RandAugment only, got op={op!r}" + (f": {hint}" if hint else ""))
    check_arguments(_rand_augment, arguments, "PytorchVideoWrapper(op='RandAugment')")
    return _rand_augment(**arguments)


def _rand_augment(
    magnitude: float = 9,
    num_layers: int = 2,
    prob: float = 0.5,
    transform_hparas: Mapping[str, Any] | None = None,
    sampling_type: str = "gaussian",
    sampling_hparas: Mapping[str, Any] | None = None,
) -> RandAugment:
    """`RandAugment` by PyTorchVideo's arguments.

    Its default fill, 0.5 of 255, is black once rounded: Kinema's default.
    """
    if sampling_type != "gaussian":
        raise ConfigError(f"PytorchVideoWrapper: sampling_type must be 'gaussian', got {sampling_type!r}")
    fill, std = transform_hparas or {}, sampling_hparas or {}
    for name, given, known in (
        ("transform_hparas", fill, {"fill"}),
        ("sampling_hparas", std, {"sampling_std"}),
    ):
        if set(given) - known:
            raise ConfigError(f"PytorchVideoWrapper: {name} takes {', '.join(known)}, got {', '.join(map(str, given))}")
    return RandAugment(magnitude, num_layers, prob, noise_std=std.get("sampling_std", 0.5), fill=fill.get("fill", 0))
