"""Open a video for a scan: what decodes it, and when each of its frames is shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kinema.errors import VideoError
from kinema.inference.inputs import FramesInMemory, open_source, video_source
from kinema.registry import TRANSFORMS
from kinema.transforms.decoding import OpenVideo, is_kind


@dataclass(frozen=True)
class OpenedVideo:
    """A video that is being scanned.

    Attributes:
        name: the path, or what the frames are.
        reader: gives frames by number (`get_batch`), and is to be closed.
        times: (T,) float64, when each frame is shown, in seconds, ascending.
        fps: average frames a second.
    """

    name: str
    reader: Any
    times: np.ndarray
    fps: float


def open_video(video: Any, pipeline: Sequence[Mapping[str, Any]], fps: float | None = None) -> OpenedVideo:
    """Open whatever a recognizer takes as a video, as its pipeline does.

    Args:
        video: see `VideoRecognizer.predict`.
        pipeline: of the recognizer: the options of its step that opens videos hold.
        fps: frames a second of what does not say it: an array, a tensor, a folder of frames, a file
            in which all frames are shown at one time.

    Raises:
        TypeError: `video` is nothing that can be a video.
        ValueError: frames without a rate, or of another shape.
        VideoError: it cannot be opened, or is a file without times and no rate is given.
    """
    if fps is not None and not fps > 0:
        raise ValueError(f"fps must be above 0, got {fps}")
    source = video_source(video, fps)
    opening = next((step for step in map(_built_opening, pipeline) if step is not None), None)
    if not source.is_open and opening is not None:
        sample: Any = opening({"start_index": 0, **source.sample})
        source = replace(source, sample=sample, is_open=True)
    else:
        source = open_source(source)
    reader = source.sample["video_reader"]
    if not isinstance(reader, FramesInMemory):
        return _with_times(source.name, reader, fps)
    if not reader.fps > 0:
        raise ValueError(f"{source.name}: these frames have no times: give their rate, as in fps=25")
    return OpenedVideo(source.name, reader, np.arange(len(reader)) / reader.fps, reader.fps)


def _with_times(name: str, reader: Any, fps: float | None) -> OpenedVideo:
    times = np.asarray(reader.timestamps_seconds, np.float64)
    if len(times) < 2 or times[-1] > times[0]:
        return OpenedVideo(name, reader, times, reader.fps)
    if fps is None:
        reader.close()
        raise VideoError(f"{name}: does not say when its frames are shown: give their rate, as in fps=25")
    return OpenedVideo(name, reader, np.arange(len(times)) / fps, fps)


def _built_opening(step: Mapping[str, Any]) -> Any:
    """The transform, where a step opens videos."""
    kind = step.get("type")
    part = TRANSFORMS.get(kind) if isinstance(kind, str) else kind
    return TRANSFORMS.build(step) if is_kind(part, OpenVideo) else None
