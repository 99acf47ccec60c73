"""Resizing and mirroring whole clips. A flip is a view; only resizing computes pixels."""

import operator
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import cv2
import numpy as np

from kinema.errors import SampleValueError
from kinema.registry import TRANSFORMS
from kinema.transforms.base import BaseTransform, Sample
from kinema.transforms.lazy import begin_step
from kinema.transforms.points_and_boxes import (
    has_frames,
    map_boxes,
    mirror_boxes,
    mirror_points,
    scale_boxes,
    swapped_joints,
)

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
        scale: a factor; or two numbers, the largest long side and short side that fit (one may be
            infinite).

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


# ---- frames


def resize_frames(frames: Any, size: tuple[int, int], interpolation: str = "bilinear") -> Any:
    """Resize frames with OpenCV, without antialiasing.

    Args:
        frames: (T, H, W, C) or a list of (H, W, C), uint8 or float32.
        size: (W, H) wanted, in pixels.
        interpolation: a key of `INTERPOLATIONS`.

    Returns:
        (T, H, W, C), of the type of `frames`; `frames` themselves when all have that size.
    """
    width, height = size
    if all(frame.shape[:2] == (height, width) for frame in frames):
        return frames
    # A call a frame: all frames as channels of one image give the same pixels and take three to ten
    # times as long.
    first = frames[0]
    out = np.empty((len(frames), height, width, *first.shape[2:]), dtype=first.dtype)
    for source, target in zip(frames, out, strict=True):
        cv2.resize(source, (width, height), dst=target, interpolation=INTERPOLATIONS[interpolation])
    return out


def flip_frames(frames: Any, direction: str) -> Any:
    """Mirror (T, H, W, C) frames or a list of (H, W, C); views, not copies."""
    axis = 1 if direction == "horizontal" else 0
    if isinstance(frames, np.ndarray):
        return np.flip(frames, axis + 1)
    return [np.flip(frame, axis) for frame in frames]


def mirror_flow(frames: Any) -> list[np.ndarray]:
    """Mirror optical flow left to right: motion to the left becomes motion to the right, 255 - x.

    Args:
        frames: (H, W, 2) frames, x first; or (H, W) frames, x and y one after the other.
    """
    mirrored = []
    for place, frame in enumerate(frames):
        turned = np.flip(frame, 1).copy()
        if turned.ndim == 3:
            turned[..., 0] = 255 - turned[..., 0]
        elif place % 2 == 0:
            turned = 255 - turned
        mirrored.append(turned)
    return mirrored


def mirror_clip(frames: Any, direction: str, modality: str = "RGB") -> Any:
    """Mirror the frames of a sample; views for "RGB".

    Raises:
        SampleValueError: optical flow (`modality` "Flow") that is to be mirrored otherwise than
            horizontally.
    """
    if modality != "Flow":
        return flip_frames(frames, direction)
    if direction != "horizontal":
        raise SampleValueError("Flip: optical flow can be mirrored horizontally only")
    return mirror_flow(frames)


# ---- transforms


@TRANSFORMS.register_module()
class Resize(BaseTransform):
    """Resize the frames.

    Reads `imgs`, `img_shape`. Writes `imgs` (T, H, W, 3), `img_shape`, `keep_ratio`,
    `scale_factor`. Joints (`keypoint`) and boxes (`gt_bboxes`, `proposals`) move with the frames.

    Args:
        scale: a factor; or (W, H). -1 on one side: the other is the length of the short side.
        keep_ratio: fit into `scale` with the shape kept; False gives exactly (W, H).
        interpolation: "nearest", "bilinear", "bicubic", "area" or "lanczos".
        lazy: wait for `Fuse`.

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
        self.lazy = lazy

    def transform(self, results: Sample) -> Sample:
        height, width = begin_step(results, self.lazy, "Resize")
        if self.keep_ratio:
            new_width, new_height = rescale_size((width, height), self.scale)
        else:
            new_width, new_height = as_size(self.scale, "Resize: scale")  # type: ignore[arg-type]
        results["img_shape"] = (new_height, new_width)
        results["keep_ratio"] = self.keep_ratio
        factors = np.array([new_width / width, new_height / height], dtype=np.float32)
        results["scale_factor"] = results.get("scale_factor", np.ones(2, dtype=np.float32)) * factors
        if self.lazy:
            results["lazy"]["interpolation"] = self.interpolation
            return results
        if has_frames(results):
            results["imgs"] = self._resize_imgs(results["imgs"], new_width, new_height)
        if "keypoint" in results:
            results["keypoint"] = self._resize_kps(results["keypoint"], factors)
        map_boxes(results, lambda boxes: self._box_resize(boxes, factors))
        return results

    # The steps have MMAction2's names, which subclasses call and override.

    def _resize_imgs(self, imgs: Any, new_w: int, new_h: int) -> Any:
        return resize_frames(imgs, (new_w, new_h), self.interpolation)

    @staticmethod
    def _resize_kps(kps: np.ndarray, scale_factor: np.ndarray) -> np.ndarray:
        return kps * scale_factor

    @staticmethod
    def _box_resize(box: np.ndarray, scale_factor: np.ndarray) -> np.ndarray:
        return scale_boxes(box, scale_factor)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(scale={self.scale}, keep_ratio={self.keep_ratio}, "
            f"interpolation={self.interpolation}, lazy={self.lazy})"
        )


@TRANSFORMS.register_module()
class RandomRescale(BaseTransform):
    """Resize the frames to a random short side, the shape kept.

    Reads `imgs`, `img_shape`. Writes what `Resize` writes, and `short_edge`.

    Args:
        scale_range: smallest and largest short side, both included, in pixels.
        interpolation: see `Resize`.

    Raises:
        ValueError: a range that is not two whole numbers, 0 < low <= high, or an unknown
            interpolation.
    """

    def __init__(self, scale_range: Sequence[int], interpolation: str = "bilinear") -> None:
        is_pair = isinstance(scale_range, Sequence) and len(scale_range) == 2
        if not (
            is_pair and all(isinstance(side, int) for side in scale_range) and 0 < scale_range[0] <= scale_range[1]
        ):
            raise ValueError(
                f"RandomRescale: scale_range must be two whole numbers, 0 < low <= high, got {scale_range!r}"
            )
        self.scale_range = tuple(scale_range)
        self.interpolation = interpolation
        Resize((-1, self.scale_range[0]), interpolation=interpolation)  # says now what is wrong

    def transform(self, results: Sample) -> Sample:
        short_edge = int(np.random.randint(self.scale_range[0], self.scale_range[1] + 1))
        results = Resize((-1, short_edge), interpolation=self.interpolation).transform(results)
        results["short_edge"] = short_edge
        return results

    def __repr__(self) -> str:
        return f"{type(self).__name__}(scale_range={self.scale_range}, interpolation={self.interpolation})"


@TRANSFORMS.register_module()
class Flip(BaseTransform):
    """Mirror all frames of the sample, or none.

    Of optical flow the x component changes its sign, too.

    Reads `imgs`, `img_shape`, `modality`, `label` (with `flip_label_map`). Writes `imgs`, `label`,
    `flip`, `flip_direction`. Joints (`keypoint`, `keypoint_score`) and boxes (`gt_bboxes`,
    `proposals`) are mirrored with the frames.

    Args:
        flip_ratio: probability of mirroring.
        direction: "horizontal" or "vertical".
        flip_label_map: label -> label of the mirrored action ("pushing left to right"); others
            stay. Labels may be texts of whole numbers, which is what JSON has as keys.
        left_kp: joints of the left side, for samples with joints.
        right_kp: their counterparts of the right side, in the same order.
        lazy: wait for `Fuse`.

    Raises:
        ValueError: a ratio outside [0, 1], an unknown direction, lists of joints of different
            lengths, or labels in `flip_label_map` that are no whole numbers.
        SampleValueError: optical flow, joints or boxes with "vertical"; joints without `left_kp`
            and `right_kp`; several labels with `flip_label_map`.

    Draws one number from numpy's global generator, whatever the ratio.
    """

    def __init__(
        self,
        flip_ratio: float = 0.5,
        direction: Literal["horizontal", "vertical"] = "horizontal",
        flip_label_map: Mapping[int | str, int] | None = None,
        left_kp: Sequence[int] | None = None,
        right_kp: Sequence[int] | None = None,
        lazy: bool = False,
    ) -> None:
        if not 0 <= flip_ratio <= 1:
            raise ValueError(f"Flip: flip_ratio must be within 0 and 1, got {flip_ratio}")
        if direction not in ("horizontal", "vertical"):
            raise ValueError(f"Flip: direction must be 'horizontal' or 'vertical', got {direction!r}")
        if (left_kp is None) != (right_kp is None) or len(left_kp or ()) != len(right_kp or ()):
            raise ValueError(
                f"Flip: left_kp and right_kp must be lists of one length, got {left_kp!r} and {right_kp!r}"
            )
        self.flip_ratio = flip_ratio
        self.direction = direction
        self.flip_label_map = _label_map(flip_label_map) if flip_label_map else None
        self.left_kp = left_kp
        self.right_kp = right_kp
        self.lazy = lazy

    def transform(self, results: Sample) -> Sample:
        _, width = begin_step(results, self.lazy, "Flip")
        self._require_possible(results)
        flip = bool(np.random.rand() < self.flip_ratio)
        results["flip"] = flip
        results["flip_direction"] = self.direction
        if self.lazy:
            results["lazy"]["flip"], results["lazy"]["flip_direction"] = flip, self.direction
        if not flip:
            return results
        if self.flip_label_map:
            results["label"] = self.flip_label_map.get(results["label"], results["label"])
        if self.lazy:
            return results
        if has_frames(results):
            results["imgs"] = self._flip_imgs(results["imgs"], results.get("modality", "RGB"))
        if "keypoint" in results:
            joints, scores = self._flip_kps(results["keypoint"], results.get("keypoint_score"), width)
            results["keypoint"] = joints
            if scores is not None:
                results["keypoint_score"] = scores
        map_boxes(results, lambda boxes: self._box_flip(boxes, width))
        return results

    # The steps have MMAction2's names, which subclasses call and override.

    def _flip_imgs(self, imgs: Any, modality: str) -> Any:
        return mirror_clip(imgs, self.direction, modality)

    def _flip_kps(self, kps: np.ndarray, kpscores: Any, img_width: int) -> tuple[np.ndarray, Any]:
        order = swapped_joints(kps.shape[2], self.left_kp or (), self.right_kp or ())
        return mirror_points(kps, img_width)[:, :, order], None if kpscores is None else kpscores[:, :, order]

    @staticmethod
    def _box_flip(box: np.ndarray, img_width: int) -> np.ndarray:
        return mirror_boxes(box, img_width)

    def _require_possible(self, results: Sample) -> None:
        """Refuse what could not be mirrored, whether or not this sample would be."""
        for key in ("keypoint", "gt_bboxes"):
            if key in results and self.direction != "horizontal":
                raise SampleValueError(
                    f"Flip: {key!r} can be mirrored horizontally only, got direction={self.direction!r}"
                )
        if "keypoint" in results and self.left_kp is None:
            raise SampleValueError(
                "Flip: to mirror 'keypoint' it needs left_kp and right_kp, the joints that change places"
            )
        if self.flip_label_map and not isinstance(results["label"], int | np.integer):
            raise SampleValueError(
                f"Flip: flip_label_map is for samples with one label, a whole number, got {results['label']!r}"
            )

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(flip_ratio={self.flip_ratio}, direction={self.direction}, "
            f"flip_label_map={self.flip_label_map}, lazy={self.lazy})"
        )


def _label_map(flip_label_map: Mapping[int | str, int]) -> dict[int, int]:
    """Labels as whole numbers on both sides; texts that are none would match no label, without a word."""
    try:
        return {_label(key): _label(value) for key, value in flip_label_map.items()}
    except (AttributeError, TypeError, ValueError):
        raise ValueError(
            f"Flip: flip_label_map must map labels to labels, {{0: 1, 1: 0}}, got {flip_label_map!r}"
        ) from None


def _label(value: Any) -> int:
    return int(value) if isinstance(value, str) else operator.index(value)
