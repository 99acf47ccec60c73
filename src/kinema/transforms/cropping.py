"""Cutting one box out of all frames of a clip: in the middle or at random.

Crops are views, not copies.
"""

import random
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from kinema.errors import SampleValueError
from kinema.registry import TRANSFORMS
from kinema.transforms.base import BaseTransform, Sample, name_of
from kinema.transforms.geometry import Size, as_size
from kinema.transforms.lazy import begin_step, crop_later
from kinema.transforms.points_and_boxes import crop_boxes, has_frames, map_boxes

Box = tuple[int, int, int, int]  # left, top, right, bottom, in pixels


# ---- arithmetic


def center_box(image_size: tuple[int, int], crop_size: tuple[int, int]) -> Box:
    """Box of `crop_size` (W, H) in the middle of an image of `image_size` (W, H)."""
    left, top = (image_size[0] - crop_size[0]) // 2, (image_size[1] - crop_size[1]) // 2
    return left, top, left + crop_size[0], top + crop_size[1]


def random_box(image_size: tuple[int, int], side: int) -> Box:
    """Square box at a random place.

    The last row and column of places are never drawn, as published results had it.
    """
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
    areas = np.random.uniform(area_range[0], area_range[1], size=attempts) * (width * height)
    crop_widths = np.round(np.sqrt(areas * ratios)).astype(np.int32)
    crop_heights = np.round(np.sqrt(areas / ratios)).astype(np.int32)
    for crop_width, crop_height in zip(crop_widths.tolist(), crop_heights.tolist(), strict=True):
        if 0 < crop_width <= width and 0 < crop_height <= height:
            left = random.randint(0, width - crop_width)
            top = random.randint(0, height - crop_height)
            return left, top, left + crop_width, top + crop_height
    side = min(width, height)
    return center_box(image_size, (side, side))


def multi_scale_sizes(image_size: tuple[int, int], scales: Sequence[float], max_gap: int) -> list[tuple[int, int]]:
    """(W, H) of the boxes that `MultiScaleCrop` chooses from: shares of the short side, neighbours in `scales` mixed.

    Args:
        image_size: (W, H) in pixels.
        scales: shares of the short side.
        max_gap: how many places apart in `scales` the shares of width and height may be.
    """
    sides = [int(min(image_size) * scale) for scale in scales]
    return [(w, h) for i, h in enumerate(sides) for j, w in enumerate(sides) if abs(i - j) <= max_gap]


def fixed_places(
    image_size: tuple[int, int], crop_size: tuple[int, int], count: Literal[5, 13]
) -> list[tuple[int, int]]:
    """(left, top) of the corners and the centre; with 13 also of places between them.

    Source: TSN, Wang et al. 2016, arXiv:1608.00859, section 3.2 (corner cropping).
    """
    step_x, step_y = (image_size[0] - crop_size[0]) // 4, (image_size[1] - crop_size[1]) // 4
    places = [(0, 0), (4, 0), (0, 4), (4, 4), (2, 2)]
    if count == 13:
        places += [(0, 2), (4, 2), (2, 4), (2, 0), (1, 1), (3, 1), (1, 3), (3, 3)]
    return [(step_x * x, step_y * y) for x, y in places]


# ---- frames


def crop_frames(frames: Any, box: Box) -> Any:
    """Cut `box` out of (T, H, W, C) frames or of a list of (H, W, C); views, not copies."""
    left, top, right, bottom = box
    if isinstance(frames, np.ndarray):
        return frames[:, top:bottom, left:right]
    return [frame[top:bottom, left:right] for frame in frames]


def require_inside(results: Sample, crop_size: tuple[int, int], who: str) -> None:
    """Raise SampleValueError when a (W, H) crop is larger than the frames."""
    height, width = results["img_shape"]
    if crop_size[0] > width or crop_size[1] > height:
        raise SampleValueError(
            f"{who}: a crop of {crop_size[0]}x{crop_size[1]} (width x height) does not fit frames of {width}x{height}: "
            f"put a Resize to at least the crop's size before it ({name_of(results)})"
        )


# ---- transforms


class _Crop(BaseTransform):
    """Cuts one box out of a sample; its steps have MMAction2's names, which subclasses call and override."""

    lazy: bool

    def _crop(self, results: Sample, box: Box) -> Sample:
        """Cut `box` out of the sample's frames, joints and boxes, and write down what was cut.

        With `lazy` wait for `Fuse`.
        """
        height, width = results["img_shape"]
        left, top, right, bottom = box
        crop = results["crop_bbox"] = np.array(box)
        results["img_shape"] = (bottom - top, right - left)
        old = results.get("crop_quadruple", np.array([0, 0, 1, 1], dtype=np.float32))
        new = [left / width, top / height, (right - left) / width, (bottom - top) / height]
        kept = [old[0] + new[0] * old[2], old[1] + new[1] * old[3], new[2] * old[2], new[3] * old[3]]
        results["crop_quadruple"] = np.array(kept, dtype=np.float32)
        if self.lazy:
            crop_later(results, box, (width, height))
            return results
        if "keypoint" in results:
            results["keypoint"] = self._crop_kps(results["keypoint"], crop)
        if has_frames(results):
            results["imgs"] = self._crop_imgs(results["imgs"], crop)
        return self._all_box_crop(results, crop)

    @staticmethod
    def _crop_kps(kps: np.ndarray, crop_bbox: np.ndarray) -> np.ndarray:
        return kps - crop_bbox[:2]

    @staticmethod
    def _crop_imgs(imgs: Any, crop_bbox: Any) -> Any:
        return crop_frames(imgs, crop_bbox)

    @staticmethod
    def _box_crop(box: np.ndarray, crop_bbox: np.ndarray) -> np.ndarray:
        return crop_boxes(box, crop_bbox)  # type: ignore[arg-type]

    def _all_box_crop(self, results: Sample, crop_bbox: np.ndarray) -> Sample:
        map_boxes(results, lambda boxes: self._box_crop(boxes, crop_bbox))
        return results


@TRANSFORMS.register_module()
class CenterCrop(_Crop):
    """Cut the middle of the frames out.

    Reads `imgs`, `img_shape`. Writes `imgs`, `img_shape`, `crop_bbox`, `crop_quadruple`. Joints and
    boxes move with the frames.

    Args:
        crop_size: side of a square, or (W, H), in pixels.
        lazy: wait for `Fuse`.

    Raises:
        ValueError: `crop_size` is neither.
        SampleValueError: the crop is larger than the frames.
    """

    def __init__(self, crop_size: Size, lazy: bool = False) -> None:
        self.lazy = lazy
        self.crop_size = as_size(crop_size, "CenterCrop: crop_size")

    def transform(self, results: Sample) -> Sample:
        height, width = begin_step(results, self.lazy, "CenterCrop")
        require_inside(results, self.crop_size, "CenterCrop")
        return self._crop(results, center_box((width, height), self.crop_size))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(crop_size={self.crop_size}, lazy={self.lazy})"


@TRANSFORMS.register_module()
class RandomCrop(_Crop):
    """Cut a square at a random place, the same in all frames.

    Reads `imgs`, `img_shape`. Writes `imgs`, `img_shape`, `crop_bbox`, `crop_quadruple`. Joints and
    boxes move with the frames.

    Args:
        size: side of the square, in pixels.
        lazy: wait for `Fuse`.

    Raises:
        ValueError: `size` is no whole number above 0.
        SampleValueError: the crop is larger than the frames.
    """

    def __init__(self, size: int, lazy: bool = False) -> None:
        self.lazy = lazy
        self.size, other = as_size(size, "RandomCrop: size")
        if other != self.size:
            raise ValueError(f"RandomCrop: size is the side of a square, got {size!r}")

    def transform(self, results: Sample) -> Sample:
        height, width = begin_step(results, self.lazy, "RandomCrop")
        require_inside(results, (self.size, self.size), "RandomCrop")
        return self._crop(results, random_box((width, height), self.size))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size}, lazy={self.lazy})"


@TRANSFORMS.register_module()
class RandomResizedCrop(_Crop):
    """Cut a box of random area, shape and place, the same in all frames.

    A `Resize` behind it sets the final size.

    Reads `imgs`, `img_shape`. Writes `imgs`, `img_shape`, `crop_bbox`, `crop_quadruple`. Joints and
    boxes move with the frames.

    Args:
        area_range: smallest and largest share of the frame's area.
        aspect_ratio_range: smallest and largest width over height.
        lazy: wait for `Fuse`.

    Raises:
        ValueError: a range that is not two numbers, 0 < low <= high.
    """

    def __init__(
        self,
        area_range: Sequence[float] = (0.08, 1.0),
        aspect_ratio_range: Sequence[float] = (3 / 4, 4 / 3),
        lazy: bool = False,
    ) -> None:
        self.lazy = lazy
        if isinstance(area_range, Sequence) and max(area_range) > 1:
            raise ValueError(f"RandomResizedCrop: area_range holds shares of the frame, at most 1, got {area_range!r}")
        for name, bounds in (("area_range", area_range), ("aspect_ratio_range", aspect_ratio_range)):
            if not (isinstance(bounds, Sequence) and len(bounds) == 2 and 0 < bounds[0] <= bounds[1]):
                raise ValueError(f"RandomResizedCrop: {name} must be two numbers, 0 < low <= high, got {bounds!r}")
        self.area_range = tuple(area_range)
        self.aspect_ratio_range = tuple(aspect_ratio_range)

    def transform(self, results: Sample) -> Sample:
        height, width = begin_step(results, self.lazy, "RandomResizedCrop")
        box = self.get_crop_bbox((height, width), self.area_range, self.aspect_ratio_range)
        return self._crop(results, box)

    # Named as in OpenMMLab: crops of users' own override it.
    @staticmethod
    def get_crop_bbox(
        img_shape: tuple[int, int],
        area_range: Sequence[float],
        aspect_ratio_range: Sequence[float],
        max_attempts: int = 10,
    ) -> Box:
        """`random_resized_box` of an image of (H, W) pixels.

        Raises:
            ValueError: a range that is not 0 < low <= high.
        """
        for name, bounds in (("area_range", area_range), ("aspect_ratio_range", aspect_ratio_range)):
            if not 0 < bounds[0] <= bounds[1]:
                raise ValueError(f"RandomResizedCrop: {name} must be two numbers, 0 < low <= high, got {bounds!r}")
        return random_resized_box((img_shape[1], img_shape[0]), area_range, aspect_ratio_range, max_attempts)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(area_range={self.area_range}, aspect_ratio_range={self.aspect_ratio_range}, "
            f"lazy={self.lazy})"
        )


@TRANSFORMS.register_module()
class MultiScaleCrop(_Crop):
    """Cut a box whose sides are drawn from shares of the short side.

    A `Resize` behind it sets the final size.

    Reads `imgs`, `img_shape`. Writes `imgs`, `img_shape`, `crop_bbox`, `crop_quadruple`, `scales`.
    Joints and boxes move with the frames.

    Args:
        input_size: the final size, a side or (W, H): a side that comes out within 2 pixels of it is
            set to it.
        scales: shares of the short side to choose from.
        max_wh_scale_gap: how many places apart in `scales` width and height may be.
        random_crop: any place; False: one of `num_fixed_crops`.
        num_fixed_crops: 5 (corners and centre) or 13.
        lazy: wait for `Fuse`.

    Raises:
        ValueError: a size, share or number that cannot be.

    Draws from Python's global generator: size, then place.
    Source: TSN, Wang et al. 2016, arXiv:1608.00859, section 3.2.
    """

    def __init__(
        self,
        input_size: Size,
        scales: Sequence[float] = (1,),
        max_wh_scale_gap: int = 1,
        random_crop: bool = False,
        num_fixed_crops: Literal[5, 13] = 5,
        lazy: bool = False,
    ) -> None:
        self.lazy = lazy
        self.input_size = as_size(input_size, "MultiScaleCrop: input_size")
        if not (isinstance(scales, Sequence) and scales and all(0 < scale <= 1 for scale in scales)):
            raise ValueError(
                f"MultiScaleCrop: scales must be shares of the short side, above 0 and at most 1, got {scales!r}"
            )
        if num_fixed_crops not in (5, 13):
            raise ValueError(f"MultiScaleCrop: num_fixed_crops must be 5 or 13, got {num_fixed_crops!r}")
        self.scales = tuple(scales)
        self.max_wh_scale_gap = max_wh_scale_gap
        self.random_crop = random_crop
        self.num_fixed_crops: Literal[5, 13] = num_fixed_crops

    def transform(self, results: Sample) -> Sample:
        height, width = begin_step(results, self.lazy, "MultiScaleCrop")
        drawn = random.choice(multi_scale_sizes((width, height), self.scales, self.max_wh_scale_gap))
        crop_width, crop_height = (
            wanted if abs(side - wanted) < 3 and wanted <= limit else side
            for side, wanted, limit in zip(drawn, self.input_size, (width, height), strict=True)
        )
        if self.random_crop:
            left, top = random.randint(0, width - crop_width), random.randint(0, height - crop_height)
        else:
            left, top = random.choice(fixed_places((width, height), (crop_width, crop_height), self.num_fixed_crops))
        results["scales"] = self.scales
        return self._crop(results, (left, top, left + crop_width, top + crop_height))

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(input_size={self.input_size}, scales={self.scales}, "
            f"max_wh_scale_gap={self.max_wh_scale_gap}, random_crop={self.random_crop}, "
            f"num_fixed_crops={self.num_fixed_crops}, lazy={self.lazy})"
        )
