"""Size and direction of an image by chance."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from kinema.compat.parts.image_transforms.randomness import cache_randomness
from kinema.compat.parts.image_transforms.registry import IMAGE_TRANSFORMS
from kinema.compat.parts.images.choices import check_choice
from kinema.compat.parts.images.geometry import imflip
from kinema.transforms import BaseTransform

DIRECTIONS = ("horizontal", "vertical", "diagonal")


@IMAGE_TRANSFORMS.register_module()
class RandomFlip(BaseTransform):
    """Mirror the image by chance, with its boxes, key points and segmentation.

    Writes `flip`, `flip_direction` (None when it is not mirrored), and what there is of `img`,
    `gt_bboxes`, `gt_keypoints`, `gt_seg_map` (with `swap_seg_labels`).

    Args:
        prob: probability of mirroring, a float, for all directions alike; or a list, one a
            direction.
        direction: `"horizontal"`, `"vertical"`, `"diagonal"`, or a list of them.
        swap_seg_labels: pairs of labels of the segmentation that change places, such as left and
            right hand.

    Raises:
        ValueError: `prob` or `direction` is of another kind, or out of range.

    Draws one number from numpy's global generator.
    """

    def __init__(
        self,
        prob: float | list[float] | None = None,
        direction: str | Sequence[str] = "horizontal",
        swap_seg_labels: Sequence[tuple[int, int]] | None = None,
    ) -> None:
        shares = prob if isinstance(prob, list) else [prob]
        if not all(isinstance(share, float) and 0 <= share <= 1 for share in shares) or sum(shares) > 1:  # type: ignore[arg-type]
            raise ValueError(f"RandomFlip: prob must be a float, or a list of them, from 0 to 1 in sum, got {prob!r}")
        names = [direction] if isinstance(direction, str) else direction
        if not (isinstance(names, Sequence) and names and all(name in DIRECTIONS for name in names)):
            raise ValueError(
                f"RandomFlip: direction must be one or a list of {', '.join(DIRECTIONS)}, got {direction!r}"
            )
        if isinstance(prob, list) and len(prob) != len(names):
            raise ValueError(f"RandomFlip: prob must have one number a direction, got {prob!r} and {direction!r}")
        self.prob = prob
        self.direction = direction
        self.swap_seg_labels = swap_seg_labels

    @cache_randomness
    def _choose_direction(self) -> str | None:
        directions: list[str | None] = [self.direction] if isinstance(self.direction, str) else list(self.direction)
        if isinstance(self.prob, list):
            shares = [*self.prob, 1 - sum(self.prob)]
        else:
            share: Any = self.prob
            shares = [share / len(directions)] * len(directions) + [1 - share]
        return np.random.choice([*directions, None], p=shares)  # type: ignore[arg-type]

    def transform(self, results: Any) -> Any:
        direction = self._choose_direction()
        results["flip"] = direction is not None
        results["flip_direction"] = direction
        if direction is not None:
            self._flip(results)
        return results

    def _flip(self, results: Any) -> None:
        direction = results["flip_direction"]
        results["img"] = imflip(results["img"], direction=direction)
        size = results["img"].shape[:2]
        if results.get("gt_bboxes") is not None:
            results["gt_bboxes"] = self._flip_bbox(results["gt_bboxes"], size, direction)
        if results.get("gt_keypoints") is not None:
            results["gt_keypoints"] = self._flip_keypoints(results["gt_keypoints"], size, direction)
        if results.get("gt_seg_map") is not None:
            results["gt_seg_map"] = self._flip_seg_map(results["gt_seg_map"], direction=direction)
            results["swap_seg_labels"] = self.swap_seg_labels

    def _flip_bbox(self, bboxes: np.ndarray, img_shape: tuple[int, int], direction: str) -> np.ndarray:
        check_choice(direction, DIRECTIONS, "direction")
        height, width = img_shape
        flipped = bboxes.copy()
        if direction != "vertical":
            flipped[..., 0::4] = width - bboxes[..., 2::4]
            flipped[..., 2::4] = width - bboxes[..., 0::4]
        if direction != "horizontal":
            flipped[..., 1::4] = height - bboxes[..., 3::4]
            flipped[..., 3::4] = height - bboxes[..., 1::4]
        return flipped

    def _flip_keypoints(self, keypoints: np.ndarray, img_shape: tuple[int, int], direction: str) -> np.ndarray:
        check_choice(direction, DIRECTIONS, "direction")
        height, width = img_shape
        flipped = keypoints.copy()
        if direction != "vertical":
            flipped[..., 0] = width - keypoints[..., 0]
        if direction != "horizontal":
            flipped[..., 1] = height - keypoints[..., 1]
        return flipped

    def _flip_seg_map(self, seg_map: np.ndarray, direction: str) -> np.ndarray:
        before = imflip(seg_map, direction=direction)
        after = before.copy()
        for first, second in self.swap_seg_labels or ():
            after[before == first] = second
            after[before == second] = first
        return after

    def __repr__(self) -> str:
        return f"{type(self).__name__}(prob={self.prob}, direction={self.direction})"


class _ResizeTo(BaseTransform):
    """Builds a resize whose scale is set for each sample."""

    def _build_resize(self, resize_type: str, keywords: dict[str, Any]) -> None:
        self.resize_cfg = {"type": resize_type, **copy.deepcopy(keywords)}
        self.resize = IMAGE_TRANSFORMS.build({"scale": 0, **self.resize_cfg})

    def _resize(self, results: Any, scale: Any) -> Any:
        self.resize.scale = scale
        return self.resize(results)


@IMAGE_TRANSFORMS.register_module()
class RandomResize(_ResizeTo):
    """Resize to a random scale.

    Args:
        scale: (W, H) times a factor of `ratio_range`; or a list of two, whose long and short sides
            are the limits of those drawn.
        ratio_range: lowest and highest factor.
        resize_type: the transform that resizes.
        resize_kwargs: its keywords.

    Draws one number (two, with a list of scales) from numpy's global generator.
    """

    def __init__(
        self,
        scale: tuple[int, int] | Sequence[tuple[int, int]],
        ratio_range: tuple[float, float] | None = None,
        resize_type: str = "Resize",
        **resize_kwargs: Any,
    ) -> None:
        self.scale = scale
        self.ratio_range = ratio_range
        self._build_resize(resize_type, resize_kwargs)

    @staticmethod
    def _random_sample(scales: Sequence[tuple[int, int]]) -> tuple[int, int]:
        """Long and short side between those of two scales. Raises a ValueError for another number of scales."""
        if len(scales) != 2:
            raise ValueError(f"RandomResize: scale must be a tuple (W, H) or a list of two of them, got {scales!r}")
        first, second = ([scale[axis] for scale in scales] for axis in (0, 1))
        return np.random.randint(min(first), max(first) + 1), np.random.randint(min(second), max(second) + 1)

    @staticmethod
    def _random_sample_ratio(scale: tuple[int, int], ratio_range: tuple[float, float]) -> tuple[int, int]:
        """A scale times a factor from a range. Raises a ValueError for a range that ends before it begins."""
        lowest, highest = ratio_range
        if lowest > highest:
            raise ValueError(f"RandomResize: ratio_range must be (lowest, highest), got {ratio_range!r}")
        factor = np.random.random_sample() * (highest - lowest) + lowest
        return int(scale[0] * factor), int(scale[1] * factor)

    @cache_randomness
    def _random_scale(self) -> tuple[int, int]:
        scale: Any = self.scale
        if isinstance(scale, tuple) and all(isinstance(side, int) for side in scale):
            if self.ratio_range is None or len(self.ratio_range) != 2:
                raise ValueError(f"RandomResize: one scale needs ratio_range, a pair, got {self.ratio_range!r}")
            return self._random_sample_ratio(scale, self.ratio_range)
        if isinstance(scale, Sequence) and all(isinstance(one_scale, tuple) for one_scale in scale):
            return self._random_sample(scale)
        raise ValueError(f"RandomResize: scale must be a tuple (W, H) or a list of two of them, got {scale!r}")

    def transform(self, results: Any) -> Any:
        results["scale"] = self._random_scale()
        return self._resize(results, results["scale"])

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(scale={self.scale}, ratio_range={self.ratio_range}, resize_cfg={self.resize_cfg})"
        )


@IMAGE_TRANSFORMS.register_module()
class RandomChoiceResize(_ResizeTo):
    """Resize to one of several scales. Writes `scale` and `scale_idx`, which of them it was.

    Args:
        scales: each (W, H), or one number for both.
        resize_type: the transform that resizes.
        resize_kwargs: its keywords.

    Raises:
        TypeError: a scale is neither a tuple nor a whole number.

    Draws one number from numpy's global generator.
    """

    def __init__(
        self, scales: Sequence[int | tuple[int, int]], resize_type: str = "Resize", **resize_kwargs: Any
    ) -> None:
        self.scales = scales if isinstance(scales, list) else [scales]
        if not all(isinstance(scale, int | tuple) for scale in self.scales):
            raise TypeError(f"RandomChoiceResize: a scale must be a tuple (W, H) or a whole number, got {scales!r}")
        self._build_resize(resize_type, resize_kwargs)

    @cache_randomness
    def _random_select(self) -> tuple[Any, int]:
        index = np.random.choice(len(self.scales))
        return self.scales[index], index

    def transform(self, results: Any) -> Any:
        scale, results["scale_idx"] = self._random_select()
        results = self._resize(results, scale)
        results["scale"] = scale
        return results

    def __repr__(self) -> str:
        return f"{type(self).__name__}(scales={self.scales}, resize_cfg={self.resize_cfg})"
