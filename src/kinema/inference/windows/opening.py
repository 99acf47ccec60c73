"""Open a video for a scan: what decodes it, and when each of its frames is shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kinema.inference.inputs import FramesInMemory, open_source, video_source
from kinema.registry import TRANSFORMS
from kinema.transforms.decoding import OpenVideo


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
        fps: frames a second of an array, a tensor or a folder of frames, which do not tell it.

    Raises:
        TypeError: `video` is nothing that can be a video.
        ValueError: frames without a rate, or of another shape.
        VideoError: it cannot be opened.
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
        return OpenedVideo(source.name, reader, np.asarray(reader.timestamps_seconds, np.float64), reader.fps)
    if not reader.fps > 0:
        raise ValueError(f"{source.name}: these frames have no times: give their rate, as in fps=25")
    return OpenedVideo(source.name, reader, np.arange(len(reader)) / reader.fps, reader.fps)


def _built_opening(step: Mapping[str, Any]) -> Any:
    """The transform, where a step opens videos."""
    kind = step.get("type")
    is_opening = (TRANSFORMS.get(kind) if isinstance(kind, str) else kind) is OpenVideo
    return TRANSFORMS.build(step) if is_opening else None
