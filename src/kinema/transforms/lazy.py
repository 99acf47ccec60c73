"""Geometric steps that wait: crops, resizes and flips with `lazy=True` are written down, and `Fuse` does them at once.

One resize of the pixels that are kept takes the place of several of whole frames. The frames differ
a little from those of the same steps done one by one, because they are interpolated once.
"""

from collections.abc import Sequence

import numpy as np

from kinema.errors import SampleValueError
from kinema.transforms.base import LazySteps, Sample, name_of


def begin_step(results: Sample, lazy: bool, who: str = "the next step") -> tuple[int, int]:
    """What every geometric step begins with: the size of the frames, and the lazy steps in order.

    Args:
        results: the sample. `img_shape` is written when it is missing, `lazy` before the first lazy
            step.
        lazy: whether the step waits for `Fuse`.
        who: name of the step, for errors.

    Returns:
        (H, W) of the frames as this step sees them.

    Raises:
        SampleValueError: the sample has no frames; lazy steps wait and this one is none; the step
            is lazy and the sample has joints or boxes, which no lazy step moves.
    """
    if "img_shape" not in results:
        if len(results["imgs"]) == 0:
            raise SampleValueError(f"{who}: the sample has no frames ({name_of(results)})")
        results["img_shape"] = results["imgs"][0].shape[:2]
    if not lazy:
        if "lazy" in results:
            raise SampleValueError(f"{who}: lazy steps wait to be done: put Fuse behind the last of them")
        return results["img_shape"]
    for key in ("keypoint", "gt_bboxes"):
        if key in results:
            raise SampleValueError(f"{who}: lazy=True moves frames only, and this sample has {key!r}: leave lazy out")
    if "lazy" not in results:
        height, width = results["img_shape"]
        results["lazy"] = LazySteps(
            original_shape=(height, width),
            crop_bbox=np.array([0, 0, width, height], dtype=np.float32),
            flip=False,
            flip_direction=None,
            interpolation=None,
        )
    elif results["lazy"]["flip"]:
        raise SampleValueError(f"{who}: of the lazy steps, Flip must be the last, and there can be one only")
    return results["img_shape"]


def crop_later(results: Sample, box: Sequence[int], image_size: tuple[int, int]) -> None:
    """Write down a crop.

    Args:
        results: a sample with `lazy`.
        box: left, top, right, bottom in frames of `image_size`.
        image_size: (W, H) of the frames as this step sees them.
    """
    old_left, old_top, old_right, old_bottom = results["lazy"]["crop_bbox"]
    scales = (old_right - old_left, old_bottom - old_top) * 2
    places = [side * scale / size for side, scale, size in zip(box, scales, image_size * 2, strict=True)]
    corner = np.array([old_left, old_top] * 2, dtype=np.float32)
    results["lazy"]["crop_bbox"] = corner + np.array(places, dtype=np.float32)
