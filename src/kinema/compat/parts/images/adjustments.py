"""Brightness and colour of images, by OpenCV or, where the backend says so, by Pillow."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np

from kinema.compat.parts.images.choices import is_number
from kinema.compat.parts.images.colors import bgr2gray, bgr2rgb, gray2bgr
from kinema.compat.parts.images.files import require_backend

Numbers = np.ndarray | Sequence[float]

# ---- mean and deviation


def imnormalize(img: np.ndarray, mean: Numbers, std: Numbers, to_rgb: bool = True) -> np.ndarray:
    """(img - mean) / std as float32, after changing BGR to RGB when `to_rgb`."""
    return imnormalize_(img.astype(np.float32), mean, std, to_rgb)


def imnormalize_(img: np.ndarray, mean: Numbers, std: Numbers, to_rgb: bool = True) -> np.ndarray:
    """`imnormalize` in place.

    Raises:
        TypeError: `img` is not of a floating-point type.
    """
    if not np.issubdtype(img.dtype, np.floating):
        raise TypeError(f"imnormalize_ writes into the image, which must be of a floating-point type, got {img.dtype}")
    if to_rgb:
        cv2.cvtColor(img, cv2.COLOR_BGR2RGB, img)
    cv2.subtract(img, np.asarray(mean, dtype=np.float64).reshape(1, -1), img)
    cv2.multiply(img, 1 / np.asarray(std, dtype=np.float64).reshape(1, -1), img)
    return img


def imdenormalize(img: np.ndarray, mean: Numbers, std: Numbers, to_bgr: bool = True) -> np.ndarray:
    """Undo `imnormalize`: img * std + mean, then RGB to BGR when `to_bgr`.

    Raises:
        TypeError: `img` is not of a floating-point type.
    """
    if not np.issubdtype(img.dtype, np.floating):
        raise TypeError(f"an image to denormalise must be of a floating-point type, got {img.dtype}")
    image = cv2.multiply(img, np.asarray(std, dtype=np.float64).reshape(1, -1))
    cv2.add(image, np.asarray(mean, dtype=np.float64).reshape(1, -1), image)
    if to_bgr:
        cv2.cvtColor(image, cv2.COLOR_RGB2BGR, image)
    return np.asarray(image)


# ---- value by value


def iminvert(img: np.ndarray) -> np.ndarray:
    """The negative: 255 - img."""
    return np.full_like(img, 255) - img


def solarize(img: np.ndarray, thr: int = 128) -> np.ndarray:
    """Invert the values that are `thr` or more."""
    return np.where(img < thr, img, 255 - img)


def posterize(img: np.ndarray, bits: int) -> np.ndarray:
    """Keep the highest `bits` bits, 1 to 8, of uint8 values."""
    return np.left_shift(np.right_shift(img, 8 - bits), 8 - bits)


def lut_transform(img: np.ndarray, lut_table: np.ndarray) -> np.ndarray:
    """Replace each value by `lut_table[value]`.

    Args:
        img: values from 0 to 255.
        lut_table: (256,).

    Raises:
        TypeError: `img` is no array.
        ValueError: values outside 0 to 255, or a table of another shape.
    """
    if not isinstance(img, np.ndarray):
        raise TypeError(f"an image must be an array, got {type(img).__name__}")
    if img.min() < 0 or img.max() > 255:
        raise ValueError(f"a table is for values from 0 to 255, got {img.min()} to {img.max()}")
    if np.shape(lut_table) != (256,):
        raise ValueError(f"lut_table must have 256 values, got the shape {np.shape(lut_table)}")
    return np.asarray(cv2.LUT(np.array(img, dtype=np.uint8), lut_table))


# ---- histograms


def _by_channel(img: np.ndarray, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    return np.stack([change(img[:, :, channel]) for channel in range(3)], axis=-1).astype(img.dtype)


def _histogram(channel: np.ndarray) -> np.ndarray:
    return np.histogram(channel, 256, (0, 255))[0]


def imequalize(img: np.ndarray) -> np.ndarray:
    """Flatten the histogram of each channel of (H, W, 3) uint8, as Pillow's `ImageOps.equalize`."""

    def flatten(channel: np.ndarray) -> np.ndarray:
        counts = _histogram(channel)
        present = counts[counts > 0]
        step = (present.sum() - present[-1]) // 255
        if step == 0:
            return channel
        table = np.minimum((np.cumsum(counts) + step // 2) // step, 255)
        return np.concatenate([[0], table[:-1]])[channel]

    return _by_channel(img, flatten)


def auto_contrast(img: np.ndarray, cutoff: float | tuple[float, float] = 0) -> np.ndarray:
    """Stretch each channel of (H, W, 3) uint8 to the whole range, as Pillow's `ImageOps.autocontrast`.

    Args:
        img: (H, W, 3) uint8.
        cutoff: percent of the darkest and of the brightest pixels that are left out of the range.

    Raises:
        TypeError: `cutoff` is neither a number nor a pair.
    """
    if not (is_number(cutoff) or (isinstance(cutoff, tuple) and len(cutoff) == 2)):
        raise TypeError(f"cutoff must be a number or a tuple of two, got {cutoff!r}")
    darkest, brightest = cutoff if isinstance(cutoff, tuple) else (cutoff, cutoff)

    def stretch(channel: np.ndarray) -> np.ndarray:
        up_to = np.cumsum(_histogram(channel))
        total = up_to[-1]
        low, high = total * darkest // 100, total - total * brightest // 100
        kept = np.diff(np.clip(up_to, low, high) - low, prepend=0)
        values = np.nonzero(kept)[0]
        if values.size == 0 or values[0] >= values[-1]:
            return channel
        scale = 255.0 / (values[-1] - values[0])
        return np.clip(np.arange(256) * scale - values[0] * scale, 0, 255)[channel]

    return _by_channel(img, stretch)


def clahe(img: np.ndarray, clip_limit: float = 40.0, tile_grid_size: tuple[int, int] = (8, 8)) -> np.ndarray:
    """OpenCV's contrast limited adaptive histogram equalisation of a grey image.

    Args:
        img: (H, W), values from 0 to 255.
        clip_limit: of the contrast.
        tile_grid_size: numbers of tiles, across and down.

    Raises:
        TypeError: `img` is no array of two axes, or another argument of the wrong kind.
    """
    if not (isinstance(img, np.ndarray) and img.ndim == 2):
        raise TypeError(f"clahe needs a grey image, (H, W), got {getattr(img, 'shape', img)!r}")
    if not is_number(clip_limit):
        raise TypeError(f"clip_limit must be a number, got {clip_limit!r}")
    is_pair = isinstance(tile_grid_size, tuple) and len(tile_grid_size) == 2
    if not (is_pair and all(type(side) is int for side in tile_grid_size)):
        raise TypeError(f"tile_grid_size must be a tuple of two whole numbers, got {tile_grid_size!r}")
    return np.asarray(cv2.createCLAHE(clip_limit, tile_grid_size).apply(np.array(img, dtype=np.uint8)))


# ---- mixtures with a degenerate image


def _mix(img: np.ndarray, degenerate: np.ndarray, factor: float) -> np.ndarray:
    mixed = cv2.addWeighted(img.astype(np.float32), factor, degenerate.astype(np.float32), 1 - factor, 0)
    return np.clip(mixed, 0, 255).astype(img.dtype)


def _enhance_with_pillow(img: np.ndarray, what: str, factor: float) -> np.ndarray:
    from PIL import Image, ImageEnhance

    if img.dtype != np.uint8 or img.ndim != 3 or img.shape[2] != 3:
        raise TypeError(
            f"Pillow adjusts images (H, W, 3) of uint8, got {img.shape} of {img.dtype}: backend='cv2' adjusts others"
        )
    enhanced = getattr(ImageEnhance, what)(Image.fromarray(np.ascontiguousarray(img[..., ::-1]))).enhance(factor)
    return np.array(enhanced, dtype=img.dtype)[..., ::-1]


def adjust_color(
    img: np.ndarray, alpha: float = 1, beta: float | None = None, gamma: float = 0, backend: str | None = None
) -> np.ndarray:
    """Saturation: alpha * img + beta * its grey image + gamma.

    Args:
        img: (H, W, 3) BGR.
        alpha: weight of the image.
        beta: weight of its grey image; None: 1 - alpha.
        gamma: added to each value.
        backend: `"cv2"`, or `"pillow"`, which uses `alpha` alone; None is `"cv2"`, whatever
            `use_backend` says.

    Raises:
        TypeError: an image for Pillow is not (H, W, 3) of uint8.
    """
    if require_backend(backend or "cv2") == "pillow":
        if beta is not None or gamma != 0:
            warnings.warn("Pillow mixes an image and its grey one by alpha alone, without beta and gamma", stacklevel=2)
        return _enhance_with_pillow(img, "Color", alpha)
    gray = np.tile(bgr2gray(img, keepdim=True), [1, 1, 3])
    mixed: Any = cv2.addWeighted(img, alpha, gray, 1 - alpha if beta is None else beta, gamma)
    if mixed.dtype != np.uint8:
        mixed = np.clip(mixed, 0, 255)
    return mixed.astype(img.dtype)


def adjust_brightness(img: np.ndarray, factor: float = 1.0, backend: str | None = None) -> np.ndarray:
    """Mix with black: 0 gives black, 1 the image. `backend` as of `adjust_color`."""
    if require_backend(backend or "cv2") == "pillow":
        return _enhance_with_pillow(img, "Brightness", factor)
    return _mix(img, np.zeros_like(img), factor)


def adjust_contrast(img: np.ndarray, factor: float = 1.0, backend: str | None = None) -> np.ndarray:
    """Mix with the mean grey level: 0 gives that, 1 the image. `backend` as of `adjust_color`."""
    if require_backend(backend or "cv2") == "pillow":
        return _enhance_with_pillow(img, "Contrast", factor)
    gray = bgr2gray(img)
    mean = round(gray.sum() / gray.size)
    return _mix(img, gray2bgr(np.full_like(img[..., 0], mean)), factor)


def adjust_sharpness(img: np.ndarray, factor: float = 1.0, kernel: np.ndarray | None = None) -> np.ndarray:
    """Mix with a blurred image: 0 gives that, 1 the image, 2 sharpens.

    Args:
        img: (H, W, C) or (H, W).
        factor: weight of the image.
        kernel: (kh, kw) filter that blurs; None: that of Pillow's `ImageFilter.SMOOTH`.

    Raises:
        ValueError: a kernel that has not two axes.
    """
    if kernel is None:
        kernel = np.array([[1.0, 1.0, 1.0], [1.0, 5.0, 1.0], [1.0, 1.0, 1.0]]) / 13
    if np.ndim(kernel) != 2:
        raise ValueError(f"a kernel must have two axes, got the shape {np.shape(kernel)}")
    return _mix(img, cv2.filter2D(img, -1, kernel), factor)


def adjust_lighting(
    img: np.ndarray, eigval: np.ndarray, eigvec: np.ndarray, alphastd: float = 0.1, to_rgb: bool = True
) -> np.ndarray:
    """Add noise along the principal components of the colours. Source: AlexNet, Krizhevsky et al. 2012, section 4.1.

    Args:
        img: (H, W, 3) BGR.
        eigval: (n,) eigenvalues of the colours' covariance.
        eigvec: (3, n) eigenvectors.
        alphastd: standard deviation of the noise.
        to_rgb: change to RGB first.

    Returns:
        (H, W, 3) float64.

    Raises:
        TypeError: eigenvalues or eigenvectors are no arrays.
        ValueError: they do not fit, or the image has not 3 channels.

    Draws n numbers from numpy's global generator.
    """
    if not (isinstance(eigval, np.ndarray) and isinstance(eigvec, np.ndarray)):
        raise TypeError(f"eigval and eigvec must be arrays, got {type(eigval).__name__} and {type(eigvec).__name__}")
    if eigval.ndim != 1 or eigvec.shape != (3, len(eigval)):
        raise ValueError(f"n eigenvalues need eigenvectors (3, n), got {eigval.shape} and {eigvec.shape}")
    if img.shape[2:] != (3,):
        raise ValueError(f"lighting is for images (H, W, 3), got {img.shape}")
    img = img.astype(np.float32)
    if to_rgb:
        img = bgr2rgb(img)
    noise = np.random.normal(0, alphastd, (1, len(eigval)))
    return img + (eigvec * noise * eigval).sum(axis=1).reshape(1, 1, 3)


def adjust_hue(img: np.ndarray, hue_factor: float, backend: str | None = None) -> np.ndarray:
    """Turn the hue.

    Args:
        img: (H, W, 3) BGR.
        hue_factor: in turns, from -0.5 to 0.5.
        backend: as of `adjust_color`.

    Raises:
        ValueError: `hue_factor` is outside -0.5 to 0.5.
        TypeError: `img` is no such array.
    """
    backend = require_backend(backend or "cv2")
    if not -0.5 <= hue_factor <= 0.5:
        raise ValueError(f"hue_factor must be within -0.5 and 0.5, got {hue_factor}")
    if not (isinstance(img, np.ndarray) and img.ndim == 3 and img.shape[2] == 3):
        raise TypeError(f"an image with colours must be an array (H, W, 3), got {getattr(img, 'shape', img)!r}")
    turn = np.uint8(int(hue_factor * 255) % 256)
    if backend == "pillow":
        return _turn_hue_with_pillow(img, turn)
    hsv = cv2.cvtColor(img.astype(np.uint8), cv2.COLOR_BGR2HSV_FULL)
    hsv[..., 0] += turn
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR_FULL).astype(img.dtype)


def _turn_hue_with_pillow(img: np.ndarray, turn: np.uint8) -> np.ndarray:
    from PIL import Image

    image: Any = Image.fromarray(np.ascontiguousarray(img[..., ::-1]))
    hue, saturation, value = image.convert("HSV").split()
    turned = Image.merge("HSV", (Image.fromarray(np.asarray(hue) + turn), saturation, value))
    return np.array(turned.convert("RGB"), dtype=img.dtype)[..., ::-1]
