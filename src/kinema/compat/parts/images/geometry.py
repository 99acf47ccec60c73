"""Place and shape of images; boxes are (left, top, right, bottom) in pixels, both ends included."""

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from kinema.compat.parts.images.choices import check_choice, is_number, values_of_channels
from kinema.compat.parts.images.resizing import cv2_interp_codes

Border = float | Sequence[float]

cv2_border_modes = {
    "constant": cv2.BORDER_CONSTANT,
    "replicate": cv2.BORDER_REPLICATE,
    "reflect": cv2.BORDER_REFLECT,
    "wrap": cv2.BORDER_WRAP,
    "reflect_101": cv2.BORDER_REFLECT_101,
    "transparent": cv2.BORDER_TRANSPARENT,
    "isolated": cv2.BORDER_ISOLATED,
}


# ---- mirror, turn, shear, move


def imflip(img: np.ndarray, direction: str = "horizontal") -> np.ndarray:
    """Mirror an image: `"horizontal"`, `"vertical"` or `"diagonal"` (both). A view.

    Raises:
        ValueError: another direction.
    """
    axes = {"horizontal": (1,), "vertical": (0,), "diagonal": (0, 1)}
    check_choice(direction, axes, "direction")
    return np.flip(img, axes[direction])


def imflip_(img: np.ndarray, direction: str = "horizontal") -> np.ndarray:
    """Mirror an image in place; see `imflip`. Returns `img`."""
    img[...] = imflip(img, direction).copy()  # a view of what is being overwritten otherwise
    return img


def imrotate(
    img: np.ndarray,
    angle: float,
    center: tuple[float, float] | None = None,
    scale: float = 1.0,
    border_value: Border = 0,
    interpolation: str = "bilinear",
    auto_bound: bool = False,
    border_mode: str = "constant",
) -> np.ndarray:
    """Turn an image.

    Args:
        img: (H, W) or (H, W, C).
        angle: in degrees, clockwise.
        center: (x, y) that stays where it is; None: the middle.
        scale: factor of its size.
        border_value: of pixels from outside the image.
        interpolation: a key of `cv2_interp_codes`.
        auto_bound: make the result as large as the turned image.
        border_mode: a key of `cv2_border_modes`.

    Raises:
        ValueError: both `center` and `auto_bound`, or an unknown value.
        TypeError: `center` is no tuple.
    """
    check_choice(interpolation, cv2_interp_codes, "interpolation")
    check_choice(border_mode, cv2_border_modes, "border_mode")
    if center is not None and auto_bound:
        raise ValueError("auto_bound=True turns the image about its middle: give no center")
    height, width = img.shape[:2]
    if center is None:
        center = ((width - 1) * 0.5, (height - 1) * 0.5)
    if not isinstance(center, tuple):
        raise TypeError(f"center must be a tuple (x, y), got {center!r}")
    matrix = cv2.getRotationMatrix2D(center, -angle, scale)
    if auto_bound:
        cos, sin = abs(matrix[0, 0]), abs(matrix[0, 1])
        new_width, new_height = height * sin + width * cos, height * cos + width * sin
        matrix[:, 2] += (new_width - width) * 0.5, (new_height - height) * 0.5
        width, height = int(np.round(new_width)), int(np.round(new_height))
    return cv2.warpAffine(
        img,
        matrix,
        (width, height),
        flags=cv2_interp_codes[interpolation],
        borderMode=cv2_border_modes[border_mode],
        borderValue=border_value,
    )


def imshear(
    img: np.ndarray,
    magnitude: float,
    direction: str = "horizontal",
    border_value: Border = 0,
    interpolation: str = "bilinear",
) -> np.ndarray:
    """Shear an image.

    Args:
        img: (H, W) or (H, W, C).
        magnitude: pixels sideways for each pixel along the other axis.
        direction: `"horizontal"` or `"vertical"`.
        border_value: of pixels from outside the image: a number, or one a channel.
        interpolation: a key of `cv2_interp_codes`.

    Raises:
        ValueError: an unknown value, or a border value of another number of channels.
        TypeError: `border_value` is neither a number nor a tuple.
    """
    check_choice(direction, ("horizontal", "vertical"), "direction")
    across, down = (magnitude, 0) if direction == "horizontal" else (0, magnitude)
    return _warp(img, np.array([[1, across, 0], [down, 1, 0]], np.float32), border_value, interpolation)


def imtranslate(
    img: np.ndarray,
    offset: float,
    direction: str = "horizontal",
    border_value: Border = 0,
    interpolation: str = "bilinear",
) -> np.ndarray:
    """Move an image by `offset` pixels, to the right or (`"vertical"`) down. See `imshear`."""
    check_choice(direction, ("horizontal", "vertical"), "direction")
    across, down = (offset, 0) if direction == "horizontal" else (0, offset)
    return _warp(img, np.array([[1, 0, across], [0, 1, down]], np.float32), border_value, interpolation)


def _warp(img: np.ndarray, matrix: np.ndarray, border_value: Border, interpolation: str) -> np.ndarray:
    check_choice(interpolation, cv2_interp_codes, "interpolation")
    height, width = img.shape[:2]
    values = values_of_channels(border_value, _channels(img), "border_value")
    return cv2.warpAffine(
        img,
        matrix,
        (width, height),
        borderValue=values[:3],  # OpenCV takes no more than four
        flags=cv2_interp_codes[interpolation],
    )


def _channels(img: np.ndarray) -> int:
    return 1 if img.ndim == 2 else img.shape[2]


# ---- boxes


def bbox_clip(bboxes: np.ndarray, img_shape: Sequence[int]) -> np.ndarray:
    """Boxes (..., 4 * K) inside an image of `img_shape`, (height, width).

    Raises:
        ValueError: the last axis is no multiple of 4.
    """
    if bboxes.shape[-1] % 4:
        raise ValueError(f"boxes need 4 numbers each, got the shape {bboxes.shape}")
    last = np.array([img_shape[1] - 1, img_shape[0] - 1] * (bboxes.shape[-1] // 2), dtype=bboxes.dtype)
    return np.maximum(np.minimum(bboxes, last), 0)


def bbox_scaling(bboxes: np.ndarray, scale: float, clip_shape: Sequence[int] | None = None) -> np.ndarray:
    """Boxes (..., 4) scaled about their middles, and clipped to an image of `clip_shape`, (height, width)."""
    scaled = bboxes.copy()
    if float(scale) != 1.0:
        grow = (bboxes[..., 2:4] - bboxes[..., 0:2] + 1) * (scale - 1) * 0.5
        scaled = bboxes + np.concatenate((-grow, grow), axis=-1)
    return scaled if clip_shape is None else bbox_clip(scaled, clip_shape)


def imcrop(
    img: np.ndarray, bboxes: np.ndarray, scale: float = 1.0, pad_fill: float | Sequence[float] | None = None
) -> np.ndarray | list[np.ndarray]:
    """Cut boxes out of an image.

    Args:
        img: (H, W) or (H, W, C).
        bboxes: (4,) or (N, 4).
        scale: factor of the boxes' sizes, about their middles.
        pad_fill: value of what lies outside the image, or one a channel; None: the boxes are
            clipped to the image.

    Returns:
        The box's pixels, or a list of those of all boxes.

    Raises:
        ValueError: `pad_fill` of another number of channels.
    """
    pad_fill = tuple(pad_fill) if isinstance(pad_fill, list) else pad_fill
    fill = None if pad_fill is None else values_of_channels(pad_fill, _channels(img), "pad_fill")
    boxes = bbox_scaling(np.atleast_2d(bboxes), scale).astype(np.int32)
    patches = []
    for box, clipped in zip(boxes.tolist(), bbox_clip(boxes, img.shape).tolist(), strict=True):
        left, top, right, bottom = clipped
        patch = img[top : bottom + 1, left : right + 1]
        if fill is not None:
            inside, (left, top, right, bottom) = patch, box
            shape = (bottom - top + 1, right - left + 1, *img.shape[2:])
            patch = np.broadcast_to(np.array(fill if img.ndim > 2 else fill[0], img.dtype), shape).copy()
            top, left = max(0, -top), max(0, -left)
            patch[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
        patches.append(patch)
    return patches[0] if bboxes.ndim == 1 else patches


# ---- borders and holes


def impad(
    img: np.ndarray,
    *,
    shape: tuple[int, int] | None = None,
    padding: int | tuple[int, ...] | None = None,
    pad_val: Border = 0,
    padding_mode: str = "constant",
) -> np.ndarray:
    """Put a border around an image.

    Args:
        img: (H, W) or (H, W, C).
        shape: (height, width) to reach, with the border to the right and below, and none where the
            image is larger; or
        padding: its width in pixels: one for all sides, (left and right, above and below), or
            (left, above, right, below).
        pad_val: value of the border, one a channel; a single number is that of the first channel
            and, as OpenCV takes it, 0 of the others.
        padding_mode: `"constant"`, `"edge"`, `"reflect"` or `"symmetric"`.

    Raises:
        ValueError: not just one of `shape` and `padding`, or a value that is not one of these.
        TypeError: `pad_val` is neither a number nor a tuple.
    """
    modes = {
        "constant": cv2.BORDER_CONSTANT,
        "edge": cv2.BORDER_REPLICATE,
        "reflect": cv2.BORDER_REFLECT_101,
        "symmetric": cv2.BORDER_REFLECT,
    }
    check_choice(padding_mode, modes, "padding_mode")
    if (shape is None) == (padding is None):
        raise ValueError(f"give either shape or padding, got {shape=}, {padding=}")
    if shape is not None:
        sides = [0, 0, max(shape[1] - img.shape[1], 0), max(shape[0] - img.shape[0], 0)]
    else:
        given = (padding,) * 4 if is_number(padding) else padding
        known = isinstance(given, tuple) and len(given) in (2, 4)
        sides = list(given) * (4 // len(given)) if known else [-1]  # type: ignore[arg-type]
    if min(sides) < 0:
        raise ValueError(f"padding must be a number or a tuple of 2 or 4, 0 or more, got {padding!r}")
    left, above, right, below = sides
    value: Any = pad_val if is_number(pad_val) else values_of_channels(pad_val, img.shape[-1], "pad_val")
    return cv2.copyMakeBorder(img, above, below, left, right, modes[padding_mode], value=value)


def impad_to_multiple(img: np.ndarray, divisor: int, pad_val: Border = 0) -> np.ndarray:
    """Put a border to the right and below, so that both sides are multiples of `divisor`. See `impad`."""
    height, width = (math.ceil(side / divisor) * divisor for side in img.shape[:2])
    return impad(img, shape=(height, width), pad_val=pad_val)


def cutout(img: np.ndarray, shape: int | tuple[int, int], pad_val: Border = 0) -> np.ndarray:
    """Fill a rectangle at a random place.

    Args:
        img: (H, W) or (H, W, C).
        shape: (height, width) of the rectangle, or one number for both; what lies outside the image
            is left out.
        pad_val: value to fill with, or one a channel.

    Raises:
        ValueError: `pad_val` of another number of channels.
        TypeError: `shape` or `pad_val` is neither a number nor a tuple.

    Draws two numbers from numpy's global generator: the middle's y and x.
    """
    fill = values_of_channels(pad_val, _channels(img), "pad_val")
    if not isinstance(shape, int | tuple):
        raise TypeError(f"shape must be a whole number or a tuple (height, width), got {shape!r}")
    cut_height, cut_width = (shape, shape) if isinstance(shape, int) else shape
    height, width = img.shape[:2]
    y, x = np.random.uniform(height), np.random.uniform(width)
    top, left = int(max(0, y - cut_height / 2.0)), int(max(0, x - cut_width / 2.0))
    image = img.copy()
    image[top : top + cut_height, left : left + cut_width] = fill if img.ndim > 2 else fill[0]
    return image
