"""The clips among the frames of a sample: for changes that are alike within a clip and drawn anew for the next."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from kinema.errors import SampleValueError
from kinema.transforms.base import Sample, name_of
from kinema.transforms.lazy import begin_step

_PLACES = ("gt_bboxes", "proposals", "keypoint")  # keys that say where something is in the frames


def split_clips(frames: Any, clip_len: int | None) -> np.ndarray:
    """Frames of a sample -> its clips, each to be changed as one.

    Args:
        frames: (clips * T, H, W, 3) uint8, or a list of (H, W, 3), clip after clip.
        clip_len: frames of a clip, T. None or 1 (the segments that a 2D model sees together): all
            frames are one clip.

    Returns:
        (clips, T, H, W, 3) uint8; a view where memory allows.

    Raises:
        SampleValueError: these are no RGB bytes of one size, or no whole number of clips.
    """
    if not isinstance(frames, np.ndarray):
        shapes = {np.shape(frame) for frame in frames}
        if len(shapes) != 1:
            raise SampleValueError(f"frames of one size are needed, got {' and '.join(map(str, sorted(shapes)))}")
        frames = np.stack(list(frames))
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
        raise SampleValueError(
            f"RGB frames (T, H, W, 3) uint8 are needed, got shape {frames.shape} of {frames.dtype}: "
            "put the transform behind decoding and before FormatShape"
        )
    length = clip_len if clip_len and clip_len > 1 else len(frames)
    if len(frames) % length:
        raise SampleValueError(f"{len(frames)} frames are no whole number of clips of clip_len={clip_len} frames")
    return frames.reshape(-1, length, *frames.shape[1:])


def change_clips(sample: Sample, change: Callable[[np.ndarray], np.ndarray], who: str, *, moves: bool) -> Sample:
    """Replace each clip of a sample by `change(clip)`.

    Args:
        sample: reads `imgs` and, where present, `clip_len`; writes `imgs` and `img_shape`.
        change: (T, H, W, 3) uint8 -> (T, H', W', 3) uint8, the same sizes for all clips.
        who: name of the transform, for messages.
        moves: whether `change` may move what is in the frames, so that boxes and keypoints would no
            longer fit.

    Raises:
        SampleValueError: the frames are unfit (see `split_clips`), lazy steps wait, `change` gives
            clips of different shapes, or the sample has boxes or keypoints that would not move
            along.
    """
    begin_step(sample, False, who)
    placed = [key for key in _PLACES if key in sample] if moves else []
    if placed:
        raise SampleValueError(
            f"{who} moves what is in the frames, but would leave {' and '.join(placed)} where they are: "
            "use operations that change colours only"
        )
    length: Any = sample.get("clip_len")
    if isinstance(length, Mapping):  # by modality
        length = length.get("RGB")
    try:
        clips = split_clips(sample["imgs"], length)
    except SampleValueError as error:
        raise SampleValueError(f"{who}: {error} ({name_of(sample)})") from None
    changed = [change(clip) for clip in clips]
    if len({clip.shape for clip in changed}) > 1:
        shapes = " and ".join(str(clip.shape) for clip in changed)
        raise SampleValueError(f"{who} gave clips of different shapes, {shapes}: a sample's clips must have one size")
    sample["imgs"] = changed[0] if len(changed) == 1 else np.concatenate(changed)
    sample["img_shape"] = tuple(sample["imgs"].shape[1:3])
    return sample
