"""Automatic augmentation.

A few operations drawn at random, the same for all frames of a clip, drawn anew for the next clip.

Both policies take uint8 RGB frames between decoding and `FormatShape` and draw from torch's global
generator.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from kinema.registry import TRANSFORMS
from kinema.spelling import suggestion
from kinema.transforms import operations as ops
from kinema.transforms.base import BaseTransform, Sample
from kinema.transforms.clips import change_clips

Fill = ops.Fill
MAX_LEVEL = 10  # strongest magnitude of RandAugment
NUM_STRENGTHS = 31  # strengths that TrivialAugment chooses from


@dataclass(frozen=True)
class Operation:
    """An operation on frames, and what its strength means.

    Args:
        function: frames and its argument, if any, and the fill colour where it moves pixels ->
            frames.
        none, full: the argument at strength 0 and 1; the same when the operation takes none.
        either_way: the way from `none` to `full` is taken in this direction or the opposite one, by
            chance.
        whole: makes the length of that way a whole number.
        moves: moves what is in the frame, and so uncovers places that the fill colour gets.
    """

    function: Callable[..., np.ndarray]
    none: float = 0.0
    full: float = 0.0
    either_way: bool = False
    whole: Callable[[float], int] | None = None
    moves: bool = False

    def __call__(self, frames: np.ndarray, strength: float, fill: Fill) -> np.ndarray:
        """Apply to (T, H, W, 3) uint8 frames with a strength in [0, 1]."""
        if self.none == self.full:
            return self.function(frames)
        way = strength * (self.full - self.none)
        if self.whole is not None:
            way = self.whole(way)
        if self.either_way and torch.rand(()).item() < 0.5:
            way = -way
        argument = self.none + way
        return self.function(frames, argument, fill) if self.moves else self.function(frames, argument)


def _translate_x_share(frames: np.ndarray, share: float, fill: Fill) -> np.ndarray:
    return ops.translate_x(frames, share * frames.shape[2], fill)


def _translate_y_share(frames: np.ndarray, share: float, fill: Fill) -> np.ndarray:
    return ops.translate_y(frames, share * frames.shape[1], fill)


def _unchanged(frames: np.ndarray) -> np.ndarray:
    return frames


RAND_AUGMENT_OPERATIONS: Mapping[str, Operation] = {
    "Brightness": Operation(ops.change_brightness, 1, 1.9, either_way=True),
    "Contrast": Operation(ops.change_contrast, 1, 1.9, either_way=True),
    "Saturation": Operation(ops.change_saturation, 1, 1.9, either_way=True),
    "Sharpness": Operation(ops.change_sharpness, 1, 1.9, either_way=True),
    "AutoContrast": Operation(ops.autocontrast),
    "Equalize": Operation(ops.equalize),
    "Invert": Operation(ops.invert),
    "Posterize": Operation(ops.posterize, 4, 0, whole=int),
    "Solarize": Operation(ops.solarize, 255, 0),
    "Rotate": Operation(ops.rotate, 0, 30, either_way=True, moves=True),
    "ShearX": Operation(ops.shear_x, 0, 0.3, either_way=True, moves=True),
    "ShearY": Operation(ops.shear_y, 0, 0.3, either_way=True, moves=True),
    "TranslateX": Operation(_translate_x_share, 0, 0.45, either_way=True, moves=True),
    "TranslateY": Operation(_translate_y_share, 0, 0.45, either_way=True, moves=True),
}

TRIVIAL_AUGMENT_OPERATIONS: Mapping[str, Operation] = {
    "Identity": Operation(_unchanged),
    "Brightness": Operation(ops.change_brightness, 1, 1.99, either_way=True),
    "Contrast": Operation(ops.change_contrast, 1, 1.99, either_way=True),
    "Saturation": Operation(ops.change_saturation, 1, 1.99, either_way=True),
    "Sharpness": Operation(ops.change_sharpness, 1, 1.99, either_way=True),
    "AutoContrast": Operation(ops.autocontrast),
    "Equalize": Operation(ops.equalize),
    "Posterize": Operation(ops.posterize, 8, 2, whole=round),
    "Solarize": Operation(ops.solarize, 255, 0),
    "Rotate": Operation(ops.rotate, 0, 135, either_way=True, moves=True),
    "ShearX": Operation(ops.shear_x, 0, 0.99, either_way=True, moves=True),
    "ShearY": Operation(ops.shear_y, 0, 0.99, either_way=True, moves=True),
    "TranslateX": Operation(ops.translate_x, 0, 32, either_way=True, whole=int, moves=True),
    "TranslateY": Operation(ops.translate_y, 0, 32, either_way=True, whole=int, moves=True),
}


@TRANSFORMS.register_module()
class RandAugment(BaseTransform):
    """Apply `num_layers` operations out of 14 in random order, each with probability `prob`.

    Reads `imgs` (uint8 RGB) and `clip_len`. Writes `imgs` (T, H, W, 3) uint8. Boxes and keypoints
    are not moved along: a sample that has them is refused unless `operations` holds none that moves
    what is in the frames.

    Each operation is drawn at most once, and at each use its level anew, from a normal distribution
    cut off at 0 and 10:

    | operation | at level m, of 10 |
    |---|---|
    | Brightness, Contrast, Saturation, Sharpness | factor 1 + 0.09 m or 1 - 0.09 m |
    | Rotate | 3 m degrees, either way |
    | ShearX, ShearY | slope 0.03 m, either way |
    | TranslateX, TranslateY | 4.5 m percent of the width or height, either way |
    | Posterize | the highest 4 - 0.4 m bits stay, rounded up |
    | Solarize | bytes from 255 - 25.5 m on are inverted |
    | AutoContrast, Equalize, Invert | the same at every level |

    Args:
        magnitude: mean level, 0 to 10.
        num_layers: operations to draw.
        prob: probability that an operation that was drawn is applied.
        noise_std: standard deviation of the level.
        fill: colour of what an operation uncovers, one byte or (R, G, B).
        operations: names of the operations to draw from; default: all 14.

    Raises:
        ValueError: a number out of its range, or an unknown operation.

    Source: Cubuk et al. 2020, arXiv:1909.13719, with the operations, levels and defaults that MViT
        and UniFormerV2 were
    trained with (`magnitude=7, num_layers=4`).
    """

    def __init__(
        self,
        magnitude: float = 9,
        num_layers: int = 2,
        prob: float = 0.5,
        *,
        noise_std: float = 0.5,
        fill: float | Sequence[float] = 0,
        operations: Iterable[str] | None = None,
    ) -> None:
        if not 0 <= magnitude <= MAX_LEVEL:
            raise ValueError(f"RandAugment: magnitude must be within 0 and {MAX_LEVEL}, got {magnitude}")
        if not 0 <= prob <= 1:
            raise ValueError(f"RandAugment: prob must be within 0 and 1, got {prob}")
        if noise_std < 0:
            raise ValueError(f"RandAugment: noise_std must be at least 0, got {noise_std}")
        self.magnitude = magnitude
        self.num_layers = num_layers
        self.prob = prob
        self.noise_std = noise_std
        self.fill = _fill("RandAugment", fill)
        self.operations = _choose("RandAugment", RAND_AUGMENT_OPERATIONS, operations)
        if not 1 <= num_layers <= len(self.operations):
            raise ValueError(
                f"RandAugment: num_layers must be within 1 and {len(self.operations)}, the number of operations, "
                f"got {num_layers}"
            )

    def transform(self, results: Sample) -> Sample:
        moves = any(operation.moves for operation in self.operations.values())
        return change_clips(results, self.augment, "RandAugment", moves=moves)

    def augment(self, frames: np.ndarray) -> np.ndarray:
        """One clip, (T, H, W, 3) uint8, all frames alike."""
        every = list(self.operations.values())
        for which in torch.randperm(len(every))[: self.num_layers].tolist():
            if torch.rand(()).item() >= self.prob:
                continue
            level = self.magnitude + self.noise_std * torch.randn(()).item()
            frames = every[which](frames, min(max(level, 0), MAX_LEVEL) / MAX_LEVEL, self.fill)
        return frames

    def __repr__(self) -> str:
        return f"RandAugment(magnitude={self.magnitude}, num_layers={self.num_layers}, prob={self.prob})"


@TRANSFORMS.register_module()
class TrivialAugment(BaseTransform):
    """Apply one operation out of 14 with one strength out of 31, both drawn evenly: nothing to tune.

    Reads, writes and refuses what `RandAugment` does. The strengths are those of the paper's wide
    space: factors from 0.01 to 1.99, rotation to 135 degrees, slopes to 0.99, translation to 32
    pixels, 8 to 2 bits, thresholds from 255 to 0.

    Args:
        fill: colour of what an operation uncovers, one byte or (R, G, B).
        operations: names of the operations to draw from; default: all 14.

    Raises:
        ValueError: a colour out of its range, or an unknown operation.

    Source: Müller and Hutter 2021, arXiv:2103.10158, section 3 (TA, wide). The paper's code moves
        pixels by nearest
    neighbour, this by bilinear interpolation.
    """

    def __init__(self, fill: float | Sequence[float] = 0, *, operations: Iterable[str] | None = None) -> None:
        self.fill = _fill("TrivialAugment", fill)
        self.operations = _choose("TrivialAugment", TRIVIAL_AUGMENT_OPERATIONS, operations)

    def transform(self, results: Sample) -> Sample:
        moves = any(operation.moves for operation in self.operations.values())
        return change_clips(results, self.augment, "TrivialAugment", moves=moves)

    def augment(self, frames: np.ndarray) -> np.ndarray:
        """One clip, (T, H, W, 3) uint8, all frames alike."""
        every = list(self.operations.values())
        which = int(torch.randint(len(every), ()))
        strength = int(torch.randint(NUM_STRENGTHS, ())) / (NUM_STRENGTHS - 1)
        return every[which](frames, strength, self.fill)

    def __repr__(self) -> str:
        return f"TrivialAugment(fill={self.fill})"


def _fill(who: str, fill: float | Sequence[float]) -> Fill:
    """One byte or three -> three, checked."""
    colour = (fill,) * 3 if isinstance(fill, int | float) else tuple(fill)
    if len(colour) != 3 or not all(0 <= value <= 255 for value in colour):
        raise ValueError(f"{who}: fill must be one number or three (R, G, B) within 0 and 255, got {fill!r}")
    return colour[0], colour[1], colour[2]


def _choose(who: str, known: Mapping[str, Operation], names: Iterable[str] | None) -> dict[str, Operation]:
    """The operations of these names; all when there are none."""
    wanted = list(known) if names is None else [names] if isinstance(names, str) else list(names)
    for name in wanted:
        if name not in known:
            raise ValueError(f"{who} has no operation {name!r}: {suggestion(name, known)}")
    if not wanted:
        raise ValueError(f"{who}: operations must hold at least one of {', '.join(known)}")
    return {name: known[name] for name in wanted}
