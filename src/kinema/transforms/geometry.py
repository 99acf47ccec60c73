"""Resizing, cropping and mirroring whole clips. Crops and flips are views; only resizing computes pixels."""

import random
from collections.abc import Sequence
from typing import Any, Literal

import cv2
import numpy as np

from kinema.registry import TRANSFORMS
from kinema.transforms.base import BaseTransform, Sample

Box = tuple[int, int, int, int]  # left, top, right, bottom, in pixels
Size = int | Sequence[int]

INTERPOLATIONS = {
    "nearest": cv2.INTER_NEAREST,
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
    "lanczos": cv2.INTER_LANCZOS4,
}


# ---- arithmetic


def rescale_size(old_size: Sequence[int], scale: float | Sequence[float]) -> tuple[int, int]:
    """Size of an image scaled with its shape kept.

    Args:
        old_size: (W, H) in pixels.
        scale: a factor; or two numbers, the largest long side and short side that fit (one may be infinite).

    Returns:
        (W, H), rounded half up.

    Raises:
        ValueError: a factor that is not above 0.
        TypeError: `scale` is neither a number nor two.
    """
    width, height = old_size
    factor: float
    if isinstance(scale, int | float):
        if scale <= 0:
            raise ValueError(f"scale must be above 0, got {scale}")
        factor = scale
    elif isinstance(scale, Sequence) and len(scale) == 2:
        factor = min(max(scale) / max(height, width), min(scale) / min(height, width))
    else:
        raise TypeError(f"scale must be a number or two numbers (long and short side), got {scale!r}")
    return int(width * factor + 0.5), int(height * factor + 0.5)


def as_size(size: Size, what: str) -> tuple[int, int]:
    """(W, H) from one number or a pair; `what` names the argument in the ValueError for anything else."""
    pair = (size, size) if isinstance(size, int | np.integer) else tuple(size) if isinstance(size, Sequence) else ()
    if len(pair) != 2 or not all(isinstance(side, int | np.integer) and side > 0 for side in pair):
        raise ValueError(f"{what} must be one or two (width, height) whole numbers above 0, got {size!r}")
    return int(pair[0]), int(pair[1])


def center_box(image_size: tuple[int, int], crop_size: tuple[int, int]) -> Box:
    """Box of `crop_size` (W, H) in the middle of an image of `image_size` (W, H)."""
    left, top = (image_size[0] - crop_size[0]) // 2, (image_size[1] - crop_size[1]) // 2
    return left, top, left + crop_size[0], top + crop_size[1]


def random_box(image_size: tuple[int, int], side: int) -> Box:
    """Square box at a random place. The last row and column of places are never drawn, as published results had it."""
    width, height = image_size
    top = np.random.randint(0, height - side) if height > side else 0
    left = np.random.randint(0, width - side) if width > side else 0
    return left, top, left + side, top + side


def random_resized_box(
    image_size: tuple[int, int],
    area_range: Sequence[float],
    aspect_ratio_range: Sequence[float],
    attempts: int = 10,
) -> Box:
    """Box of random area and shape; the centred square of the short side when no attempt fits the image.

    Args:
        image_size: (W, H) in pixels.
        area_range: smallest and largest share of the image's area.
        aspect_ratio_range: smallest and largest width over height, drawn log-uniformly.
        attempts: candidates to draw.

    Draws from numpy's (size) and Python's (place) global generators.
    Source: Inception crops, Szegedy et al. 2015, arXiv:1409.4842, section 6.
    """
    width, height = image_size
    low, high = np.log(aspect_ratio_range[0]), np.log(aspect_ratio_range[1])
    ratios = np.exp(np.random.uniform(low, high, size=attempts))
    areas = np.random.uniform(area_range[0], area_range[1], size=attempts) * width * height
    crop_widths = np.round(np.sqrt(areas * ratios)).astype(np.int32)
    crop_heights = np.round(np.sqrt(areas / ratios)).astype(np.int32)
    for crop_width, crop_height in zip(crop_widths.tolist(), crop_heights.tolist(), strict=True):
        if crop_width <= width and crop_height <= height:
            left = random.randint(0, width - crop_width)
            top = random.randint(0, height - crop_height)
            return left, top, left + crop_width, top + crop_height
    side = min(width, height)
    return center_box(image_size, (side, side))


# ---- frames


def resize_frames(frames: Any, size: tuple[int, int], interpolation: str = "bilinear") -> np.ndarray:
    """Resize frames with OpenCV, without antialiasing.

    Args:
        frames: (T, H, W, C) or a list of (H, W, C), uint8.
        size: (W, H) wanted, in pixels.
        interpolation: a key of `INTERPOLATIONS`.

    Returns:
        (T, H, W, C), of the type of `frames`.
    """
    width, height = size
    flag = INTERPOLATIONS[interpolation]
    first = frames[0]
    out = np.empty((len(frames), height, width, *first.shape[2:]), dtype=first.dtype)
    for source, target in zip(frames, out, strict=True):
        cv2.resize(source, (width, height), dst=target, interpolation=flag)
    return out


def crop_frames(frames: Any, box: Box) -> Any:
    """Cut `box` out of (T, H, W, C) frames or of a list of (H, W, C); views, not copies."""
    left, top, right, bottom = box
    if isinstance(frames, np.ndarray):
        return frames[:, top:bottom, left:right]
    return [frame[top:bottom, left:right] for frame in frames]


def flip_frames(frames: Any, direction: str) -> Any:
    """Mirror (T, H, W, C) frames or a list of (H, W, C); views, not copies."""
    axis = 1 if direction == "horizontal" else 0
    if isinstance(frames, np.ndarray):
        return np.flip(frames, axis + 1)
    return [np.flip(frame, axis) for frame in frames]


def _crop_sample(results: Sample, box: Box) -> Sample:
    """Cut `box` out of the sample's frames and write down what was cut."""
    height, width = results["img_shape"]
    left, top, right, bottom = box
    results["imgs"] = crop_frames(results["imgs"], box)
    results["crop_bbox"] = np.array(box)
    results["img_shape"] = (bottom - top, right - left)
    old = results.get("crop_quadruple", np.array([0, 0, 1, 1], dtype=np.float32))
    new = [left / width, top / height, (right - left) / width, (bottom - top) / height]
    kept = [old[0] + new[0] * old[2], old[1] + new[1] * old[3], new[2] * old[2], new[3] * old[3]]
    results["crop_quadruple"] = np.array(kept, dtype=np.float32)
    return results


def _require_inside(results: Sample, crop_size: tuple[int, int], who: str) -> None:
    """Raise ValueError when a (W, H) crop is larger than the frames."""
    height, width = results["img_shape"]
    if crop_size[0] > width or crop_size[1] > height:
        raise ValueError(
            f"{who}: a crop of {crop_size[0]}x{crop_size[1]} (width x height) does not fit frames of {width}x{height}: "
            f"put a Resize to at least the crop's size before it ({results.get('filename', 'unnamed sample')})"
        )


def _refuse_lazy(lazy: bool, who: str) -> None:
    """Raise ValueError for `lazy=True`, which Kinema does not need: crops and flips are views anyway."""
    if lazy:
        raise ValueError(f"{who}: lazy=True is not supported yet; leave it out, crops and flips copy no pixels")


# ---- transforms


@TRANSFORMS.register_module()
class Resize(BaseTransform):
    """Resize the frames.

    Reads `imgs`, `img_shape`. Writes `imgs` (T, H, W, 3), `img_shape`, `keep_ratio`, `scale_factor`.

    Args:
        scale: a factor; or (W, H). -1 on one side: the other is the length of the short side.
        keep_ratio: fit into `scale` with the shape kept; False gives exactly (W, H).
        interpolation: "nearest", "bilinear", "bicubic", "area" or "lanczos".
        lazy: only False.

    Raises:
        ValueError: a scale that is not above 0, or an unknown interpolation.
    """

    def __init__(
        self,
        scale: float | Sequence[float],
        keep_ratio: bool = True,
        interpolation: str = "bilinear",
        lazy: bool = False,
    ) -> None:
        _refuse_lazy(lazy, "Resize")
        if interpolation not in INTERPOLATIONS:
            raise ValueError(f"Resize: interpolation must be one of {', '.join(INTERPOLATIONS)}, got {interpolation!r}")
        self.scale: float | tuple[float, ...]
        if isinstance(scale, Sequence):
            sides = tuple(scale)
            if len(sides) != 2 or max(sides) <= 0:
                raise ValueError(
                    f"Resize: scale must be a factor or (width, height) with at most one -1, got {scale!r}"
                )
            self.scale = (np.inf, max(sides)) if -1 in sides else sides
        elif scale <= 0:
            raise ValueError(f"Resize: scale must be above 0, got {scale}")
        else:
            self.scale = scale
        if not keep_ratio and (not isinstance(self.scale, tuple) or np.inf in self.scale):
            raise ValueError(f"Resize: keep_ratio=False needs scale=(width, height), got {scale!r}")
        self.keep_ratio = keep_ratio
        self.interpolation = interpolation

    def transform(self, results: Sample) -> Sample:
        height, width = results["img_shape"]
        if self.keep_ratio:
            new_width, new_height = rescale_size((width, height), self.scale)
        else:
            new_width, new_height = as_size(self.scale, "Resize: scale")  # type: ignore[arg-type]
        if (new_width, new_height) != (width, height):
            results["imgs"] = resize_frames(results["imgs"], (new_width, new_height), self.interpolation)
        results["img_shape"] = (new_height, new_width)
        results["keep_ratio"] = self.keep_ratio
        factor = np.array([new_width / width, new_height / height], dtype=np.float32)
        results["scale_factor"] = results.get("scale_factor", np.ones(2, dtype=np.float32)) * factor
        return results

    def __repr__(self) -> str:
        return f"Resize(scale={self.scale}, keep_ratio={self.keep_ratio}, interpolation={self.interpolation!r})"


@TRANSFORMS.register_module()
class CenterCrop(BaseTransform):
    """Cut the middle of the frames out.

    Reads `imgs`, `img_shape`. Writes `imgs`, `img_shape`, `crop_bbox`, `crop_quadruple`.

    Args:
        crop_size: side of a square, or (W, H), in pixels.
        lazy: only False.

    Raises:
        ValueError: `crop_size` is neither, or larger than the frames.
    """

    def __init__(self, crop_size: Size, lazy: bool = False) -> None:
        _refuse_lazy(lazy, "CenterCrop")
        self.crop_size = as_size(crop_size, "CenterCrop: crop_size")

    def transform(self, results: Sample) -> Sample:
        _require_inside(results, self.crop_size, "CenterCrop")
        height, width = results["img_shape"]
        return _crop_sample(results, center_box((width, height), self.crop_size))

    def __repr__(self) -> str:
        return f"CenterCrop(crop_size={self.crop_size})"


@TRANSFORMS.register_module()
class RandomCrop(BaseTransform):
    """Cut a square at a random place, the same in all frames.

    Reads `imgs`, `img_shape`. Writes `imgs`, `img_shape`, `crop_bbox`, `crop_quadruple`.

    Args:
        size: side of the square, in pixels.
        lazy: only False.

    Raises:
        ValueError: `size` is no whole number above 0, or larger than the frames.
    """

    def __init__(self, size: int, lazy: bool = False) -> None:
        _refuse_lazy(lazy, "RandomCrop")
        self.size, other = as_size(size, "RandomCrop: size")
        if other != self.size:
            raise ValueError(f"RandomCrop: size is the side of a square, got {size!r}")

    def transform(self, results: Sample) -> Sample:
        _require_inside(results, (self.size, self.size), "RandomCrop")
        height, width = results["img_shape"]
        return _crop_sample(results, random_box((width, height), self.size))

    def __repr__(self) -> str:
        return f"RandomCrop(size={self.size})"


@TRANSFORMS.register_module()
class RandomResizedCrop(BaseTransform):
    """Cut a box of random area, shape and place, the same in all frames. A `Resize` behind it sets the final size.

    Reads `imgs`, `img_shape`. Writes `imgs`, `img_shape`, `crop_bbox`, `crop_quadruple`.

    Args:
        area_range: smallest and largest share of the frame's area.
        aspect_ratio_range: smallest and largest width over height.
        lazy: only False.

    Raises:
        ValueError: a range that is not two numbers, 0 < low <= high.
    """

    def __init__(
        self,
        area_range: Sequence[float] = (0.08, 1.0),
        aspect_ratio_range: Sequence[float] = (3 / 4, 4 / 3),
        lazy: bool = False,
    ) -> None:
        _refuse_lazy(lazy, "RandomResizedCrop")
        for name, bounds in (("area_range", area_range), ("aspect_ratio_range", aspect_ratio_range)):
            if not (isinstance(bounds, Sequence) and len(bounds) == 2 and 0 < bounds[0] <= bounds[1]):
                raise ValueError(f"RandomResizedCrop: {name} must be two numbers, 0 < low <= high, got {bounds!r}")
        self.area_range = tuple(area_range)
        self.aspect_ratio_range = tuple(aspect_ratio_range)

    def transform(self, results: Sample) -> Sample:
        height, width = results["img_shape"]
        return _crop_sample(results, random_resized_box((width, height), self.area_range, self.aspect_ratio_range))

    def __repr__(self) -> str:
        return f"RandomResizedCrop(area_range={self.area_range}, aspect_ratio_range={self.aspect_ratio_range})"


@TRANSFORMS.register_module()
class Flip(BaseTransform):
    """Mirror all frames of the sample, or none.

    Reads `imgs`, `label` (with `flip_label_map`). Writes `imgs`, `label`, `flip`, `flip_direction`.

    Args:
        flip_ratio: probability of mirroring.
        direction: "horizontal" or "vertical".
        flip_label_map: label -> label of the mirrored action ("pushing left to right"); others stay.
        lazy: only False.

    Raises:
        ValueError: a ratio outside [0, 1], or an unknown direction.
    """

    def __init__(
        self,
        flip_ratio: float = 0.5,
        direction: Literal["horizontal", "vertical"] = "horizontal",
        flip_label_map: dict[int, int] | None = None,
        lazy: bool = False,
    ) -> None:
        _refuse_lazy(lazy, "Flip")
        if not 0 <= flip_ratio <= 1:
            raise ValueError(f"Flip: flip_ratio must be within 0 and 1, got {flip_ratio}")
        if direction not in ("horizontal", "vertical"):
            raise ValueError(f"Flip: direction must be 'horizontal' or 'vertical', got {direction!r}")
        self.flip_ratio = flip_ratio
        self.direction = direction
        self.flip_label_map = flip_label_map or {}

    def transform(self, results: Sample) -> Sample:
        flip = bool(np.random.rand() < self.flip_ratio)
        results["flip"] = flip
        results["flip_direction"] = self.direction
        if flip:
            results["imgs"] = flip_frames(results["imgs"], self.direction)
            if self.flip_label_map:
                results["label"] = self.flip_label_map.get(results["label"], results["label"])
        return results

    def __repr__(self) -> str:
        return f"Flip(flip_ratio={self.flip_ratio}, direction={self.direction!r})"
