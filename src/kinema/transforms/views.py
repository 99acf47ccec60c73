"""Cutting several boxes out of all frames of a clip: the views of a test."""

from collections.abc import Sequence

import numpy as np

from kinema.errors import SampleValueError
from kinema.registry import TRANSFORMS
from kinema.transforms.base import BaseTransform, Sample
from kinema.transforms.cropping import Box, crop_frames, fixed_places, require_inside
from kinema.transforms.geometry import Size, as_size, mirror_clip
from kinema.transforms.lazy import begin_step


def three_boxes(image_size: tuple[int, int], crop_size: tuple[int, int]) -> list[Box]:
    """Boxes at both ends and in the middle (in this order) of the side that is longer than the crop."""
    (width, height), (crop_width, crop_height) = image_size, crop_size
    step_x, step_y = (width - crop_width) // 2, (height - crop_height) // 2
    along_x, along_y = [(0, 0), (2 * step_x, 0), (step_x, 0)], [(0, 0), (0, 2 * step_y), (0, step_y)]
    places = along_x if crop_height == height else along_y
    return [(x, y, x + crop_width, y + crop_height) for x, y in places]


def crop_views(results: Sample, boxes: Sequence[Box], *, mirrored: bool = False) -> Sample:
    """Put every box of every frame into the sample, box after box.

    `mirrored` adds each box's mirror image behind it.
    """
    frames: list[np.ndarray] = []
    crop_boxes: list[Box] = []
    for box in boxes:
        cropped = list(crop_frames(results["imgs"], box))
        for view in [cropped, [np.flip(frame, 1) for frame in cropped]] if mirrored else [cropped]:
            frames += view
            crop_boxes += [box] * len(view)
    left, top, right, bottom = boxes[0]
    results["imgs"] = frames
    results["crop_bbox"] = np.array(crop_boxes)
    results["img_shape"] = (bottom - top, right - left)
    return results


def _begin(results: Sample, crop_size: tuple[int, int], who: str) -> tuple[int, int]:
    """(W, H) of the frames, which several crops of can be taken."""
    height, width = begin_step(results, False, who)
    for key in ("keypoint", "gt_bboxes"):
        if key in results:
            raise SampleValueError(f"{who}: {key!r} belongs to one view only: take CenterCrop")
    require_inside(results, crop_size, who)
    return width, height


@TRANSFORMS.register_module()
class ThreeCrop(BaseTransform):
    """Cut three boxes of every frame, along its longer side: test views.

    Reads `imgs`, `img_shape`. Writes `imgs` (all frames of the first box, then of the second, then
    of the third), `img_shape`, `crop_bbox` (one box a frame).

    Args:
        crop_size: side of a square, or (W, H), in pixels; one of them must be the frames'.

    Raises:
        ValueError: `crop_size` is neither, does not fit the frames, or has no side in common with
            them.
    """

    def __init__(self, crop_size: Size) -> None:
        self.crop_size = as_size(crop_size, "ThreeCrop: crop_size")

    def transform(self, results: Sample) -> Sample:
        width, height = _begin(results, self.crop_size, "ThreeCrop")
        if self.crop_size[0] != width and self.crop_size[1] != height:
            raise SampleValueError(
                f"ThreeCrop: the crop of {self.crop_size[0]}x{self.crop_size[1]} (width x height) must have the width"
                f" or height of the frames, {width}x{height}: put a Resize to the crop's short side before it"
            )
        return crop_views(results, three_boxes((width, height), self.crop_size))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(crop_size={self.crop_size})"


@TRANSFORMS.register_module()
class TenCrop(BaseTransform):
    """Cut the corners and the centre of every frame, each plain and mirrored: test views.

    Reads `imgs`, `img_shape`. Writes `imgs` (for upper left, upper right, lower left, lower right,
    centre: all frames, then all frames mirrored), `img_shape`, `crop_bbox` (one box a frame).

    Args:
        crop_size: side of a square, or (W, H), in pixels.

    Raises:
        ValueError: `crop_size` is neither, or larger than the frames.
    """

    def __init__(self, crop_size: Size) -> None:
        self.crop_size = as_size(crop_size, "TenCrop: crop_size")

    def transform(self, results: Sample) -> Sample:
        width, height = _begin(results, self.crop_size, "TenCrop")
        crop_width, crop_height = self.crop_size
        places = fixed_places((width, height), self.crop_size, 5)
        boxes = [(x, y, x + crop_width, y + crop_height) for x, y in places]
        return crop_views(results, boxes, mirrored=True)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(crop_size={self.crop_size})"


@TRANSFORMS.register_module()
class MirroredViews(BaseTransform):
    """Add the mirror image of every view behind all views; of optical flow the x component changes its sign, too.

    It stands between the crop and `FormatShape`, and doubles the views whose scores are averaged.

    Reads `imgs`, `img_shape`, `modality`. Writes `imgs` (all frames, then all frames mirrored).
    """

    def transform(self, results: Sample) -> Sample:
        begin_step(results, False, "MirroredViews")
        for key in ("keypoint", "gt_bboxes"):
            if key in results:
                raise SampleValueError(f"MirroredViews: {key!r} belongs to one view only: leave it out")
        frames = results["imgs"]
        results["imgs"] = [*frames, *mirror_clip(frames, "horizontal", results.get("modality", "RGB"))]
        return results

    def __repr__(self) -> str:
        return "MirroredViews()"
