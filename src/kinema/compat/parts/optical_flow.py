"""Optical flow of `mmcv.video`: arrays (H, W, 2), pixels to the right and down."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from kinema.compat.parts.images.choices import check_choice
from kinema.compat.parts.images.files import imread, imwrite
from kinema.compat.parts.quantization import dequantize, quantize
from kinema.errors import KinemaError
from kinema.files import read_bytes

_TAG = b"PIEH"  # of Middlebury's .flo files: the bytes of the float 202021.25
_LEVELS = 255


def flow_from_bytes(content: bytes) -> np.ndarray:
    """The flow in the bytes of a `.flo` file, (H, W, 2) float32.

    Raises:
        KinemaError: they are not that.
    """
    if content[:4] != _TAG or len(content) < 12:
        raise KinemaError("these bytes are no .flo file: it begins with PIEH, width and height")
    width, height = np.frombuffer(content, "<i4", 2, 4).tolist()
    if min(width, height) < 0 or len(content) < 12 + width * height * 8:
        raise KinemaError(f"this .flo file ends before its {width} x {height} vectors")
    return np.frombuffer(content, "<f4", width * height * 2, 12).reshape(height, width, 2).astype(np.float32)


def sparse_flow_from_bytes(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """The flow in a 16-bit PNG of KITTI, (H, W, 2) float32, and where it is known, (H, W) float32.

    Raises:
        KinemaError: it is no image.
    """
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR) if content else None
    if image is None:
        raise KinemaError("these bytes are no image that OpenCV can read")
    values = image[..., ::-1].astype(np.float32)
    return (values[..., :2] - 2**15) / 64.0, values[..., 2]


def flowread(
    flow_or_path: np.ndarray | str | Path, quantize: bool = False, concat_axis: int = 0, *args: Any, **kwargs: Any
) -> np.ndarray:
    """Read a flow.

    Args:
        flow_or_path: a `.flo` file, or an image of a quantized flow; an array is returned as it is.
        quantize: the file is an image, with x and y side by side.
        concat_axis: the axis along which they are.
        args: of `dequantize_flow`.
        kwargs: of `dequantize_flow`.

    Raises:
        ValueError: an array of another shape, or another axis.
        TypeError: neither an array nor a path.
        KinemaError: the file is not that.
    """
    if isinstance(flow_or_path, np.ndarray):
        _check_flow(flow_or_path)
        return flow_or_path
    if not isinstance(flow_or_path, str | Path):
        raise TypeError(f"a flow must be an array or the path of a file, got {type(flow_or_path).__name__}")
    if not quantize:
        try:
            return flow_from_bytes(read_bytes(Path(flow_or_path)))
        except KinemaError as error:
            raise KinemaError(f"{flow_or_path}: {error}") from error
    _check_axis(concat_axis)
    image = imread(flow_or_path, flag="unchanged")
    if image.ndim != 2:
        raise KinemaError(f"{flow_or_path} is no quantized flow: it has {image.ndim} axes, not 2")
    across, down = np.split(image, 2, axis=concat_axis)
    return dequantize_flow(across, down, *args, **kwargs).astype(np.float32)


def flowwrite(
    flow: np.ndarray, filename: str | Path, quantize: bool = False, concat_axis: int = 0, *args: Any, **kwargs: Any
) -> None:
    """Write a flow. See `flowread`; `args` and `kwargs` are those of `quantize_flow`."""
    if quantize:
        _check_axis(concat_axis)
        imwrite(np.concatenate(quantize_flow(flow, *args, **kwargs), axis=concat_axis), filename)
        return
    _check_flow(flow)
    height, width = flow.shape[:2]
    header = _TAG + np.array([width, height], "<i4").tobytes()
    Path(filename).write_bytes(header + flow.astype("<f4").tobytes())


def quantize_flow(flow: np.ndarray, max_val: float = 0.02, norm: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Quantize x and y of a flow, each to (H, W) uint8.

    Args:
        flow: (H, W, 2).
        max_val: largest value; others are clipped.
        norm: divide x by the width and y by the height first.
    """
    height, width = flow.shape[:2]
    across, down = flow[..., 0], flow[..., 1]
    if norm:
        across, down = across / width, down / height
    both = [quantize(part, -max_val, max_val, _LEVELS, np.uint8) for part in (across, down)]
    return both[0], both[1]


def dequantize_flow(dx: np.ndarray, dy: np.ndarray, max_val: float = 0.02, denorm: bool = True) -> np.ndarray:
    """The flow (H, W, 2) of quantized x and y; undoes `quantize_flow`.

    Raises:
        ValueError: they are not two arrays (H, W), or one (H, W, 1).
    """
    if dx.shape != dy.shape or not (dx.ndim == 2 or (dx.ndim == 3 and dx.shape[-1] == 1)):
        raise ValueError(f"x and y of a flow must both be (H, W), got {dx.shape} and {dy.shape}")
    across, down = (dequantize(part, -max_val, max_val, _LEVELS) for part in (dx, dy))
    if denorm:
        across, down = across * dx.shape[1], down * dx.shape[0]
    return np.dstack((across, down))


def flow_warp(
    img: np.ndarray, flow: np.ndarray, filling_value: float = 0, interpolate_mode: str = "nearest"
) -> np.ndarray:
    """Take each pixel from where the flow points to.

    Args:
        img: (H, W, C).
        flow: (H, W, 2).
        filling_value: of pixels from outside the image.
        interpolate_mode: `"nearest"` or `"bilinear"`.

    Raises:
        ValueError: another mode, or arrays of other shapes.
    """
    check_choice(interpolate_mode, ("nearest", "bilinear"), "interpolate_mode")
    _check_flow(flow)
    if img.ndim != 3:
        raise ValueError(f"an image to warp must be (H, W, C), got {img.shape}")
    height, width = flow.shape[:2]
    rows, columns = np.indices((height, width))
    x, y = columns + flow[..., 0], rows + flow[..., 1]
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    inside = (left >= 0) & (left < width - 1) & (top >= 0) & (top < height - 1)
    warped = np.full((height, width, img.shape[2]), filling_value, img.dtype)
    x, y, left, top = x[inside], y[inside], left[inside], top[inside]
    if interpolate_mode == "nearest":
        warped[inside] = img[y.round().astype(int), x.round().astype(int)]
        return warped
    across, down = (x - left)[:, None], (y - top)[:, None]
    upper = img[top, left] * (1 - across) + img[top, left + 1] * across
    lower = img[top + 1, left] * (1 - across) + img[top + 1, left + 1] * across
    warped[inside] = (upper * (1 - down) + lower * down).astype(img.dtype)
    return warped


def _check_flow(flow: np.ndarray) -> None:
    if flow.ndim != 3 or flow.shape[-1] != 2:
        raise ValueError(f"a flow must have the shape (H, W, 2), got {flow.shape}")


def _check_axis(concat_axis: int) -> None:
    if concat_axis not in (0, 1):
        raise ValueError(f"concat_axis must be 0 or 1, got {concat_axis!r}")


# ---- as colours


def make_color_wheel(bins: list[int] | tuple[int, ...] | None = None) -> np.ndarray:
    """The colours of directions, (sum of `bins`, 3) float32 RGB in [0, 1].

    Args:
        bins: numbers of colours from red to yellow, green, cyan, blue, magenta and red again; None
            for 15, 6, 4, 11, 13, 6.

    Raises:
        ValueError: not six numbers.

    Source: Baker et al., A Database and Evaluation Methodology for Optical Flow, 2007.
    """
    bins = (15, 6, 4, 11, 13, 6) if bins is None else bins
    if len(bins) != 6:
        raise ValueError(f"a colour wheel needs 6 numbers of colours, got {bins!r}")
    corners = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1], [1, 0, 1], [1, 0, 0]], np.float64)
    steps = []
    for number, start, end in zip(bins, corners[:-1], corners[1:], strict=True):
        share = np.arange(number)[:, None] / number
        rising = end > start
        # Falling channels as 1 - share: the sums of both ways differ in the last bit.
        steps.append(np.where(start == end, start, np.where(rising, share, 1 - share)))
    return np.concatenate(steps).astype(np.float32)


def flow2rgb(flow: np.ndarray, color_wheel: np.ndarray | None = None, unknown_thr: float = 1e6) -> np.ndarray:
    """Show a flow by colours: the direction as hue, the length as saturation.

    Args:
        flow: (H, W, 2).
        color_wheel: of `make_color_wheel`.
        unknown_thr: pixels with longer parts, or NaN, are black.

    Returns:
        (H, W, 3) RGB in [0, 1].

    Raises:
        ValueError: a flow of another shape.
    """
    _check_flow(flow)
    wheel = make_color_wheel() if color_wheel is None else color_wheel
    unknown = (np.isnan(flow) | (np.abs(flow) > unknown_thr)).any(axis=-1)
    across, down = (np.where(unknown, 0, flow[..., axis]).astype(flow.dtype) for axis in (0, 1))
    length = np.sqrt(across**2 + down**2)
    if np.any(length > np.finfo(float).eps):
        longest = np.max(length)
        across, down = across / longest, down / longest
    length = np.sqrt(across**2 + down**2)
    place = (np.arctan2(-down, -across) / np.pi + 1) / 2 * (len(wheel) - 1)
    before = np.floor(place).astype(int)
    share = (place - before.astype(np.float32))[..., None]
    image = (1 - share) * wheel[before] + share * wheel[(before + 1) % len(wheel)]
    small = length <= 1
    image[small] = 1 - length[small, None] * (1 - image[small])
    image[~small] *= 0.75
    image[unknown] = 0
    return image
