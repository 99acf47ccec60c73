"""Colour spaces: arrays (H, W, 3) to (H, W, 3), uint8 in [0, 255] or float32 in [0, 1], unless said otherwise."""

import cv2
import numpy as np


def imconvert(img: np.ndarray, src: str, dst: str) -> np.ndarray:
    """Change the colour space by OpenCV's names: `imconvert(img, "bgr", "rgb")`."""
    return np.asarray(cv2.cvtColor(img, getattr(cv2, f"COLOR_{src.upper()}2{dst.upper()}")))


def bgr2rgb(img: np.ndarray) -> np.ndarray:
    """BGR order to RGB."""
    return imconvert(img, "bgr", "rgb")


def rgb2bgr(img: np.ndarray) -> np.ndarray:
    """RGB order to BGR."""
    return imconvert(img, "rgb", "bgr")


def bgr2hsv(img: np.ndarray) -> np.ndarray:
    """BGR to hue, saturation, value, in OpenCV's units (hue of uint8: half degrees)."""
    return imconvert(img, "bgr", "hsv")


def hsv2bgr(img: np.ndarray) -> np.ndarray:
    """Hue, saturation, value to BGR; see `bgr2hsv`."""
    return imconvert(img, "hsv", "bgr")


def bgr2hls(img: np.ndarray) -> np.ndarray:
    """BGR to hue, lightness, saturation, in OpenCV's units (hue of uint8: half degrees)."""
    return imconvert(img, "bgr", "hls")


def hls2bgr(img: np.ndarray) -> np.ndarray:
    """Hue, lightness, saturation to BGR; see `bgr2hls`."""
    return imconvert(img, "hls", "bgr")


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


# ---- luma and chroma of ITU-R BT.601, in studio range as of Matlab's `rgb2ycbcr`: Y 16 to 235, Cb and Cr 16 to 240

# Columns: Y, Cb, Cr of an (R, G, B) in [0, 1].
_TO_YCBCR = np.array(
    [[65.481, -37.797, 112.0], [128.553, -74.203, -93.786], [24.966, 112.0, -18.214]],
)
_TO_YCBCR_OFFSET = np.array([16.0, 128.0, 128.0])
# Columns: R, G, B in [0, 255] of a (Y, Cb, Cr) in [0, 255], by 255.
_TO_RGB = np.array(
    [[0.00456621, 0.00456621, 0.00456621], [0.0, -0.00153632, 0.00791071], [0.00625893, -0.00318811, 0.0]],
)
_TO_RGB_OFFSET = np.array([-222.921, 135.576, -276.836])


def rgb2ycbcr(img: np.ndarray, y_only: bool = False) -> np.ndarray:
    """RGB to luma and chroma of BT.601 in studio range.

    Args:
        img: (H, W, 3).
        y_only: only the luma, (H, W).

    Raises:
        TypeError: neither uint8 nor float32.
    """
    return _to_ycbcr(img, _TO_YCBCR, y_only)


def bgr2ycbcr(img: np.ndarray, y_only: bool = False) -> np.ndarray:
    """As `rgb2ycbcr`, of an image in BGR order; not OpenCV's YCrCb, which is in full range."""
    return _to_ycbcr(img, _TO_YCBCR[::-1], y_only)


def ycbcr2rgb(img: np.ndarray) -> np.ndarray:
    """Undo `rgb2ycbcr`. Raises a TypeError for other types than uint8 and float32."""
    return _from_ycbcr(img, _TO_RGB, _TO_RGB_OFFSET)


def ycbcr2bgr(img: np.ndarray) -> np.ndarray:
    """Undo `bgr2ycbcr`. Raises a TypeError for other types than uint8 and float32."""
    return _from_ycbcr(img, _TO_RGB[:, ::-1], _TO_RGB_OFFSET[::-1])


def _to_ycbcr(img: np.ndarray, matrix: np.ndarray, y_only: bool) -> np.ndarray:
    unit = as_float(img)
    values = unit @ matrix[:, 0] + _TO_YCBCR_OFFSET[0] if y_only else unit @ matrix + _TO_YCBCR_OFFSET
    return as_type(values, img.dtype)


def _from_ycbcr(img: np.ndarray, matrix: np.ndarray, offset: np.ndarray) -> np.ndarray:
    return as_type(as_float(img) * 255 @ matrix * 255.0 + offset, img.dtype)


def as_float(img: np.ndarray) -> np.ndarray:
    """uint8 or float32 -> float32 in [0, 1].

    Raises:
        TypeError: another type.
    """
    if img.dtype == np.uint8:
        return img.astype(np.float32) / 255.0
    if img.dtype == np.float32:
        return img
    raise TypeError(f"an image must be of uint8 in [0, 255] or of float32 in [0, 1], got {img.dtype}")


def as_type(img: np.ndarray, dtype: np.dtype | type[np.generic]) -> np.ndarray:
    """Values in [0, 255] -> the same as uint8, or float32 in [0, 1].

    Raises:
        TypeError: `dtype` is another type.
    """
    if dtype not in (np.uint8, np.float32):
        raise TypeError(f"an image can be made uint8 or float32, not {dtype}")
    return img.round().astype(np.uint8) if dtype == np.uint8 else (img / 255.0).astype(np.float32)
