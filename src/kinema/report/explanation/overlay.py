"""Relevance as colour over frames."""

import cv2
import numpy as np

_STRONGEST = 0.65  # opacity of the colour where the relevance is 1
_BAR = (253, 231, 37)  # of a frame's relevance in time, RGB
_BACK = (40, 40, 48)


def overlay(frames: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Lay maps over frames: dark and untouched where nothing mattered, through red to bright yellow.

    Args:
        frames: (..., H, W, 3) uint8 RGB.
        maps: (..., H, W) from 0 to 1.

    Returns:
        As `frames`, a copy.
    """
    flat, relevance = frames.reshape(-1, *frames.shape[-3:]), maps.reshape(-1, *maps.shape[-2:])
    drawn = np.empty_like(flat)
    for number, (frame, values) in enumerate(zip(flat, relevance, strict=True)):
        levels = (values * 255).round().astype(np.uint8)
        colours = cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)[..., ::-1]
        opacity = (_STRONGEST * np.sqrt(values))[..., None]
        drawn[number] = (frame * (1 - opacity) + colours * opacity).round()
    return drawn.reshape(frames.shape)


def beside(
    frames: np.ndarray, maps: np.ndarray, over_time: np.ndarray, *, height: int = 240, aspect: float | None = None
) -> np.ndarray:
    """Frames, the same with the overlay beside them, and below both how much each frame mattered.

    Args:
        frames: (T, H, W, 3) uint8 RGB.
        maps: (T, H, W) from 0 to 1.
        over_time: (T,) share of the relevance of each frame.
        height: of the frames in the picture, pixels.
        aspect: width over height of the frames in the picture; None: as they are.

    Returns:
        (T, height + a bar, width, 3) uint8 RGB.
    """
    width = max(2, round(height * (aspect or frames.shape[2] / frames.shape[1])))
    panels = [
        np.stack([cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR) for frame in part])
        for part in (frames, overlay(frames, maps))
    ]
    pictures = np.concatenate(panels, axis=2)
    bars = [_bar(over_time, number, pictures.shape[2], height // 6) for number in range(len(frames))]
    return np.concatenate([pictures, np.stack(bars)], axis=1)


def _bar(over_time: np.ndarray, now: int, width: int, height: int) -> np.ndarray:
    """A column a frame, as high as the frame mattered; the frame that is shown is bright."""
    bar = np.full((height, width, 3), _BACK, np.uint8)
    edges = np.linspace(0, width, len(over_time) + 1).round().astype(int)
    heights = (over_time / max(float(over_time.max()), 1e-12) * (height - 2)).round().astype(int)
    for number, (left, right, high) in enumerate(zip(edges[:-1], edges[1:], heights, strict=True)):
        colour = np.array(_BAR) if number == now else np.array(_BAR) // 3
        bar[height - high : height, left : max(right - 1, left + 1)] = colour
        if number == now:
            bar[-2:, left:right] = 255
    return bar
