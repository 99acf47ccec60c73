"""Augmentation that removes or replaces parts of a clip."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from kinema.registry import TRANSFORMS
from kinema.transforms.base import BaseTransform, Sample


def random_erasing_box(
    image_size: tuple[int, int], area_range: Sequence[float], aspect_range: Sequence[float]
) -> tuple[int, int, int, int]:
    """Box (left, top, right, bottom) of random area and shape at a random place.

    Args:
        image_size: (W, H) in pixels.
        area_range: smallest and largest share of the image's area.
        aspect_range: smallest and largest height over width, drawn log-uniformly.

    Draws from numpy's global generator: aspect, area, top, left. The last row and column of places
        are never drawn.
    """
    width, height = image_size
    aspect = np.exp(np.random.uniform(np.log(aspect_range[0]), np.log(aspect_range[1])))
    area = width * height * np.random.uniform(area_range[0], area_range[1])
    box_height = min(round(float(np.sqrt(area * aspect))), height)
    box_width = min(round(float(np.sqrt(area / aspect))), width)
    top = int(np.random.randint(0, height - box_height)) if height > box_height else 0
    left = int(np.random.randint(0, width - box_width)) if width > box_width else 0
    return left, top, left + box_width, top + box_height


@TRANSFORMS.register_module()
class RandomErasing(BaseTransform):
    """Fill a random box, the same in all frames.

    Reads `imgs`, `img_shape`. Writes `imgs` (T, H, W, 3) uint8.

    Args:
        erase_prob: probability of erasing.
        min_area_ratio, max_area_ratio: smallest and largest share of the frame's area.
        aspect_range: smallest and largest height over width of the box.
        mode: "const" fills with `fill_color`, "rand" with noise, new in every frame.
        fill_color: (3,) RGB, or one number for all three.
        fill_std: with "rand": noise is normal around `fill_color` with this deviation; None:
            uniform.

    Raises:
        ValueError: a probability, range or mode that cannot be.

    Draws from numpy's global generator. Source: Zhong et al. 2020, arXiv:1708.04896.
    """

    def __init__(
        self,
        erase_prob: float = 0.5,
        min_area_ratio: float = 0.02,
        max_area_ratio: float = 1 / 3,
        aspect_range: float | Sequence[float] = (3 / 10, 10 / 3),
        mode: Literal["const", "rand"] = "const",
        fill_color: float | Sequence[float] = (128, 128, 128),
        fill_std: float | Sequence[float] | None = None,
    ) -> None:
        if not isinstance(aspect_range, Sequence):
            aspect_range = (min(aspect_range, 1 / aspect_range), max(aspect_range, 1 / aspect_range))
        if not 0 <= erase_prob <= 1:
            raise ValueError(f"RandomErasing: erase_prob must be within 0 and 1, got {erase_prob}")
        if not 0 < min_area_ratio <= max_area_ratio <= 1:
            raise ValueError(
                f"RandomErasing: need 0 < min_area_ratio <= max_area_ratio <= 1, got {min_area_ratio} and"
                f" {max_area_ratio}"
            )
        if len(aspect_range) != 2 or not 0 < aspect_range[0] <= aspect_range[1]:
            raise ValueError(f"RandomErasing: aspect_range must be two numbers, 0 < low <= high, got {aspect_range!r}")
        if mode not in ("const", "rand"):
            raise ValueError(f"RandomErasing: mode must be 'const' or 'rand', got {mode!r}")
        self.erase_prob = erase_prob
        self.area_range = (min_area_ratio, max_area_ratio)
        self.aspect_range = tuple(aspect_range)
        self.mode = mode
        self.fill_color = np.broadcast_to(np.asarray(fill_color, dtype=np.float64), 3)
        self.fill_std = None if fill_std is None else np.broadcast_to(np.asarray(fill_std, dtype=np.float64), 3)

    def transform(self, results: Sample) -> Sample:
        if np.random.rand() > self.erase_prob:
            return results
        height, width = results["img_shape"]
        left, top, right, bottom = random_erasing_box((width, height), self.area_range, self.aspect_range)
        frames = np.stack(list(results["imgs"]))  # a copy: the frames may be views of what others hold
        for frame in frames:
            frame[top:bottom, left:right] = self._patch(bottom - top, right - left)
        results["imgs"] = frames
        return results

    def _patch(self, height: int, width: int) -> np.ndarray:
        if self.mode == "const":
            return self.fill_color.astype(np.uint8)
        if self.fill_std is None:
            return np.random.uniform(0, 256, (height, width, 3)).astype(np.uint8)
        noise = np.random.normal(self.fill_color, self.fill_std, (height, width, 3))
        return np.clip(noise, 0, 255).astype(np.uint8)

    def __repr__(self) -> str:
        return f"RandomErasing(erase_prob={self.erase_prob}, area_range={self.area_range}, mode={self.mode!r})"
