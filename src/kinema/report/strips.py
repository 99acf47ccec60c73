"""What reaches a model, made visible: any layout of frames -> strips of RGB images."""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

_JPEG_QUALITY = 70


@dataclass(frozen=True)
class ModelViews:
    """The views of a sample as a model gets them.

    Attributes:
        frames: (V, T, H, W, 3) uint8 RGB.
        shape: of the input, as the pipeline packed it.
        kind: its type, such as "uint8".
        note: what was done to the values to show them; "" when nothing was.
    """

    frames: np.ndarray
    shape: tuple[int, ...]
    kind: str
    note: str = ""


def model_views(
    inputs: Any, *, num_decoded: int = 0, normalised_by: tuple[Sequence[float], Sequence[float]] | None = None
) -> ModelViews:
    """Bring a model's input into the form of pictures.

    Args:
        inputs: a tensor or an array of frames: (views, C, T, H, W), (frames, C, H, W), (C, T, H,
            W), (C, H, W), (views, T, C, H, W), or with the channels last; of a dict the first entry
            of such a form.
        num_decoded: frames that were decoded for it, T of all clips; separates views of
            `(frames, C, H, W)`.
        normalised_by: mean and standard deviation that were subtracted and divided by.

    Raises:
        ValueError: the input holds no pictures.
    """
    array = _as_array(inputs)
    clips = _channels_last(array, num_decoded)
    if clips is None:
        raise ValueError(f"the input holds no pictures: {_describe(inputs)}")
    frames, note = _as_bytes(clips, normalised_by)
    return ModelViews(_as_rgb(frames), tuple(array.shape), str(array.dtype), note)


def _as_array(inputs: Any) -> np.ndarray:
    if isinstance(inputs, Mapping):
        arrays = [value for value in inputs.values() if hasattr(value, "shape") and len(value.shape) >= 3]
        inputs = arrays[0] if arrays else ()
    if hasattr(inputs, "detach"):
        inputs = inputs.detach().cpu()
        inputs = inputs.float() if str(inputs.dtype) == "torch.bfloat16" else inputs
    return np.asarray(inputs)


def _describe(inputs: Any) -> str:
    if isinstance(inputs, Mapping):
        return ", ".join(f"{key}: {_describe(value)}" for key, value in inputs.items())
    shape = getattr(inputs, "shape", None)
    return type(inputs).__name__ if shape is None else f"{type(inputs).__name__} of shape {tuple(shape)}"


def _channels_last(array: np.ndarray, num_decoded: int) -> np.ndarray | None:
    """Any layout -> (V, T, H, W, C); None where it is no layout of frames.

    Three channels are looked for first where the usual layout has them; images have more than 4
    rows and columns.
    """
    dims = array.ndim
    if dims == 3:
        is_last = array.shape[-1] in (1, 3) and array.shape[0] > 4
        return (array if is_last else array.transpose(1, 2, 0))[None, None] if min(array.shape) <= 3 else None
    if dims == 4:
        if array.shape[0] == 3 not in (array.shape[1], num_decoded):  # (C, T, H, W)
            return array.transpose(1, 2, 3, 0)[None]
        is_last = array.shape[1] != 3 and array.shape[-1] in (1, 3)
        images = array if is_last else array.transpose(0, 2, 3, 1)
        views = len(images) // num_decoded if num_decoded and len(images) % num_decoded == 0 else 1
        return images.reshape(views, -1, *images.shape[1:])
    if dims == 5:
        if array.shape[1] != 3 and array.shape[2] == 3:  # (views, T, C, H, W)
            return array.transpose(0, 1, 3, 4, 2)
        if array.shape[-1] == 3 and array.shape[1] != 3:
            return array
        return array.transpose(0, 2, 3, 4, 1)
    return None


def _as_bytes(
    clips: np.ndarray, normalised_by: tuple[Sequence[float], Sequence[float]] | None
) -> tuple[np.ndarray, str]:
    """Pixels from 0 to 255, and what was done to get them."""
    if clips.dtype == np.uint8:
        return clips, ""
    values = clips.astype(np.float32)
    note = ""
    if normalised_by is not None:
        mean, std = (np.asarray(values, dtype=np.float32).reshape(-1) for values in normalised_by)
        values = values * std + mean
        note = "normalisation undone"
        if mean.max() <= 1 and std.max() <= 1:
            values = values * 255
    elif values.size and values.min() >= 0 and values.max() <= 1:
        values, note = values * 255, "values from 0 to 1"
    elif values.size and (values.min() < 0 or values.max() > 255):
        low, high = float(values.min()), float(values.max())
        values = (values - low) * (255 / max(high - low, 1e-12))
        note = f"values from {low:.3g} to {high:.3g}, stretched"
    return values.round().clip(0, 255).astype(np.uint8), note


def _as_rgb(frames: np.ndarray) -> np.ndarray:
    """(..., C) -> (..., 3): grey thrice; x and y of a flow as red and green; of more channels the largest value."""
    channels = frames.shape[-1]
    if channels == 3:
        return frames
    if channels == 2:
        return np.concatenate([frames, np.full_like(frames[..., :1], 128)], axis=-1)
    return np.repeat(frames.max(axis=-1, keepdims=True), 3, axis=-1)


def normalisation_of(steps: Sequence[Callable[[Any], Any]]) -> tuple[Sequence[float], Sequence[float]] | None:
    """Mean and standard deviation of the last transform that has both, or that wraps one that has."""
    for step in reversed(steps):
        for owner in (step, getattr(step, "transform", None)):
            mean, std = getattr(owner, "mean", None), getattr(owner, "std", None)
            if mean is not None and std is not None:
                return mean, std
    return None


# ---- strips


def strip_jpeg(frames: Sequence[np.ndarray], frame_width: int) -> tuple[str, int, int]:
    """Put frames beside each other.

    Args:
        frames: (H, W, 3) uint8 RGB, or (H, W) grey; each is scaled to the first one's shape.
        frame_width: of each, in pixels.

    Returns:
        The JPEG file as base64 text, its width and height in pixels.
    """
    rows, columns = frames[0].shape[:2]
    size = frame_width, min(max(1, round(rows * frame_width / columns)), 3 * frame_width)
    small = [_as_colour(cv2.resize(frame, size, interpolation=_kernel(frame, frame_width))) for frame in frames]
    strip = np.ascontiguousarray(np.concatenate(small, axis=1)[..., ::-1])
    _, content = cv2.imencode(".jpg", strip, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return base64.b64encode(content.tobytes()).decode(), strip.shape[1], strip.shape[0]


def _kernel(frame: np.ndarray, width: int) -> int:
    return cv2.INTER_AREA if frame.shape[1] >= width else cv2.INTER_LINEAR


def _as_colour(frame: np.ndarray) -> np.ndarray:
    return _as_rgb(frame[..., None] if frame.ndim == 2 else frame)
