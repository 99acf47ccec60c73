"""The size of images: to a size, by a factor, to multiples."""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from kinema.compat.parts.images.choices import check_choice
from kinema.compat.parts.images.files import require_backend
from kinema.transforms.geometry import INTERPOLATIONS
from kinema.transforms.geometry import rescale_size as _rescale_size

Scale = float | Sequence[float]

cv2_interp_codes = INTERPOLATIONS
_PILLOW_INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "box", "lanczos", "hamming")


def _scale_size(size: Sequence[int], scale: Scale) -> tuple[int, int]:
    """(W, H) times a factor, or the factors of both, rounded half up."""
    across, down = (scale, scale) if isinstance(scale, int | float) else scale
    return int(size[0] * float(across) + 0.5), int(size[1] * float(down) + 0.5)


def rescale_size(
    old_size: Sequence[int], scale: Scale, return_scale: bool = False
) -> tuple[int, int] | tuple[tuple[int, int], float]:
    """(W, H) of an image scaled with its shape kept, and with `return_scale` also the factor.

    See `kinema.transforms`.

    Raises:
        TypeError: `scale` is neither a number nor a tuple.
    """
    if isinstance(scale, list):
        raise TypeError(f"scale must be a number or a tuple of two (long and short side), got {scale!r}")
    new_size = _rescale_size(old_size, scale)
    if not return_scale:
        return new_size
    width, height = old_size
    if isinstance(scale, int | float):
        return new_size, scale
    return new_size, min(max(scale) / max(height, width), min(scale) / min(height, width))


def imresize(
    img: np.ndarray,
    size: tuple[int, int],
    return_scale: bool = False,
    interpolation: str = "bilinear",
    out: np.ndarray | None = None,
    backend: str | None = None,
) -> np.ndarray | tuple[np.ndarray, float, float]:
    """Resize an image. OpenCV does it without antialiasing, Pillow with it.

    Args:
        img: (H, W) or (H, W, C); of uint8 for Pillow.
        size: (W, H) wanted.
        return_scale: also return the factors of width and height.
        interpolation: with OpenCV `"nearest"`, `"bilinear"`, `"bicubic"`, `"area"` or `"lanczos"`;
            Pillow has `"box"` and `"hamming"` in place of `"area"`.
        out: array to write to; OpenCV only.
        backend: `"cv2"` or `"pillow"`; None is `"cv2"`, whatever `use_backend` says.

    Raises:
        ValueError: an argument has an unknown value.
        TypeError: an image for Pillow is not of uint8.
    """
    height, width = img.shape[:2]
    if require_backend(backend or "cv2") == "pillow":
        resized = _resize_with_pillow(img, size, interpolation)
    else:
        check_choice(interpolation, INTERPOLATIONS, "interpolation")
        resized = np.asarray(cv2.resize(img, tuple(size), dst=out, interpolation=INTERPOLATIONS[interpolation]))
    return (resized, size[0] / width, size[1] / height) if return_scale else resized


def _resize_with_pillow(img: np.ndarray, size: Sequence[int], interpolation: str) -> np.ndarray:
    from PIL import Image

    check_choice(interpolation, _PILLOW_INTERPOLATIONS, "interpolation")
    if img.dtype != np.uint8:
        raise TypeError(f"Pillow resizes images of uint8, got {img.dtype}: backend='cv2' resizes others")
    return np.array(Image.fromarray(img).resize((size[0], size[1]), Image.Resampling[interpolation.upper()]))


def imresize_like(
    img: np.ndarray,
    dst_img: np.ndarray,
    return_scale: bool = False,
    interpolation: str = "bilinear",
    backend: str | None = None,
) -> np.ndarray | tuple[np.ndarray, float, float]:
    """Resize an image to the size of another. See `imresize`."""
    height, width = dst_img.shape[:2]
    return imresize(img, (width, height), return_scale, interpolation, backend=backend)


def imresize_to_multiple(
    img: np.ndarray,
    divisor: int | Sequence[int],
    size: int | Sequence[int] | None = None,
    scale_factor: Scale | None = None,
    keep_ratio: bool = False,
    return_scale: bool = False,
    interpolation: str = "bilinear",
    out: np.ndarray | None = None,
    backend: str | None = None,
) -> np.ndarray | tuple[np.ndarray, float, float]:
    """Resize an image to a size, rounded up to a multiple.

    Args:
        img: (H, W) or (H, W, C).
        divisor: of both sides, or of width and height.
        size: (W, H) wanted, or one number for both; or
        scale_factor: the factor of both, or of width and height.
        keep_ratio: keep the image's shape; `size` is what it has to fit in then. Without effect on
            `scale_factor`.
        return_scale: see `imresize`, like the rest.
        interpolation: see `imresize`.
        out: see `imresize`.
        backend: see `imresize`.

    Raises:
        ValueError: not just one of `size` and `scale_factor`.
    """
    height, width = img.shape[:2]
    if size is not None and scale_factor is None:
        wanted: Sequence[int] = (size, size) if isinstance(size, int) else size
        if keep_ratio:
            wanted = _rescale_size((width, height), wanted)
    elif scale_factor is not None and size is None:
        wanted = _scale_size((width, height), scale_factor)
    else:
        raise ValueError(f"give either size or scale_factor, got {size=}, {scale_factor=}")
    divisors: Sequence[int] = (divisor, divisor) if isinstance(divisor, int) else divisor
    width, height = (math.ceil(side / by) * by for side, by in zip(wanted, divisors, strict=True))
    return imresize(img, (width, height), return_scale, interpolation, out, backend)


def imrescale(
    img: np.ndarray,
    scale: Scale,
    return_scale: bool = False,
    interpolation: str = "bilinear",
    backend: str | None = None,
) -> np.ndarray | tuple[np.ndarray, float]:
    """Resize an image with its shape kept. See `rescale_size` and `imresize`."""
    height, width = img.shape[:2]
    new_size, factor = rescale_size((width, height), scale, return_scale=True)
    resized = imresize(img, new_size, interpolation=interpolation, backend=backend)  # type: ignore[arg-type]
    return (resized, factor) if return_scale else resized  # type: ignore[return-value]
