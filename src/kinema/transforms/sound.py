"""Features of sound: reading them, and cutting out what belongs to the chosen frames."""

from pathlib import Path
from typing import Literal

import numpy as np

from kinema.errors import SampleValueError, VideoError
from kinema.registry import TRANSFORMS
from kinema.transforms.base import BaseTransform, Sample, name_of

_SILENCE = (640, 80)  # rows and bands of ten seconds, as MMAction2's features have them


@TRANSFORMS.register_module()
class LoadAudioFeature(BaseTransform):
    """Read features of sound, or silence where a video has none.

    Reads `audio_path`, a file `.npy`. Writes `audios` (rows, bands), `length`, the number of rows;
    (640, 80) of zeros where there is no such file.

    Args:
        pad_method: only "zero".

    Raises:
        ValueError: another `pad_method`.
        VideoError: the file holds no numbers of that shape.
    """

    def __init__(self, pad_method: Literal["zero"] = "zero") -> None:
        if pad_method != "zero":
            raise ValueError(f"LoadAudioFeature: pad_method must be 'zero', got {pad_method!r}")
        self.pad_method = pad_method

    def transform(self, results: Sample) -> Sample:
        path = Path(results["audio_path"])
        features = read_sound_features(path) if path.exists() else np.zeros(_SILENCE, np.float32)
        results["audios"], results["length"] = features, len(features)
        return results

    def __repr__(self) -> str:
        return f"{type(self).__name__}(pad_method={self.pad_method})"


def read_sound_features(path: Path) -> np.ndarray:
    """Features of sound, (rows, bands) numbers, of a file `.npy`.

    Raises:
        VideoError: it holds no numbers of that shape.
    """
    try:
        features = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise VideoError(f"{path}: the features of sound cannot be read: {error}") from error
    if not (isinstance(features, np.ndarray) and features.ndim == 2 and features.dtype.kind in "fiu"):
        raise VideoError(f"{path}: expected features of sound as an array of numbers (rows, bands)")
    return features


def rows_of_frames(first: int, last: int, total_frames: int, length: int) -> slice:
    """The rows of features that belong to a clip: from behind the first frame to behind the last one.

    Args:
        first: number of the clip's first frame.
        last: number of its last frame.
        total_frames: frames of the video.
        length: rows of the whole video.
    """
    start, stop = (max(0, round((frame + 1) / total_frames * length)) for frame in (first, last))
    return slice(start, min(length, stop))


@TRANSFORMS.register_module()
class AudioFeatureSelector(BaseTransform):
    """Cut out of the features of sound what belongs to the chosen frames.

    Reads `audios` (rows, bands), `length`, `frame_inds`, `num_clips`, `total_frames`. Writes `audios`
    (num_clips, fixed_length, bands), `audios_shape`.

    Args:
        fixed_length: rows of a clip; zeros follow where it has fewer, and the rest is left out where it
            has more.

    Raises:
        ValueError: `fixed_length` is below 1.
        SampleValueError: the video has no frames.
    """

    def __init__(self, fixed_length: int = 128) -> None:
        if fixed_length < 1:
            raise ValueError(f"AudioFeatureSelector: fixed_length must be at least 1, got {fixed_length}")
        self.fixed_length = fixed_length

    def transform(self, results: Sample) -> Sample:
        features, total_frames = results["audios"], results["total_frames"]
        if total_frames < 1:
            raise SampleValueError(f"AudioFeatureSelector: the video has {total_frames} frames ({name_of(results)})")
        frames = np.asarray(results["frame_inds"]).reshape(results["num_clips"], -1)
        clips = np.zeros((len(frames), self.fixed_length, *features.shape[1:]), features.dtype)
        for clip, (first, last) in zip(clips, frames[:, [0, -1]], strict=True):
            rows = features[rows_of_frames(first, last, total_frames, results["length"])][: self.fixed_length]
            clip[: len(rows)] = rows
        results["audios"], results["audios_shape"] = clips, clips.shape
        return results

    def __repr__(self) -> str:
        return f"{type(self).__name__}(fix_length={self.fixed_length})"
