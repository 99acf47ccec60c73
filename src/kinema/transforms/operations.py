"""What automatic augmentation does to pixels: colour, sharpness and geometry of a whole clip, on bytes.

Every function takes (T, H, W, 3) uint8 RGB frames and gives new ones of that shape and type; the
arguments count for all frames, while what an operation measures (mean grey level, histogram) it
measures in each frame. The definitions are those of `torchvision.transforms.functional` for uint8
tensors, also in how they round; geometry is bilinear, and a pixel at the rim of the image is
blended with the fill colour by the share of it that the image covers.
"""

import math
from collections.abc import Callable

import cv2
import numpy as np

Fill = tuple[float, float, float]


def _each_frame(frames: np.ndarray, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Frame by frame: the floats of one frame stay in the cache, those of a clip do not."""
    out = np.empty(frames.shape, dtype=np.uint8)
    for frame, target in zip(frames, out, strict=True):
        target[:] = change(np.ascontiguousarray(frame))
    return out


def _look_up(frames: np.ndarray, table: np.ndarray) -> np.ndarray:
    """`table[frames]` for a table of 256 bytes."""
    flat = np.ascontiguousarray(frames).reshape(-1, frames.shape[-2] * 3)
    return np.asarray(cv2.LUT(flat, table.astype(np.uint8))).reshape(frames.shape)


def _blend(image: np.ndarray, other: np.ndarray | float, share: float) -> np.ndarray:
    """`share * image + (1 - share) * other` in float32, cut off at 0 and 255 and truncated to bytes."""
    mixed = np.float32(share) * image.astype(np.float32) + np.float32(1 - share) * np.asarray(other, dtype=np.float32)
    return np.clip(mixed, 0, 255).astype(np.uint8)


def _grey(frame: np.ndarray) -> np.ndarray:
    """(H, W, 3) -> (H, W) grey levels, truncated to bytes."""
    red, green, blue = (frame[..., channel].astype(np.float32) for channel in range(3))
    weighted = np.float32(0.2989) * red + np.float32(0.587) * green + np.float32(0.114) * blue
    return weighted.astype(np.uint8)


# ---- colour


def change_brightness(frames: np.ndarray, factor: float) -> np.ndarray:
    """Multiply every byte: `factor` 0 is black, 1 changes nothing."""
    return _look_up(frames, _blend(np.arange(256, dtype=np.uint8), 0.0, factor))


def change_contrast(frames: np.ndarray, factor: float) -> np.ndarray:
    """Blend each frame with its mean grey level: `factor` 0 is flat, 1 changes nothing."""
    levels = np.arange(256, dtype=np.uint8)
    return _each_frame(frames, lambda frame: cv2.LUT(frame, _blend(levels, _grey(frame).mean(), factor)))


def change_saturation(frames: np.ndarray, factor: float) -> np.ndarray:
    """Blend each pixel with its grey level: `factor` 0 is grey, 1 changes nothing."""
    return _each_frame(frames, lambda frame: _blend(frame, _grey(frame)[..., None], factor))


_SMOOTHING = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], dtype=np.float32)  # to be divided by 13


def change_sharpness(frames: np.ndarray, factor: float) -> np.ndarray:
    """Blend each frame with a smoothed one: `factor` 0 is smooth, 1 changes nothing, above 1 is sharper.

    The outermost pixels stay; so do frames below 3 pixels a side.
    """
    if min(frames.shape[1:3]) < 3:
        return frames.copy()
    rounded = ((2 * np.arange(13 * 255 + 1) + 13) // 26).astype(np.uint8)  # a sum of 13 bytes -> their mean

    def sharpen(frame: np.ndarray) -> np.ndarray:
        sums = cv2.filter2D(frame, cv2.CV_16S, _SMOOTHING)
        smooth = frame.copy()
        smooth[1:-1, 1:-1] = rounded[sums[1:-1, 1:-1]]
        return _blend(frame, smooth, factor)

    return _each_frame(frames, sharpen)


def autocontrast(frames: np.ndarray) -> np.ndarray:
    """Stretch each channel of each frame to 0 .. 255; a channel of one value stays."""
    levels = np.arange(256, dtype=np.float32)

    def stretch(frame: np.ndarray) -> np.ndarray:
        table = np.empty((1, 256, 3), dtype=np.uint8)
        for channel in range(3):
            low, high = (np.float32(value) for value in cv2.minMaxLoc(frame[..., channel])[:2])
            stretched = (levels - low) * (np.float32(255) / (high - low)) if high > low else levels
            table[0, :, channel] = np.clip(stretched, 0, 255)
        return np.asarray(cv2.LUT(frame, table))

    return _each_frame(frames, stretch)


def equalize(frames: np.ndarray) -> np.ndarray:
    """Flatten the histogram of each channel of each frame, as PIL's `ImageOps.equalize` does."""

    def flatten(frame: np.ndarray) -> np.ndarray:
        table = np.empty((1, 256, 3), dtype=np.uint8)
        for channel in range(3):
            counts = cv2.calcHist([frame], [channel], None, [256], [0, 256]).ravel().astype(np.int64)
            present = counts[counts > 0]
            step = int(present[:-1].sum()) // 255
            before = np.cumsum(counts) - counts  # pixels below each level
            table[0, :, channel] = np.clip((before + step // 2) // step, 0, 255) if step else np.arange(256)
        return np.asarray(cv2.LUT(frame, table))

    return _each_frame(frames, flatten)


def invert(frames: np.ndarray) -> np.ndarray:
    """255 minus every byte."""
    return 255 - frames


def posterize(frames: np.ndarray, bits: int) -> np.ndarray:
    """Keep the `bits` highest bits of every byte: 8 changes nothing, 0 is black."""
    return frames & np.uint8(256 - 2 ** (8 - bits) if bits else 0)


def solarize(frames: np.ndarray, threshold: float) -> np.ndarray:
    """Invert the bytes from `threshold` on: above 255 changes nothing, 0 inverts all."""
    levels = np.arange(256)
    return _look_up(frames, np.where(levels >= threshold, 255 - levels, levels))


# ---- geometry


def _warp(frames: np.ndarray, matrix: np.ndarray, fill: Fill) -> np.ndarray:
    """Frames whose pixel (x, y) is the input's at `matrix @ (x, y, 1)`.

    Pixels are counted from the middle of the first.
    """
    height, width = frames.shape[1:3]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP

    def warp(frame: np.ndarray) -> np.ndarray:
        return np.asarray(
            cv2.warpAffine(
                frame, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=fill
            )
        )

    return _each_frame(frames, warp)


def rotate(frames: np.ndarray, degrees: float, fill: Fill = (0, 0, 0)) -> np.ndarray:
    """Turn the frames around their middle, counter-clockwise for positive `degrees`."""
    height, width = frames.shape[1:3]
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x, y = (width - 1) / 2, (height - 1) / 2
    matrix = [[cosine, -sine, x - cosine * x + sine * y], [sine, cosine, y - sine * x - cosine * y]]
    return _warp(frames, np.array(matrix), fill)


def shear_x(frames: np.ndarray, slope: float, fill: Fill = (0, 0, 0)) -> np.ndarray:
    """Slide the rows: the row y pixels below the upper edge moves `slope * y` pixels to the left."""
    return _warp(frames, np.array([[1, slope, slope / 2], [0, 1, 0]]), fill)


def shear_y(frames: np.ndarray, slope: float, fill: Fill = (0, 0, 0)) -> np.ndarray:
    """Slide the columns: the column x pixels from the left edge moves `slope * x` pixels up."""
    return _warp(frames, np.array([[1, 0, 0], [slope, 1, slope / 2]]), fill)


def translate_x(frames: np.ndarray, pixels: float, fill: Fill = (0, 0, 0)) -> np.ndarray:
    """Move the frames `pixels` to the left."""
    return _warp(frames, np.array([[1, 0, pixels], [0, 1, 0.0]]), fill)


def translate_y(frames: np.ndarray, pixels: float, fill: Fill = (0, 0, 0)) -> np.ndarray:
    """Move the frames `pixels` up."""
    return _warp(frames, np.array([[1, 0, 0.0], [0, 1, pixels]]), fill)
