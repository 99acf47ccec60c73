"""Joints and boxes that move with the frames when these are resized, cropped or mirrored."""

from collections.abc import Callable, Sequence

import numpy as np

from kinema.transforms.base import Sample

# ---- arithmetic


def scale_boxes(boxes: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """(..., 4) boxes (left, top, right, bottom) times the (2,) factors of width and height."""
    return boxes * np.concatenate([factors, factors])


def crop_boxes(boxes: np.ndarray, crop: Sequence[int]) -> np.ndarray:
    """(..., 4) boxes as a crop (left, top, right, bottom) shows them, kept inside it."""
    left, top, right, bottom = crop
    cropped = boxes.copy()
    cropped[..., 0::2] = np.clip(boxes[..., 0::2] - left, 0, right - left - 1)
    cropped[..., 1::2] = np.clip(boxes[..., 1::2] - top, 0, bottom - top - 1)
    return cropped


def mirror_boxes(boxes: np.ndarray, width: int) -> np.ndarray:
    """(..., 4) boxes in frames of `width` pixels that are mirrored left to right."""
    mirrored = boxes.copy()
    mirrored[..., 0] = width - boxes[..., 2]
    mirrored[..., 2] = width - boxes[..., 0]
    return mirrored


def mirror_points(points: np.ndarray, width: int) -> np.ndarray:
    """(..., 2 or more) points, x first, in frames of `width` pixels that are mirrored.

    An x of 0 means no point and stays.
    """
    mirrored = points.copy()
    x = mirrored[..., 0]
    mirrored[..., 0] = np.where(x != 0, width - x, x)
    return mirrored


def swapped_joints(num_joints: int, left: Sequence[int], right: Sequence[int]) -> list[int]:
    """Which joint stands in whose place in a mirrored person: left and right ones change places."""
    order = list(range(num_joints))
    for left_joint, right_joint in zip(left, right, strict=True):
        order[left_joint], order[right_joint] = right_joint, left_joint
    return order


# ---- samples


def has_frames(results: Sample) -> bool:
    """Whether a step works on `imgs`: always, unless the sample has joints only."""
    return "imgs" in results or "keypoint" not in results


def map_boxes(results: Sample, function: Callable[[np.ndarray], np.ndarray]) -> None:
    """Change the true and the proposed boxes of a sample, where it has them."""
    if "gt_bboxes" in results:
        results["gt_bboxes"] = function(results["gt_bboxes"])
    if results.get("proposals") is not None:
        results["proposals"] = function(results["proposals"])


def boxes_to_pixels(results: Sample) -> Sample:
    """Scale boxes given in shares of the frame to pixels, float32: what decoding does once the size is known."""
    height, width = results["img_shape"]
    map_boxes(results, lambda boxes: (boxes * np.array([width, height, width, height])).astype(np.float32))
    return results
