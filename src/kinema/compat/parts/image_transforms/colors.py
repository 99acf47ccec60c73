"""Brightness and colour of an image."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from kinema.compat.parts.image_transforms.randomness import cache_randomness
from kinema.compat.parts.image_transforms.registry import IMAGE_TRANSFORMS
from kinema.compat.parts.images.adjustments import imnormalize
from kinema.transforms import BaseTransform


@IMAGE_TRANSFORMS.register_module()
class Normalize(BaseTransform):
    """Subtract the mean and divide by the deviation. Writes `img`, float32, and `img_norm_cfg`.

    Args:
        mean: one a channel.
        std: one a channel.
        to_rgb: change BGR to RGB first.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], to_rgb: bool = True) -> None:
        self.mean = np.array(mean, dtype=np.float32)
        self.std = np.array(std, dtype=np.float32)
        self.to_rgb = to_rgb

    def transform(self, results: Any) -> Any:
        results["img"] = imnormalize(results["img"], self.mean, self.std, self.to_rgb)
        results["img_norm_cfg"] = {"mean": self.mean, "std": self.std, "to_rgb": self.to_rgb}
        return results

    def __repr__(self) -> str:
        return f"{type(self).__name__}(mean={self.mean}, std={self.std}, to_rgb={self.to_rgb})"


@IMAGE_TRANSFORMS.register_module()
class RandomGrayscale(BaseTransform):
    """Make the image grey by chance.

    Args:
        prob: probability.
        keep_channels: give as many channels as there were, all alike; otherwise (H, W).
        channel_weights: of the channels, in their order, in the grey value; of any sum.
        color_format: `"bgr"` or `"rgb"`; only shown.

    Raises:
        ValueError: a probability outside 0 to 1, or an unknown order.

    An image of one channel stays as it is, as (H, W, 1); others become uint8, rounded down, grey or
    not. Draws one number from Python's global generator for each of these.
    """

    def __init__(
        self,
        prob: float = 0.1,
        keep_channels: bool = False,
        channel_weights: Sequence[float] = (1.0, 1.0, 1.0),
        color_format: str = "bgr",
    ) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f"RandomGrayscale: prob must be within 0 and 1, got {prob}")
        if color_format not in ("bgr", "rgb"):
            raise ValueError(f"RandomGrayscale: color_format must be 'bgr' or 'rgb', got {color_format!r}")
        self.prob = prob
        self.keep_channels = keep_channels
        self.channel_weights = channel_weights
        self.color_format = color_format

    @cache_randomness
    def _random_prob(self) -> float:
        return random.random()

    def transform(self, results: Any) -> Any:
        """Raises a ValueError for `channel_weights` of another number of channels."""
        img = results["img"]
        if img.ndim == 2:
            img = results["img"] = img[..., None]
        channels = img.shape[2]
        if channels == 1:
            return results
        if len(self.channel_weights) != channels:
            raise ValueError(
                f"RandomGrayscale: channel_weights must have a number for each of the {channels} channels, got"
                f" {self.channel_weights!r}"
            )
        if self._random_prob() < self.prob:
            weights = np.array(self.channel_weights) / sum(self.channel_weights)
            img = (weights * img).sum(axis=2)
            img = np.dstack([img] * channels) if self.keep_channels else img
        results["img"] = img.astype(np.uint8)
        return results

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(prob = {self.prob}, keep_channels = {self.keep_channels},"
            f" channel_weights = {self.channel_weights}, color_format = {self.color_format})"
        )
