"""Image functions of `mmcv`: arrays of (H, W, C), in OpenCV's BGR order unless said otherwise."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from kinema.compat.parts.fileio import BackendArgs, get, put
from kinema.errors import KinemaError
from kinema.transforms.geometry import INTERPOLATIONS
from kinema.transforms.geometry import rescale_size as _rescale_size
from kinema.video.images import image_size
from kinema.video.limits import Watch, default_limits

Scale = float | Sequence[float]

_FLAGS = {
    "color": cv2.IMREAD_COLOR,
    "grayscale": cv2.IMREAD_GRAYSCALE,
    "unchanged": cv2.IMREAD_UNCHANGED,
    "color_ignore_orientation": cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION,
    "grayscale_ignore_orientation": cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION,
}


def _check_backend(backend: str | None) -> None:
    if backend not in (None, "cv2"):
        raise ValueError(
            f"images are read and resized with OpenCV here: backend must be None or 'cv2', got {backend!r}"
        )


def _check_choice(value: str, choices: Any, what: str) -> None:
    if value not in choices:
        raise ValueError(f"{what} must be one of {', '.join(choices)}, got {value!r}")


# ---- reading and writing


def imfrombytes(
    content: bytes, flag: str = "color", channel_order: Literal["bgr", "rgb"] = "bgr", backend: str | None = None
) -> np.ndarray:
    """Decode an image file's bytes.

    Args:
        content: the bytes.
        flag: `"color"`, `"grayscale"`, `"unchanged"`, or the first two with `_ignore_orientation`.
        channel_order: of a colour image.
        backend: None or `"cv2"`.

    Returns:
        (H, W, 3), or (H, W) for grayscale.

    Raises:
        KinemaError: OpenCV cannot read it.
        ValueError: an argument has an unknown value.
    """
    _check_backend(backend)
    _check_choice(flag, _FLAGS, "flag")
    _check_choice(channel_order, ("bgr", "rgb"), "channel_order")
    size = image_size(content)
    if size is not None:
        Watch(default_limits(), "this image").check_size(*size)
    image = None if size is None else cv2.imdecode(np.frombuffer(content, np.uint8), _FLAGS[flag])
    if image is None:
        raise KinemaError("these bytes are no image that OpenCV can read")
    if channel_order == "rgb" and image.ndim == 3 and image.shape[2] == 3:
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return np.asarray(image)


def imread(
    img_or_path: np.ndarray | str | Path,
    flag: str = "color",
    channel_order: Literal["bgr", "rgb"] = "bgr",
    backend: str | None = None,
    file_client_args: BackendArgs = None,
    *,
    backend_args: BackendArgs = None,
) -> np.ndarray:
    """Read an image file; an array is returned as it is. See `imfrombytes`.

    Raises:
        FileNotFoundError: there is no such file.
        KinemaError: the file is no image (the original returns None).
    """
    if isinstance(img_or_path, np.ndarray):
        return img_or_path
    content = get(img_or_path, file_client_args or backend_args)
    try:
        return imfrombytes(content, flag, channel_order, backend)
    except KinemaError as error:
        raise KinemaError(f"{img_or_path} is no image that OpenCV can read") from error


def imwrite(
    img: np.ndarray,
    file_path: str | Path,
    params: Sequence[int] | None = None,
    auto_mkdir: bool | None = None,
    file_client_args: BackendArgs = None,
    *,
    backend_args: BackendArgs = None,
) -> bool:
    """Write an image; its suffix chooses the format, its folder is made.

    Args:
        img: (H, W) or (H, W, 3) in BGR order.
        file_path: where to.
        params: of `cv2.imencode`.
        auto_mkdir: without effect.
        file_client_args: old name of `backend_args`.
        backend_args: see `mmengine.fileio.put`.
    """
    written, data = cv2.imencode(Path(file_path).suffix, img, list(params or ()))
    put(data.tobytes(), file_path, file_client_args or backend_args)
    return bool(written)


# ---- size


def rescale_size(
    old_size: Sequence[int], scale: Scale, return_scale: bool = False
) -> tuple[int, int] | tuple[tuple[int, int], float]:
    """(W, H) of an image scaled with its shape kept, and with `return_scale` also the factor.

    See `kinema.transforms`.
    """
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
    """Resize an image, without antialiasing.

    Args:
        img: (H, W) or (H, W, C).
        size: (W, H) wanted.
        return_scale: also return the factors of width and height.
        interpolation: `"nearest"`, `"bilinear"`, `"bicubic"`, `"area"` or `"lanczos"`.
        out: array to write to.
        backend: None or `"cv2"`.

    Raises:
        ValueError: an argument has an unknown value.
    """
    _check_backend(backend)
    _check_choice(interpolation, INTERPOLATIONS, "interpolation")
    height, width = img.shape[:2]
    resized = np.asarray(cv2.resize(img, tuple(size), dst=out, interpolation=INTERPOLATIONS[interpolation]))
    return (resized, size[0] / width, size[1] / height) if return_scale else resized


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


def imflip(img: np.ndarray, direction: str = "horizontal") -> np.ndarray:
    """Mirror an image: `"horizontal"`, `"vertical"` or `"diagonal"` (both). A view.

    Raises:
        ValueError: another direction.
    """
    axes = {"horizontal": (1,), "vertical": (0,), "diagonal": (0, 1)}
    _check_choice(direction, axes, "direction")
    return np.flip(img, axes[direction])


def imflip_(img: np.ndarray, direction: str = "horizontal") -> np.ndarray:
    """Mirror an image in place; see `imflip`. Returns `img`."""
    img[...] = imflip(img, direction).copy()  # a view of what is being overwritten otherwise
    return img


def impad(
    img: np.ndarray,
    *,
    shape: tuple[int, int] | None = None,
    padding: int | Sequence[int] | None = None,
    pad_val: float | Sequence[float] = 0,
    padding_mode: str = "constant",
) -> np.ndarray:
    """Put a border around an image.

    Args:
        img: (H, W) or (H, W, C).
        shape: (height, width) to reach, with the border to the right and below; or
        padding: its width in pixels: one for all sides, (left and right, above and below), or
            (left, above, right, below).
        pad_val: value of the border, or one a channel.
        padding_mode: `"constant"`, `"edge"`, `"reflect"` or `"symmetric"`.

    Raises:
        ValueError: not just one of `shape` and `padding`, an image larger than `shape`, or a value
            that is not one of these.
    """
    modes = {
        "constant": cv2.BORDER_CONSTANT,
        "edge": cv2.BORDER_REPLICATE,
        "reflect": cv2.BORDER_REFLECT_101,
        "symmetric": cv2.BORDER_REFLECT,
    }
    _check_choice(padding_mode, modes, "padding_mode")
    if (shape is None) == (padding is None):
        raise ValueError(f"give either shape or padding, got {shape=}, {padding=}")
    if shape is not None:
        sides = [0, 0, shape[1] - img.shape[1], shape[0] - img.shape[0]]
    else:
        given = [padding] if isinstance(padding, int) else list(padding or ())
        sides = given * (4 // len(given)) if len(given) in (1, 2, 4) else [-1]
    if min(sides) < 0:
        raise ValueError(f"an image of {img.shape[:2]} cannot be padded with {shape=}, {padding=}")
    left, above, right, below = sides
    value = tuple(pad_val) if isinstance(pad_val, Sequence) else (pad_val,) * 4
    return cv2.copyMakeBorder(img, above, below, left, right, modes[padding_mode], value=value)


# ---- colour


def imnormalize(
    img: np.ndarray, mean: np.ndarray | Sequence[float], std: np.ndarray | Sequence[float], to_rgb: bool = True
) -> np.ndarray:
    """(img - mean) / std as float32, after changing BGR to RGB when `to_rgb`."""
    return imnormalize_(img.astype(np.float32), mean, std, to_rgb)


def imnormalize_(
    img: np.ndarray, mean: np.ndarray | Sequence[float], std: np.ndarray | Sequence[float], to_rgb: bool = True
) -> np.ndarray:
    """`imnormalize` in place.

    Raises:
        TypeError: `img` is not of a floating-point type.
    """
    if not np.issubdtype(img.dtype, np.floating):
        raise TypeError(f"imnormalize_ writes into the image, which must be of a floating-point type, got {img.dtype}")
    if to_rgb:
        img[:] = img[..., ::-1].copy()
    img -= np.asarray(mean, dtype=np.float64).reshape(-1)
    img *= 1 / np.asarray(std, dtype=np.float64).reshape(-1)
    return img


def imdenormalize(
    img: np.ndarray, mean: np.ndarray | Sequence[float], std: np.ndarray | Sequence[float], to_bgr: bool = True
) -> np.ndarray:
    """Undo `imnormalize`: img * std + mean, then RGB to BGR when `to_bgr`."""
    image = img * np.asarray(std, img.dtype).reshape(-1) + np.asarray(mean, img.dtype).reshape(-1)
    return rgb2bgr(image) if to_bgr else image


def iminvert(img: np.ndarray) -> np.ndarray:
    """The negative: 255 - img."""
    return np.full_like(img, 255) - img


def imconvert(img: np.ndarray, src: str, dst: str) -> np.ndarray:
    """Change the colour space by OpenCV's names: `imconvert(img, "bgr", "rgb")`."""
    return np.asarray(cv2.cvtColor(img, getattr(cv2, f"COLOR_{src.upper()}2{dst.upper()}")))


def bgr2rgb(img: np.ndarray) -> np.ndarray:
    """(H, W, 3) in BGR order to RGB."""
    return imconvert(img, "bgr", "rgb")


def rgb2bgr(img: np.ndarray) -> np.ndarray:
    """(H, W, 3) in RGB order to BGR."""
    return imconvert(img, "rgb", "bgr")


def bgr2gray(img: np.ndarray, keepdim: bool = False) -> np.ndarray:
    """(H, W, 3) in BGR order to (H, W), or (H, W, 1) with `keepdim`."""
    gray = imconvert(img, "bgr", "gray")
    return gray[..., None] if keepdim else gray


def rgb2gray(img: np.ndarray, keepdim: bool = False) -> np.ndarray:
    """(H, W, 3) in RGB order to (H, W), or (H, W, 1) with `keepdim`."""
    gray = imconvert(img, "rgb", "gray")
    return gray[..., None] if keepdim else gray


def gray2bgr(img: np.ndarray) -> np.ndarray:
    """(H, W) or (H, W, 1) to (H, W, 3)."""
    return imconvert(img, "gray", "bgr")


def gray2rgb(img: np.ndarray) -> np.ndarray:
    """(H, W) or (H, W, 1) to (H, W, 3)."""
    return imconvert(img, "gray", "rgb")
