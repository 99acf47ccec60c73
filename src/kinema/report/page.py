"""The report of a training: one HTML file that needs nothing else."""

import base64
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kinema.report import plots
from kinema.report.document import write_page
from kinema.transforms.geometry import rescale_size, resize_frames
from kinema.video import VideoReader, write_video

_CLIP_FRAMES = 60  # frames of a shown clip, at most
_CLIP_SIDE = 96  # short side of a shown clip, in pixels


@dataclass(frozen=True)
class ShownClip:
    """A clip of the report: the video, what it shows, what was predicted and how surely."""

    path: Path
    truth: str
    predicted: str
    score: float


def write_report(
    path: Path,
    *,
    title: str,
    note: str,
    numbers: Mapping[str, str],
    history: Sequence[Mapping[str, Any]],
    metric: str,
    confusion: np.ndarray,
    class_names: Sequence[str],
    clips: Sequence[ShownClip],
) -> Path:
    """Write the report of a training.

    Args:
        path: of the HTML file.
        title: heading.
        note: a sentence below it.
        numbers: the figures on top: what they are -> how they are shown.
        history: lines of `metrics.jsonl`.
        metric: the validation metric to draw.
        confusion: (N, N) counts, rows are true classes.
        class_names: N names.
        clips: clips to show.

    Returns:
        `path`.

    Raises:
        VideoError: a clip cannot be read.
    """
    return write_page(
        path,
        "report.html",
        title=title,
        note=note,
        numbers=numbers,
        curves=plots.curves(history, metric),
        confusion=plots.confusion(confusion, class_names),
        clips=clips,
        videos=[base64.b64encode(_small_video(clip.path)).decode() for clip in clips],
    )


def _small_video(path: Path) -> bytes:
    """The clip, made small and playable in a browser, as an mp4 file."""
    with VideoReader(path) as reader:
        count = min(len(reader), _CLIP_FRAMES)
        frames = reader.get_batch(np.linspace(0, len(reader) - 1, count).astype(int))
        fps = max(reader.fps * count / len(reader), 1.0)
    height, width = frames.shape[1:3]
    wanted = rescale_size((width, height), _CLIP_SIDE / min(width, height))
    even = (wanted[0] // 2 * 2, wanted[1] // 2 * 2)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "clip.mp4"
        write_video(file, resize_frames(frames, even), fps)
        return file.read_bytes()
