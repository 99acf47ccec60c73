"""Changing the colours of a clip: the same change for all its frames."""

from collections.abc import Sequence

import cv2
import numpy as np

from kinema.registry import TRANSFORMS
from kinema.transforms.base import BaseTransform, Sample


def grey_levels(frame: np.ndarray) -> np.ndarray:
    """(H, W, 3) float32 RGB frame -> (H, W) grey levels.

    Summed in this order: published pixels depend on the rounding.
    """
    levels: np.ndarray = 0.2989 * frame[..., 0] + 0.587 * frame[..., 1] + 0.114 * frame[..., 2]
    return levels


def adjust_brightness(frame: np.ndarray, factor: float) -> np.ndarray:
    """(H, W, 3) float32 frame times `factor`."""
    return frame * np.float32(factor)


def adjust_contrast(frame: np.ndarray, factor: float) -> np.ndarray:
    """(H, W, 3) float32 frame blended with its mean grey level: factor 0 is flat, 1 changes nothing."""
    return factor * frame + (1 - factor) * grey_levels(frame).mean()


def adjust_saturation(frame: np.ndarray, factor: float) -> np.ndarray:
    """(H, W, 3) float32 frame blended with its grey levels: factor 0 is grey, 1 changes nothing."""
    return factor * frame + (1 - factor) * grey_levels(frame)[..., None]


def adjust_hue(frame: np.ndarray, factor: float) -> np.ndarray:
    """(H, W, 3) float32 frame with its hue turned by `factor` of the full circle.

    By way of uint8 HSV, in steps as bytes hold them.
    """
    if factor == 0:  # the way through HSV would round
        return frame
    hsv = cv2.cvtColor(np.clip(frame, 0, 255).astype(np.uint8), cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0].astype(np.int32) + int(factor * 255)) % 180
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB).astype(np.float32)


@TRANSFORMS.register_module()
class ColorJitter(BaseTransform):
    """Change brightness, contrast, saturation and hue at random, all frames alike.

    The order of the four is drawn once, when the transform is made. Reads `imgs`. Writes `imgs` (T,
    H, W, 3) uint8.

    Args:
        brightness, contrast, saturation: factors are drawn from 1 - value to 1 + value, or from
            (low, high).
        hue: drawn from -value to value, or from (low, high), within -0.5 and 0.5.

    Raises:
        ValueError: a negative number, or a range in the wrong order or outside what is possible.

    Draws from numpy's global generator.
    """

    def __init__(
        self,
        brightness: float | Sequence[float] = 0.5,
        contrast: float | Sequence[float] = 0.5,
        saturation: float | Sequence[float] = 0.5,
        hue: float | Sequence[float] = 0.1,
    ) -> None:
        self.brightness = _range("brightness", brightness, 1, 0, np.inf)
        self.contrast = _range("contrast", contrast, 1, 0, np.inf)
        self.saturation = _range("saturation", saturation, 1, 0, np.inf)
        self.hue = _range("hue", hue, 0, -0.5, 0.5)
        self.order = np.random.permutation(4)

    def transform(self, results: Sample) -> Sample:
        drawn = [
            np.random.uniform(low, high) for low, high in (self.brightness, self.contrast, self.saturation, self.hue)
        ]
        functions = (adjust_brightness, adjust_contrast, adjust_saturation, adjust_hue)
        frames = results["imgs"]
        out = np.empty((len(frames), *frames[0].shape), dtype=np.uint8)
        for frame, target in zip(
            frames, out, strict=True
        ):  # one by one: a frame's floats stay in the cache, a clip's do not
            changed = frame.astype(np.float32)
            for which in self.order:
                changed = functions[which](changed, drawn[which])
            target[:] = np.clip(changed, 0, 255)
        results["imgs"] = out
        return results

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(brightness={self.brightness}, contrast={self.contrast}, "
            f"saturation={self.saturation}, hue={self.hue})"
        )


def _range(
    name: str, value: float | Sequence[float], centre: float, lowest: float, highest: float
) -> tuple[float, float]:
    """(low, high) around `centre` from one number, or the pair itself, checked."""
    if isinstance(value, Sequence):
        low, high = value if len(value) == 2 else (1.0, 0.0)
    else:
        low, high = (max(centre - value, lowest), centre + value) if value >= 0 else (1.0, 0.0)
    if not lowest <= low <= high <= highest:
        raise ValueError(
            f"ColorJitter: {name} must be a number of at least 0, or (low, high) within {lowest} and {highest}, got"
            f" {value!r}"
        )
    return float(low), float(high)
